"""`inwit ledger verify` says INTACT only where it looked, reads only, and its exit codes hold."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from inwit.ledger.bundle import write_bundle
from inwit.ledger.database import sqlite_file, sqlite_url
from inwit.ledger.merkle import Tree
from inwit.ledger.notes import Checkpoint, new_key, signed_note
from inwit.ledger.opened import open_rows
from inwit.ledger.verify import leaf_hash
from tests.ledger.signed_world import MADE, NAME, SignedWorld, notes_in
from tests.ledger.stored_world import run
from tests.ledger.stored_world import world as world
from tests.ledger.test_migrations import engine_of, migrate

INTACT, TAMPERED, INCOMPLETE, MISUSE = range(4)


@pytest.fixture
def data(tmp_path: Path, world: SignedWorld, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a deployment as Helm and Compose make it: the key is in the settings."""
    monkeypatch.setenv("INWIT_LEDGER_KEY", world.keys[0].line())
    return tmp_path / "data"


def bundle_of(data: Path, folder: Path) -> Path:
    with engine_of(sqlite_url(data)).connect() as connection:
        write_bundle(connection, folder, MADE, open_rows)
    return folder


def written_anew(data: Path, note: Callable[[int, bytes], str | None]) -> None:
    """What who can write to the database, and has no key, can do: another log, well linked."""
    raw = sqlite3.connect(sqlite_file(data))
    raw.execute("PRAGMA foreign_keys=OFF")
    rows = raw.execute("SELECT sequence, body FROM entries WHERE body <> X'' LIMIT 2").fetchall()
    for table in ("contents", "nodes", "checkpoints"):
        raw.execute(f"DELETE FROM {table}")  # noqa: S608  # ours
    raw.execute("DELETE FROM entries WHERE sequence > 2")
    tree, previous = Tree(), bytes(32)
    for sequence, body in rows:
        facts = {**json.loads(body), "previous": previous.hex()}
        made = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        told = (made, leaf_hash(made), previous, sequence)
        raw.execute("UPDATE entries SET body = ?, hash = ?, previous = ? WHERE sequence = ?", told)
        previous = leaf_hash(made)
        tree.append(previous)
    if signed := note(tree.size, tree.root()):
        values = (tree.size, tree.root(), "2026-11-30 12:00:00.000000", signed)
        raw.execute("INSERT INTO checkpoints (size, root, time, note) VALUES (?, ?, ?, ?)", values)
    raw.commit()
    raw.close()


def test_the_key_in_the_settings_is_the_one_that_signed(data: Path) -> None:
    found = run("verify")
    told = json.loads(run("verify", "--json").output)

    assert (found.exit_code, found.output.splitlines()[0][:6]) == (INTACT, "INTACT")
    assert "signatures checked: 8." in found.output
    assert [key.partition("+")[0] for key in told["keys"]] == [NAME]
    assert told["not_checked"] == [
        "that this is the log which others saw: no checkpoint that was kept was given"
    ]


def nothing(_size: int, _root: bytes) -> None:
    """No checkpoint over it."""


def by_another_key(size: int, root: bytes) -> str:
    return signed_note(Checkpoint(NAME, size, root), [new_key(NAME)])


@pytest.mark.parametrize(
    ("note", "code", "words"),
    [
        (nothing, INCOMPLETE, "there is no checkpoint, so nothing vouches"),
        (by_another_key, TAMPERED, "is not by a key that the log names"),
    ],
)
def test_a_log_that_was_written_anew_without_the_key_is_not_intact(
    data: Path, note: Callable[[int, bytes], str | None], code: int, words: str
) -> None:
    written_anew(data, note)

    found = run("verify")

    assert (found.exit_code, words in found.output) == (code, True), found.output


