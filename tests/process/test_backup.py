"""Backup and restore as docs/operate.md has them, of a gateway that goes on working meanwhile."""

import asyncio
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from inwit.ledger.database import sqlite_file
from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.ledger.test_postgres import binaries
from tests.ledger.test_postgres import postgres as postgres  # a fixture
from tests.process.processes import run_inwit
from tests.process.test_serve import serving

pytestmark = pytest.mark.process


async def answered(client: httpx.AsyncClient, count: int) -> list[str]:
    """Ids of so many responses."""
    answers = [await client.post("/v1/respond", json=ASK) for _ in range(count)]
    assert {answer.status_code for answer in answers} <= {200, 202}
    return [answer.json()["id"] for answer in answers]


def story(data_dir: Path, response: str, **settings: str) -> Any:
    shown = run_inwit(f"ledger show {response}", data_dir, settings)
    return shown.returncode, shown.stdout


def unbroken(data_dir: Path, code: int = 0, **settings: str) -> str:
    """What `inwit ledger verify` says: 0, or 2 where no key is here by which to say who signed."""
    verified = run_inwit("ledger verify", data_dir, settings)
    assert verified.returncode == code, verified.stdout + verified.stderr
    return verified.stdout


async def test_sqlite_is_copied_while_it_is_written(tmp_path: Path) -> None:
    data, restored = tmp_path / "data", tmp_path / "restored"
    async with (
        FakeServer(yes=0.6, no=0.35).running() as server,
        serving(data, server) as (_gateway, client),
    ):
        before = await answered(client, 3)
        going_on = asyncio.create_task(answered(client, 10))
        restored.mkdir()
        ledger = sqlite_file(data)
        await asyncio.to_thread(vacuum_into, ledger, sqlite_file(restored))
        after = await going_on

    assert " 0 breaks" in await asyncio.to_thread(unbroken, restored, 2)
    for response in before:
        code, text = await asyncio.to_thread(story, restored, response)
        assert code == 0, text
    # The gateway starts on the copy with its keys, and goes on where the copy ends.
    for name in ("content.key", "ledger.key"):
        (restored / name).write_bytes((data / name).read_bytes())
    async with (
        FakeServer().running() as server,
        serving(restored, server) as (_gateway, client),
    ):
        await answered(client, 1)
    assert " 0 breaks" in await asyncio.to_thread(unbroken, restored)
    assert after


def vacuum_into(source: Path, copy: Path) -> None:
    """What `sqlite3 LEDGER "VACUUM INTO 'COPY'"` does."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))


async def test_postgresql_is_dumped_and_restored(
    tmp_path: Path, postgres: tuple[str, Path]
) -> None:
    url, programs = postgres[0], binaries()
    assert programs is not None
    settings = {"INWIT_DATABASE_URL": url}
    made = run_inwit("keys create --name test --tenant acme --json", tmp_path, settings)
    key = json.loads(made.stdout)["key"]
    async with (
        FakeServer(yes=0.6, no=0.35).running() as server,
        serving(tmp_path, server, **settings) as (_gateway, client),
    ):
        client.headers["authorization"] = f"Bearer {key}"
        before = await answered(client, 3)
        dump = tmp_path / "ledger.dump"
        await asyncio.to_thread(run, programs / "pg_dump", "--format=custom", f"--file={dump}", url)
    other = url.rsplit("/", 1)[0] + "/restored"
    run(programs / "createdb", f"--maintenance-db={url}", "restored")
    run(programs / "pg_restore", "--exit-on-error", f"--dbname={other}", dump)

    elsewhere = {"INWIT_DATABASE_URL": other}
    assert " 0 breaks" in unbroken(tmp_path, 2, **elsewhere)
    for response in before:
        code, text = story(tmp_path, response, **elsewhere)
        assert code == 0, text


def run(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
