"""A bundle is the whole ledger as of one moment, and the verifier in it runs by itself."""

import ast
import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from inwit.decisions import AcceptedRecord, Asked
from inwit.errors import SetupError
from inwit.ledger import verify
from inwit.ledger.bundle import write_bundle
from inwit.ledger.database import Database
from inwit.ledger.notes import new_key
from inwit.ledger.opened import open_rows
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.store import LedgerStore
from inwit.ledger.verify_database import verify_database
from tests.ledger.both_databases import database as database
from tests.ledger.both_databases import postgres as postgres
from tests.ledger.signed_world import MADE, NAME, SignedWorld
from tests.ledger.test_store import ORIGIN, RECORD

VERIFIER = Path(verify.__file__)


@pytest.fixture(scope="module")
def world() -> Generator[SignedWorld]:
    made = SignedWorld()
    made.live()
    yield made
    made.close()


def alone(
    *arguments: str, folder: Path, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """As a stranger runs it: isolated from all that is installed here."""
    return subprocess.run(
        [python, "-I", "-S", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stranger_verifies_it_with_what_lies_in_it(world: SignedWorld, tmp_path: Path) -> None:
    folder = world.bundle(tmp_path / "bundle")

    done = alone("verify.py", ".", "--key", world.vkey, "--previous", "checkpoint", folder=folder)
    as_json = alone("verify.py", ".", "--key", world.vkey, "--json", folder=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("INTACT")
    assert "Erased on request: 1 erasures, 2 responses." in done.stdout
    assert as_json.returncode == verify.INCOMPLETE
    assert json.loads(as_json.stdout)["open"]["count"] == 3
    assert alone("verify.py", folder=folder).returncode == verify.MISUSE


def pythons() -> list[str]:
    """Other Pythons on this machine that the verifier promises to run on."""
    kept = Path.home() / ".pyenv" / "versions"
    minors = range(9, 15)
    on_path = [found for minor in minors if (found := shutil.which(f"python3.{minor}"))]
    by_pyenv = [str(file) for minor in minors for file in kept.glob(f"3.{minor}.*/bin/python3")]
    return [python for python in (*on_path, *by_pyenv) if _runs(python)]


def _runs(python: str) -> bool:
    done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0  # a shim of pyenv may stand for a version that is not chosen


@pytest.mark.process
def test_every_python_that_is_here_says_the_same(world: SignedWorld, tmp_path: Path) -> None:
    folder = world.bundle(tmp_path / "bundle")
    words = ("verify.py", ".", "--key", world.vkey, "--json")
    mine = alone(*words, folder=folder)
    assert json.loads(mine.stdout)["open"]["count"] == 3

    others = pythons() or pytest.skip("there is no other Python here")
    for python in others:
        done = alone(*words, folder=folder, python=python)
        assert (done.returncode, done.stderr) == (mine.returncode, ""), python
        assert json.loads(done.stdout) == json.loads(mine.stdout), python


def test_the_verifier_needs_nothing_but_an_old_python() -> None:
    tree = ast.parse(VERIFIER.read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported <= sys.stdlib_module_names


def test_nothing_is_left_where_it_cannot_be_written(world: SignedWorld, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()

    with pytest.raises(SetupError, match="there already"):
        world.bundle(taken)
    with world.engine.connect() as connection:
        connection.execute(sa.text("ALTER TABLE anchored RENAME TO gone"))
        with pytest.raises(OperationalError):
            write_bundle(connection, tmp_path / "bundle", MADE)
        connection.execute(sa.text("ALTER TABLE gone RENAME TO anchored"))

    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_content_is_in_it_only_where_it_is_asked_for(world: SignedWorld, tmp_path: Path) -> None:
    with world.engine.connect() as connection:
        written = write_bundle(connection, tmp_path / "bundle", MADE)

    assert written.openings == 0
    text = b"".join(each.read_bytes() for each in (tmp_path / "bundle").rglob("*.jsonl"))
    assert b"moon" not in text
    assert base64.b64encode(b'{"text":"The moon."}') not in text


async def test_either_database_gives_a_bundle_that_holds(
    database: Database, tmp_path: Path
) -> None:
    key = new_key(NAME)
    store = LedgerStore(database)
    async with store.running():
        for n in range(20):
            origin = replace(ORIGIN, response_id=f"resp_{n}")
            await store.append(AcceptedRecord(origin, RECORD.time, Asked.RESPONSE))
            await store.append(replace(RECORD, origin=origin))
    await Sequencer(database, [key], every_s=60).work()
    folder = tmp_path / "bundle"

    written = await database.read(lambda db: write_bundle(db, folder, MADE, open_rows))

    assert (written.size, written.checkpoint, written.openings) == (41, 41, 40)
    kept = verify.note_of((folder / "checkpoint").read_text())
    result = verify.verify_bundle(folder, [verify.key_of(key.vkey)], [kept])
    assert (result.code, result.openings) == (verify.INTACT, 40)
    found = await database.read(lambda db: verify_database(db, [verify.key_of(key.vkey)], [kept]))
    assert (found.breaks, found.gaps, found.opened) == ((), (), 40)