def test_checkpoints_that_were_taken_away_are_tampering_for_who_kept_one(
    data: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_text(notes_in(bundle_of(data, tmp_path / "bundle"))[0]["note"])
    raw = sqlite3.connect(sqlite_file(data))
    raw.execute("DELETE FROM checkpoints")
    raw.commit()
    raw.close()

    found = run("verify", "--previous", str(kept))

    assert found.exit_code == TAMPERED
    assert "it was signed, and there is no checkpoint here any more" in found.output


def test_without_a_key_nothing_is_called_intact(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INWIT_LEDGER_KEY")

    found = run("verify")
    told = json.loads(run("verify", "--json").output)

    assert found.exit_code == INCOMPLETE
    assert "no key of the log is here, so no signature was looked at" in found.output
    assert (told["keys"], told["signatures"], told["checkpoints"]) == ([], 0, 8)
    assert "who signed the checkpoints: there is no key to check it with" in told["not_checked"]
    assert not (data / "ledger.key").exists()


def test_before_the_first_checkpoint_it_is_incomplete_and_not_tampered_with(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_anew(data, nothing)
    monkeypatch.setenv("INWIT_LEDGER_KEY", new_key("of.another/name").line())

    assert run("verify").exit_code == INCOMPLETE


@pytest.mark.parametrize(
    "words",
    [["--nothing"], ["--key"], ["one", "two"], ["--previous"], ["--key", "nonsense"]],
    ids=" ".join,
)
def test_what_was_not_asked_rightly_exits_with_3(data: Path, words: list[str]) -> None:
    assert run("verify", *words).exit_code == MISUSE


def test_a_bundle_that_cannot_be_read_exits_with_3(
    data: Path, world: SignedWorld, tmp_path: Path
) -> None:
    folder = bundle_of(data, tmp_path / "bundle")
    (folder / "openings.jsonl").unlink()
    os.mkfifo(folder / "openings.jsonl")
    assert run("verify", str(folder), "--key", world.vkey).exit_code == MISUSE

    (folder / "openings.jsonl").unlink()
    (folder / "checkpoints.jsonl").unlink()
    (folder / "checkpoints.jsonl").mkdir()
    assert run("verify", str(folder), "--key", world.vkey).exit_code == MISUSE


def test_what_an_anchor_has_is_given_by_its_own_option(
    data: Path, world: SignedWorld, tmp_path: Path
) -> None:
    folder = bundle_of(data, tmp_path / "bundle")
    kept = str(folder / "checkpoint")

    assert run("verify", str(folder), "--key", world.vkey, "--anchored", kept).exit_code == INTACT
    assert run("verify", "--anchored", kept).exit_code == INTACT


def test_reading_changes_nothing(data: Path, tmp_path: Path) -> None:
    before = sqlite_file(data).read_bytes()

    for words in (["verify"], ["show", "resp_" + f"{1:032x}"]):
        assert run(*words).exit_code == 0
    assert run("policy", "none").exit_code == 1
    assert sqlite_file(data).read_bytes() == before
    assert {each.name.partition("-")[0] for each in data.iterdir()} == {"ledger.sqlite3"}


def test_reading_migrates_nothing(data: Path, tmp_path: Path) -> None:
    migrate(sqlite_url(data), "0004")
    before = sqlite_file(data).read_bytes()

    for words in (["verify"], ["show", "resp_1"], ["bundle", "--out", str(tmp_path / "out")]):
        found = run(*words)
        assert found.exit_code != 0
        assert "inwit ledger migrate" in (found.output + str(found.exception))
    assert run("verify").exit_code == MISUSE
    assert sqlite_file(data).read_bytes() == before
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="who may write everywhere has no such folder")
def test_a_folder_that_nobody_can_write_to_is_read(data: Path, tmp_path: Path) -> None:
    """Evidence on a medium of its own. That content leaves must be recorded, and cannot be."""
    data.chmod(0o500)
    sqlite_file(data).chmod(0o400)
    try:
        assert run("verify").exit_code == INTACT
        taken = run("bundle", "--out", str(tmp_path / "out"))
        with_content = run("bundle", "--with-content", "--out", str(tmp_path / "content"))
    finally:
        data.chmod(0o700)
    assert (taken.exit_code, "is not recorded" in taken.output) == (0, True)
    assert with_content.exit_code != 0
    assert not (tmp_path / "content").exists()


def unwritable(folder: Path) -> Callable[[Path, int], bool]:
    """What `os.access` says of it to everybody but root."""
    return lambda asked, _mode: asked != folder


def test_a_write_ahead_file_in_a_folder_that_nobody_can_write_to_is_to_be_copied(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence that was taken from a gateway at work, without the index that it had."""
    evidence, copy = tmp_path / "evidence", tmp_path / "copy"
    with closing(sqlite3.connect(sqlite_file(data))) as gateway:
        gateway.execute("CREATE TABLE other (a)")
        gateway.execute("DROP TABLE other")
        shutil.copytree(data, evidence, ignore=shutil.ignore_patterns("*-shm"))
    assert (evidence / "ledger.sqlite3-wal").stat().st_size
    shutil.copytree(evidence, copy)
    evidence.chmod(0o500)
    monkeypatch.setattr(os, "access", unwritable(evidence))
    try:
        monkeypatch.setenv("INWIT_DATA_DIR", str(evidence))
        refused, shown = run("verify"), run("show", "resp_1")
    finally:
        evidence.chmod(0o700)
    monkeypatch.setenv("INWIT_DATA_DIR", str(copy))

    assert refused.exit_code == MISUSE
    for words in (refused.output, str(shown.exception)):
        assert "Copy both files" in words
        assert "can be written" not in words
    assert run("verify").exit_code == INTACT
