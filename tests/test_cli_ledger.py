"""`inwit ledger`: verified from the command line, and told so that a terminal survives it."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.cli.ledger_story import print_story, seen
from inwit.ledger.database import sqlite_file
from inwit.ledger.read import Story
from tests.ledger.signed_world import SignedWorld


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorld:
    """A ledger in a data folder, written by another process."""
    made = SignedWorld()
    made.live()
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    CliRunner().invoke(app, ["ledger", "migrate"])
    with made.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        tables = [
            row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        raw.execute(f"ATTACH DATABASE '{sqlite_file(tmp_path / 'data')}' AS stored")
        for table in tables:
            raw.execute(f"INSERT INTO stored.{table} SELECT * FROM main.{table}")  # noqa: S608  # ours
        raw.commit()
    made.close()
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *arguments])


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

    print_story(stories, 0, content=True)
    print_story(stories, 0, content=False)

    told = capsys.readouterr().out
    assert set(told) - {"\n"} == {each for each in told if each.isprintable()}
    assert "[red]evil[/red]" in told
    assert seen("héllo 日本") == "héllo 日本"
