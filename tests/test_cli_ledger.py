"""`inwit ledger`: verified from the command line, and told so that a terminal survives it."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inwit.cli.ledger_story import OwnKeys, print_story, seen
from inwit.ledger.database import sqlite_file
from inwit.ledger.proofs import Signed
from inwit.ledger.read import Story
from inwit.ledger.signers import Signature, Trusted
from inwit.ledger.story import Proven
from inwit.ledger.verify import leaf_hash
from tests.ledger.signed_world import SignedWorld
from tests.ledger.stored_world import run
from tests.ledger.stored_world import world as world


def test_a_database_and_its_bundle_are_verified(world: SignedWorld, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    key, kept = ("--key", world.vkey), ("--previous", str(folder / "checkpoint"))

    assert run("bundle", "--out", str(folder)).exit_code == 0
    by_key = run("verify", *key)
    assert (by_key.exit_code, " 0 breaks" in by_key.output) == (0, True)
    assert run("verify", *key, *kept).exit_code == 0
    assert run("verify", str(folder), *key).exit_code == 2
    assert run("verify", str(folder), *key, *kept).exit_code == 0
    assert (
        json.loads(run("verify", str(folder), *key, *kept, "--json").output)["result"] == "intact"
    )
    assert run("verify", str(folder)).exit_code == 3
    assert run("verify", "--key", "nonsense").exit_code == 3


def test_taking_a_bundle_out_is_an_entry(world: SignedWorld, tmp_path: Path) -> None:
    run("bundle", "--out", str(tmp_path / "bundle"), "--with-content")
    run("bundle", "--out", str(tmp_path / "again"))

    lines = (tmp_path / "again/entries/000000000000.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["type"], last["actor"]) == ("exported", "operator")
    assert last["facts"] == {"what": "bundle", "rows": len(lines) - 1, "with_content": True}


def test_a_changed_database_exits_with_1(world: SignedWorld, tmp_path: Path) -> None:

    raw = sqlite3.connect(sqlite_file(tmp_path / "data"))
    raw.execute("UPDATE entries SET tenant = 'other' WHERE sequence = 2")
    raw.commit()
    raw.close()

    found = run("verify", "--key", world.vkey)

    assert found.exit_code == 1
    assert "entry 2: the column tenant differs from the entry" in found.output


def test_a_story_is_told_in_order(world: SignedWorld) -> None:
    name = "resp_" + f"{1:032x}"
    shown = run("show", name)

    assert shown.exit_code == 0, shown.output
    steps = ("accepted", "held for a person", "Claimed", "Ruled: approve", "Outcome: released")
    places = [shown.output.index(step) for step in steps]
    assert places == sorted(places)
    assert "conscience: risk 0.1" in shown.output
    assert "The moon." not in shown.output
    assert "The answer." in run("show", name, "--content").output
    first = json.JSONDecoder().raw_decode(run("show", name, "--json").output)[0]
    assert first["type"] == "accepted"


RESPONSE = "resp_" + f"{1:032x}"


def change(folder: Path, statement: str) -> None:
    """As whoever can write to the database does it."""
    raw = sqlite3.connect(sqlite_file(folder / "data"))
    raw.execute("PRAGMA foreign_keys=OFF")
    assert raw.execute(statement, {"response": RESPONSE}).rowcount
    raw.commit()
    raw.close()


def test_without_a_checkpoint_nothing_vouches_for_a_story(
    world: SignedWorld, tmp_path: Path
) -> None:
    assert "DOES NOT HOLD" not in run("show", RESPONSE).output
    change(tmp_path, "DELETE FROM checkpoints")
    told = run("show", RESPONSE).output
    assert "There is no checkpoint" in told
    assert told.count("not under a checkpoint yet") == told.count("  by ")


def test_an_entry_that_was_edited_in_place_is_not_told_as_proven(
    world: SignedWorld, tmp_path: Path
) -> None:
    change(
        tmp_path,
        "UPDATE entries "
        "SET body = CAST(replace(CAST(body AS TEXT), '\"held\"', '\"free\"') AS BLOB) "
        "WHERE response_id = :response AND type = 'decision'",
    )

    told = run("show", RESPONSE)

    assert told.exit_code == 0, told.output
    assert told.output.count("DOES NOT HOLD") == 1
    assert "What it says now is not shown." in told.output
    assert "conscience: risk 0.1" not in told.output
    decoder, text = json.JSONDecoder(), run("show", RESPONSE, "--json").output
    standings = list[tuple[str, str]]()
    while text:
        entry, end = decoder.raw_decode(text)
        standings.append((entry["type"], entry["standing"]))
        text = text[end:].lstrip()
    assert ("accepted", "in the log") in standings
    assert ("decision", "does not hold") in standings


def test_an_entry_with_a_hash_of_its_own_is_not_in_the_log(
    world: SignedWorld, tmp_path: Path
) -> None:
    """Whoever edits an entry can make the hash fit; the signed tree has the old one."""
    body = b'{"sequence":1,"time":5,"commitments":7}'
    query = (
        "UPDATE entries SET body = X'{}', hash = X'{}' WHERE response_id = :response AND type = "
    )
    change(tmp_path, query.format(body.hex(), leaf_hash(body).hex()) + "'accepted'")

    told = run("show", RESPONSE)

    assert told.exit_code == 0, told.output
    assert told.output.count("DOES NOT HOLD") >= 1


def test_content_that_was_changed_is_not_told(world: SignedWorld, tmp_path: Path) -> None:
    assert "The answer." in run("show", RESPONSE, "--content").output
    change(tmp_path, 'UPDATE contents SET content = CAST(\'{"text":"Other."}\' AS BLOB)')

    told = run("show", RESPONSE, "--content").output

    assert "what is stored is not what the entry committed to" in told
    assert "Other." not in told


def test_nothing_that_somebody_wrote_reaches_the_terminal_as_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = "\x1b[2J\x9b31m\u202e[red]evil[/red]\r\x07\ud800"
    facts = {
        "sequence": 1,
        "type": evil,
        "time": evil,
        "actor": evil,
        "case": evil,
        "facts": {evil: evil, "deep": [evil]},
        "rounds": [{"verdicts": [{"judge": evil, "categories": [evil]}]}],
    }
    stories = [Story(facts, "ab" * 32, {evil: {"text": f"{evil}\nline"}, "other": evil})]
    stories.append(Story({**facts, "type": "decision", "reasons": [evil]}, "ab" * 32, {}))

    stories.append(Story({**facts, "type": evil}, evil, {}, changed=True, unfit=(evil,)))
    stories.append(Story(facts, evil, {}, unfit=(evil,)))
    print_story(stories, Proven({}, None, None), OwnKeys(()), content=True)
    signed = Signed(0, evil, datetime.now(UTC)), Signature(None, Trusted.UNKNOWN)
    print_story(stories, Proven({}, *signed), OwnKeys(()), content=False)

    told = capsys.readouterr().out
    assert set(told) - {"\n"} == {each for each in told if each.isprintable()}
    assert "[red]evil[/red]" in told
    assert seen("héllo 日本") == "héllo 日本"
