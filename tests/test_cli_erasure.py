"""`inwit ledger erase`, `hold`, `prune` and `rotate-content-key`, as their users type them."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.errors import Conflict, SetupError
from inwit.ledger.content_keys import KeyFile, KeyMissing
from inwit.ledger.database import Database, sqlite_file, sqlite_url
from inwit.ledger.vault import Vault
from tests.ledger.sealed import append_for


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a ledger that has responses of two people."""
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        keys = KeyFile(tmp_path / "content.key", make=True)
        database = Database(sqlite_url(tmp_path), vault=Vault(keys))
        await database.open()
        await append_for(database, "ann", "resp_1", "resp_2")
        await append_for(database, "bob", "resp_3")
        await database.close()

    asyncio.run(fill())
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *words])


ANN = ("--end-user", "ann", "--tenant", "acme")


@pytest.mark.usefixtures("data_dir")
def test_a_dry_run_counts_and_the_other_erases() -> None:
    counted = json.loads(run("erase", *ANN, "--dry-run", "--json").output)
    done = run("erase", *ANN, "--reason", "DPO-12")

    assert (counted["responses"], counted["pieces"], counted["dry_run"]) == (2, 6, True)
    assert "Erased: 2 responses, 6 pieces, 0 texts, 0 cases, 0 deliveries." in done.output
    assert "The moon" not in run("show", "resp_1", "--content").output
    assert "The moon" in run("show", "resp_3", "--content").output


@contextmanager
def reading_only(folder: Path) -> Generator[None]:
    """As a verifier opens it: the file is not emptied by its end either."""
    with closing(sqlite3.connect(f"file:{sqlite_file(folder)}?mode=ro", uri=True)) as other:
        other.isolation_level = None
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM entries").fetchone()
        yield


LEFT = "write-ahead file could not be emptied yet"


def test_what_may_still_lie_in_the_files_is_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody reads: of keys too, which alone would open what backups have."""
    monkeypatch.setenv("INWIT_RETENTION", json.dumps({"content": {"*": "1d"}}))
    with reading_only(data_dir):
        erased = run("erase", "--response", "resp_3")
        told = run("erase", *ANN, "--json")
        rotated = run("rotate-content-key", "--add")
        subjects = run("rotate-content-key", "--subject-keys")
        assert sqlite_file(data_dir).with_name("ledger.sqlite3-wal").stat().st_size

    assert all(LEFT in each.output for each in (erased, rotated, subjects))
    assert json.loads(told.output)["scrubbed"] is False
    (named,) = set(re.findall(r"next command that writes[^`]*`inwit ledger (\w+)`", erased.output))
    left = sqlite_file(data_dir).with_name("ledger.sqlite3-wal")
    for only_reads in (["show", "resp_3"], ["verify"]):
        run(*only_reads)
        assert left.stat().st_size
    assert run(named).exit_code == 0
    assert not left.exists() or not left.stat().st_size
    assert LEFT not in run("rotate-content-key").output


@pytest.mark.usefixtures("data_dir")
def test_a_hold_is_placed_listed_and_lifted() -> None:
    placed = run("hold", *ANN, "--reason", "a suit")
    (hold,) = json.loads(run("holds", "--json").output)

    assert placed.output.startswith(f"{hold['id']} stands.")
    assert (hold["scope"], hold["reason"], hold["lifted"]) == ("end_user", "a suit", "-")
    assert "ann" not in json.dumps(hold)
    refused = run("erase", *ANN)
    assert isinstance(refused.exception, Conflict)  # `main` makes one sentence and exit code 2
    assert run("lift", hold["id"]).exit_code == 0
    assert run("erase", *ANN).exit_code == 0
    assert run("holds").output == "No hold stands.\n"
    assert json.loads(run("holds", "--all", "--json").output)[0]["lifted"] != "-"


@pytest.mark.parametrize(
    "words",
    [
        ("erase",),
        ("erase", "--end-user", "ann"),
        ("erase", "--tenant", "acme"),
        ("erase", *ANN, "--response", "resp_1"),
        ("erase", *ANN, "--reason", "x" * 201),
        ("hold", *ANN),
        ("hold", "--reason", "x"),
        ("hold", "--end-user", "ann", "--reason", "x"),
        ("rotate-content-key", "--tenant", "acme"),
        ("rotate-content-key", "--subject-keys", "--end-user", "ann"),
    ],
)
@pytest.mark.usefixtures("data_dir")
def test_what_is_missing_is_said(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_keys_are_rotated_and_the_old_one_is_not_needed(data_dir: Path) -> None:
    done = run("rotate-content-key", "--add", "--json")

    assert json.loads(done.output.splitlines()[-1])["subjects"] == 3
    file = data_dir / "content.key"
    old, new = file.read_text().splitlines()
    assert (old[:3], new[:3]) == ("k1:", "k2:")
    file.write_text(f"{new}\n")
    assert "The moon" in run("show", "resp_1", "--content").output
    assert "New keys: 1." in run("rotate-content-key", "--subject-keys", *ANN).output
    assert "New keys: 2." in run("rotate-content-key", "--subject-keys").output
    assert "The moon" in run("show", "resp_1", "--content").output


def test_a_key_that_is_lost_is_said(data_dir: Path) -> None:
    (data_dir / "content.key").unlink()

    refused = run("erase", *ANN)

    assert isinstance(refused.exception, KeyMissing)
    assert "INWIT_CONTENT_KEY_FILE" in str(refused.exception)
    assert run("show", "resp_1").exit_code == 0  # all but content is read
    assert run("erase", "--response", "resp_1").exit_code == 0  # and can be erased, too
    assert not (data_dir / "content.key").exists()


def test_pruning_does_what_the_setting_says(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(run("prune").exception, SetupError)
    monkeypatch.setenv("INWIT_RETENTION", json.dumps({"content": {"*": "1d"}}))

    counted = json.loads(run("prune", "--dry-run", "--json").output.splitlines()[-1])
    done = run("prune")

    assert counted == {"responses": 3, "entries": 0, "scrubbed": None, "dry_run": True}
    assert "Gone: the content of 3 responses, 0 entries." in done.output
    assert data_dir.exists()
