"""`inwit ledger show` says who signed what it tells, or that this is not known."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inwit.ledger.database import sqlite_file
from inwit.ledger.merkle import Tree
from inwit.ledger.notes import Checkpoint, SigningKey, new_key, signed_note
from inwit.ledger.verify import leaf_hash
from tests.ledger.signed_world import NAME, SignedWorld
from tests.ledger.stored_world import run
from tests.ledger.stored_world import world as world

RESPONSE = "resp_" + f"{1:032x}"
INTACT, TAMPERED, INCOMPLETE = range(3)


def told(*words: str) -> str:
    """What a person reads under the story."""
    shown = run("show", RESPONSE, *words)
    assert shown.exit_code == 0, shown.output
    return shown.output.splitlines()[-1]


def checkpoint(*words: str) -> dict[str, Any]:
    """What a program reads, the same with each entry."""
    shown = run("show", RESPONSE, "--json", *words)
    decoder, found = json.JSONDecoder(), list[dict[str, Any]]()
    assert shown.exit_code == 0, shown.output
    text = shown.stdout
    while text:
        entry, end = decoder.raw_decode(text)
        found.append(entry["checkpoint"])
        text = text[end:].lstrip()
    assert all(each == found[0] for each in found)
    return found[0]


def second(world: SignedWorld) -> SigningKey:
    """The key that signs since the log was handed over to it."""
    assert world.signing is not None
    return world.signing[-1]


def stored(folder: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(sqlite_file(folder / "data"))
    raw.execute("PRAGMA foreign_keys=OFF")
    return raw


def test_the_key_that_signed_was_given(world: SignedWorld) -> None:
    key = second(world)

    assert f"is signed by a key that you gave: {NAME}+{key.id}." in told("--key", key.vkey)
    found = checkpoint("--key", key.vkey)
    assert (found["signed_by"], found["trust"]) == (key.vkey, "given")
    assert found["note"].startswith(f"{NAME}\n{found['size']}\n")


def test_a_key_of_before_the_rotation_vouches_for_that_of_after(
    world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INWIT_LEDGER_KEY", world.keys[0].line())

    line, found = told(), checkpoint()

    assert "by a key to which one that the settings name handed over" in line
    assert f"{NAME}+{second(world).id}." in line
    assert (found["signed_by"], found["trust"]) == (second(world).vkey, "handed over")
    assert run("verify").exit_code == INTACT


def test_without_a_key_it_is_said_that_the_log_speaks_for_itself(world: SignedWorld) -> None:
    """A log that a stranger wrote names the stranger's keys."""
    line, found = told(), checkpoint()

    assert f"is signed by a key that the log itself names: {NAME}+{second(world).id}." in line
    assert "Who signed was not checked: no key of the log is here (--key)." in line
    assert (found["signed_by"], found["trust"]) == (second(world).vkey, "not checked")
    assert run("verify").exit_code == INCOMPLETE


def test_the_log_of_a_stranger_is_not_that_of_the_key(
    world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INWIT_LEDGER_KEY", new_key(NAME).line())

    line, found = told(), checkpoint()

    assert "is not signed by a key that the settings name, nor by one to which it" in line
    assert "Run `inwit ledger verify`." in line
    assert (found["signed_by"], found["trust"]) == (None, "unknown")


def test_a_key_that_was_left_off_signs_no_more(world: SignedWorld, tmp_path: Path) -> None:
    """A stolen one, after the rotation."""
    with closing(stored(tmp_path)) as raw:
        size, root = raw.execute("SELECT max(size), root FROM checkpoints").fetchone()
        note = signed_note(Checkpoint(NAME, size, root), [world.keys[0]])
        raw.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (note, size))
        raw.commit()

    assert checkpoint("--key", world.vkey)["trust"] == "unknown"
    assert run("verify", "--key", world.vkey).exit_code == TAMPERED
    assert "not signed by a key that the log itself names. Who signed was not" in told()


def test_a_handover_that_nobody_signed_is_none(world: SignedWorld, tmp_path: Path) -> None:
    """Who can write to the database names a key of their own, and signs beside the true keys."""
    stranger = new_key(NAME)
    with closing(stored(tmp_path)) as raw:
        query = "SELECT sequence, body FROM entries WHERE type = 'signing_keys' ORDER BY 1 DESC"
        place, body = raw.execute(query).fetchone()
        facts = json.loads(body)
        facts["facts"] = {"vkeys": [stranger.vkey], "added": [stranger.vkey], "removed": []}
        body = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        values = (body, leaf_hash(body), place)
        raw.execute("UPDATE entries SET body = ?, hash = ? WHERE sequence = ?", values)
        for size, note in raw.execute("SELECT size, note FROM checkpoints").fetchall():
            both = note + stranger.signature(note.partition("\n\n")[0] + "\n")
            raw.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (both, size))
        tree = Tree()
        for (leaf,) in raw.execute("SELECT hash FROM entries ORDER BY sequence"):
            tree.append(leaf)
        made = (
            tree.size,
            tree.root(),
            signed_note(Checkpoint(NAME, tree.size, tree.root()), [stranger]),
        )
        raw.execute("DELETE FROM checkpoints WHERE size = ?", made[:1])
        raw.execute(
            "INSERT INTO checkpoints (size, root, note, time) "
            "VALUES (?, ?, ?, '2026-11-30 12:00:00.000000')",
            made,
        )
        raw.commit()

    shown = run("show", RESPONSE, "--key", world.vkey).output
    assert "DOES NOT HOLD" not in shown  # what it says fits what the stranger signed
    assert checkpoint("--key", world.vkey)["trust"] == "unknown"
    assert checkpoint()["trust"] == "not checked"


@pytest.mark.parametrize("content", [None, "no key"], ids=["absent", "unfit"])
def test_a_story_is_told_where_the_signing_key_cannot_be_read(
    world: SignedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "ledger.key"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("INWIT_LEDGER_KEY_FILE", str(file))

    line = told()

    assert "Who signed was not checked: the keys that the settings name" in line
    assert "INWIT_LEDGER_KEY_FILE" in line
    assert checkpoint()["trust"] == "not checked"
    assert "by a key that you gave" in told("--key", second(world).vkey)


def test_a_key_that_is_none_is_refused(world: SignedWorld) -> None:
    assert world.keys
    refused = run("show", RESPONSE, "--key", "nonsense")
    assert (refused.exit_code, "not a key of a log" in refused.output) == (2, True)
