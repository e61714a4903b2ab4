"""Signed notes and keys, against the ones that Go's `sumdb/note` documents."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.errors import SetupError
from inwit.ledger.notes import (
    Checkpoint,
    NoteError,
    SigningKey,
    VerifyingKey,
    checkpoint_of,
    first_key,
    new_key,
    read_keys,
    signed_note,
    signers,
    write_keys,
)

GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_keys_and_signatures_are_those_of_go() -> None:
    key = SigningKey.read(GO_PRIVATE)

    assert key.vkey == GO_PUBLIC
    assert key.line() == GO_PRIVATE
    assert key.signature(GO_TEXT) == GO_SIGNATURE
    assert VerifyingKey.read(GO_PUBLIC).signed(f"{GO_TEXT}\n{GO_SIGNATURE}")
    assert GO_PRIVATE not in repr(key)


@given(st.integers(0, 10**15), st.binary(min_size=32, max_size=32), st.integers(1, 3))
def test_a_checkpoint_comes_back_from_its_note(size: int, root: bytes, count: int) -> None:
    keys = [new_key("example.com/log") for _ in range(count)]
    checkpoint = Checkpoint("example.com/log", size, root)
    note = signed_note(checkpoint, keys)

    assert checkpoint_of(note) == checkpoint
    assert len(signers(note)) == count
    assert all(VerifyingKey.read(key.vkey).signed(note) for key in keys)
    assert not VerifyingKey.read(new_key("example.com/log").vkey).signed(note)
    changed = note.replace(f"\n{size}\n", f"\n{size + 1}\n", 1)
    assert not any(VerifyingKey.read(key.vkey).signed(changed) for key in keys)


@given(st.text(max_size=200))
def test_other_text_is_refused_in_words(text: str) -> None:
    for read in (checkpoint_of, signers, SigningKey.read, VerifyingKey.read):
        with pytest.raises(NoteError):
            read(text)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "é", "a" * 129])
def test_names_that_cannot_stand_in_a_note_are_refused(name: str) -> None:
    with pytest.raises(NoteError, match="name"):
        SigningKey(name, bytes(32))


def test_a_file_holds_keys_of_one_name_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.key"
    first, second = new_key(), new_key("other")
    first_key(file, first)

    assert [key.vkey for key in read_keys(file)] == [first.vkey]
    assert file.stat().st_mode & 0o777 == 0o600
    write_keys(file, [first, second])
    with pytest.raises(SetupError, match="of one name"):
        read_keys(file)
    file.write_text("something else\n")
    with pytest.raises(SetupError, match="inwit ledger key new") as failed:
        read_keys(file)
    assert "something" not in str(failed.value)
    with pytest.raises(SetupError, match="No such file"):
        read_keys(tmp_path / "absent")


def test_a_first_key_leaves_the_keys_alone_that_another_made_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "ledger.key"
    first_key(file, theirs := new_key())
    first_key(file, new_key())

    assert [key.vkey for key in read_keys(file)] == [theirs.vkey]
    assert list(tmp_path.iterdir()) == [file]
