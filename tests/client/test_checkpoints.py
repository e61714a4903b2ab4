"""Notes and proofs as a caller reads them, against what the gateway's own code writes."""

import base64
import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inwit.client import BadAnswer
from inwit.client.checkpoints import (
    Checkpoint,
    is_entry,
    leaf_hash,
    only_grew,
    read_hashes,
    read_header,
    read_note,
)
from inwit.ledger.notes import SigningKey
from tests.client.logs import KEY, Log, as_header

LOG = Log()
NOTE = LOG.note(17)


def proof(old: int, new: int) -> list[bytes]:
    return [base64.b64decode(each) for each in LOG.proof(old, new)["proof"]]


def test_a_note_is_read_and_kept_as_it_came() -> None:
    read = read_header(as_header(NOTE))

    assert (read.origin, read.size, read.note) == ("log.example", 17, NOTE)
    assert len(read.root) == 32


def test_more_signatures_and_more_lines_are_the_same_checkpoint() -> None:
    two = LOG.note(17, [KEY, SigningKey(KEY.name, b"\x01" * 32)])
    longer = NOTE.replace("\n\n", "\nextension\n\n", 1)

    assert read_note(two) == read_note(NOTE) == read_note(longer)
    assert two != NOTE


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.partition("\n\n")[0] + "\n\n",
        NOTE.replace("\n17\n", "\n017\n"),
        NOTE.replace("\n17\n", "\n-17\n"),
        NOTE.replace("\n17\n", "\n+17\n"),
        NOTE.replace("\n17\n", "\n\N{FULLWIDTH DIGIT ONE}7\n"),
        NOTE.replace("\n17\n", "\n0\n"),
        NOTE.replace("\n17\n", f"\n{10**19}\n"),
        NOTE.replace("log.example\n", "\n", 1),
        NOTE.replace("log.example\n", "log\x00\n", 1),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("=\n\n", "\n\n"),
        NOTE.replace("=\n\n", "==\n\n"),
        NOTE.replace("\n\n", "\n\n\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— log.example", "— log+example"),
        NOTE.replace("— log.example ", "—  "),
        NOTE[:-1] + " more\n",
        NOTE.replace("\n\n", "\n" + "x" * 20_000 + "\n\n"),
    ],
)
def test_what_is_no_note_is_refused_unquoted(note: str) -> None:
    assert note != NOTE

    with pytest.raises(BadAnswer, match="not a signed note"):
        read_note(note)


@pytest.mark.parametrize("header", ["", "a", "====", as_header(NOTE)[:-4], as_header(NOTE) + " "])
def test_a_header_that_holds_something_else_is_refused(header: str) -> None:
    with pytest.raises(BadAnswer):
        read_header(header)


@given(st.binary(max_size=300) | st.text().map(str.encode))
@example(b"\xff")
@example(NOTE.encode() + b"\xff")
@example(b"\n\n\n\xe2\x80\x94 a AAAAAAAA\n")
def test_bytes_are_a_checkpoint_or_a_bad_answer(raw: bytes) -> None:
    for header in (raw.decode("latin-1"), base64.b64encode(raw).decode()):
        try:
            read_header(header)
        except BadAnswer:
            continue


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_a_proof_holds_for_its_own_trees_and_no_others(
    one: int, other: int, data: st.DataObject
) -> None:
    old, new = sorted((one, other))
    small, large, way = read_note(LOG.note(old)), read_note(LOG.note(new)), proof(old, new)
    wrong = Checkpoint(small.origin, old, hashlib.sha256(b"").digest(), "")

    assert only_grew(small, large, way)
    assert not only_grew(wrong, large, way)
    assert not only_grew(small, large, [*way, small.root])
    if old < new:
        changed = Checkpoint(large.origin, new, wrong.root, "")
        assert not only_grew(small, changed, way)
        assert not only_grew(small, large, [])
        at = data.draw(st.integers(0, len(way) - 1))
        assert not only_grew(small, large, [*way[:at], *way[at + 1 :]])
        assert not only_grew(small, large, [*way[:at], wrong.root, *way[at + 1 :]])


def test_an_empty_log_is_the_beginning_of_every_other() -> None:
    empty = read_note(LOG.note(0))

    assert only_grew(empty, read_note(LOG.note(3)), [])
    assert not only_grew(empty, read_note(LOG.note(3)), [empty.root])


@given(st.integers(1, 300), st.data())
def test_an_entry_is_in_the_log_at_its_own_place_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    log, leaf = read_note(LOG.note(size)), leaf_hash(LOG.entry(index))
    way = [base64.b64decode(each) for each in LOG.receipt(index, size)["proof"]]

    assert is_entry(leaf, index, log, way)
    assert not is_entry(leaf_hash(b"another"), index, log, way)
    assert not is_entry(leaf, index, log, [*way, log.root])
    assert not is_entry(leaf, size, log, way)
    assert not is_entry(leaf, -1, log, way)
    if way:
        assert not is_entry(leaf, index, log, way[:-1])


@pytest.mark.parametrize("bad", ["", "a", "AAAA", "é", base64.b64encode(bytes(33)).decode()])
def test_a_proof_is_made_of_hashes(bad: str) -> None:
    with pytest.raises(BadAnswer):
        read_hashes([bad])
