"""`inwit doctor` through the command line, on real servers with faults planted in them."""

import asyncio
import json
import os
import re
import socket
import sqlite3
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis

from inwit.ledger.database import Database, sqlite_file, sqlite_url
from tests.fakes_server import FakeServer
from tests.ledger.test_postgres import postgres as postgres
from tests.ledger.test_store import append
from tests.process.processes import free_port, inwit, run_inwit
from tests.process.redis_server import redis_server

pytestmark = pytest.mark.process

LATE = re.compile(r"not answer within|[Tt]ime(d out|out)")
NOWHERE = {"INWIT_REDIS_URL": "redis://127.0.0.1:1", "INWIT_MODEL_URL": "http://127.0.0.1:1/v1"}


class Told:
    """What the doctor said, by check."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output
        self._found: list[dict[str, str]] = json.loads(output)

    def grade(self, check: str) -> str:
        """The worst grade of a check."""
        grades = {each["grade"] for each in self._found if each["check"] == check}
        return next(each for each in ("wrong", "warning", "ok") if each in grades)

    def words(self, check: str) -> str:
        """All that was found and advised there."""
        return " ".join(
            f"{each['words']} {each['remedy']}" for each in self._found if each["check"] == check
        )


async def doctor(folder: Path, **settings: str) -> Told:
    """What it says where this machine did not stand still: to it, a server would be late."""
    shared = NOWHERE | {"INWIT_PORT": str(free_port())} | settings
    for left in reversed(range(5)):
        ran = await asyncio.to_thread(run_inwit, "doctor --json", folder, shared)
        assert ran.stderr == ""
        if not left or not LATE.search(ran.stdout):
            return Told(ran.returncode, ran.stdout)
    raise AssertionError("unreachable")


async def test_a_shutdown_that_would_cut_the_slowest_answers(tmp_path: Path) -> None:
    enough = await doctor(tmp_path, INWIT_SHUTDOWN_S="75")
    less = await doctor(tmp_path, INWIT_SHUTDOWN_S="74")
    recorded = await doctor(tmp_path, INWIT_RECORD_MS="7501")

    assert enough.grade("drain") == "ok"
    assert less.grade("drain") == recorded.grade("drain") == "warning"
    assert "75 s (INWIT_DEADLINE_MS, twice INWIT_RECORD_MS and 5 s" in less.words("drain")
    assert "Raise INWIT_SHUTDOWN_S" in less.words("drain")


async def test_all_is_well(tmp_path: Path, postgres: tuple[str, Path]) -> None:
    options = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
    database = Database(postgres[0])
    await database.open()
    await database.close()
    with redis_server(tmp_path, *options) as redis:
        async with FakeServer().running() as server:
            settings = {
                "INWIT_DATABASE_URL": postgres[0],
                "INWIT_REDIS_URL": redis.url,
                "INWIT_MODEL_URL": server.base_url,
            }
            told = await doctor(tmp_path / "data", **settings)
            shown = await asyncio.to_thread(run_inwit, "doctor", tmp_path / "data", settings)

    assert told.code == 0
    assert "wrong" not in told.output
    assert told.grade("clock") == told.grade("ledger schema") == told.grade("model") == "ok"
    assert "crash costs up to 1 s" in told.words("redis")
    assert "No replica is connected" in told.words("redis")
    assert "inwit calibrate" in told.words("calibrations")
    assert shown.returncode == 0
    assert "0 wrong" in shown.stdout


async def test_with_nothing_running(tmp_path: Path) -> None:
    told = await doctor(tmp_path / "data")

    assert told.code == 1
    assert told.grade("redis") == told.grade("model") == "wrong"
    assert told.grade("data folder") == told.grade("ledger") == told.grade("ports") == "ok"
    assert not (tmp_path / "data").exists()


async def test_a_misspelt_setting(tmp_path: Path) -> None:
    told = await doctor(tmp_path, INWIT_MODEL_ULR="http://x")

    assert told.code == 1
    assert "Did you mean INWIT_MODEL_URL" in told.words("settings")


async def test_what_is_wrong_with_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as redis:
        async with Redis.from_url(redis.url) as client:  # pyright: ignore  # untyped **kwargs
            await client.config_set("requirepass", "right-secret")  # pyright: ignore  # as above
        address = f"redis://:wrong-secret@127.0.0.1:{redis.port}"
        refused = await doctor(tmp_path, INWIT_REDIS_URL=address)
        address = address.replace("wrong", "right")
        evicting = await doctor(tmp_path, INWIT_REDIS_URL=address)

    assert "refuses the user or the password" in refused.words("redis")
    assert refused.grade("redis") == "wrong"
    assert evicting.grade("redis") == "warning"
    assert "allkeys-lru" in evicting.words("redis")
    assert "appendonly is no" in evicting.words("redis")
    assert "-secret" not in refused.output + evicting.output


@pytest.fixture
def roles(postgres: tuple[str, Path]) -> Iterator[str]:
    """Users of the database: one that may only read, one that is set up to fail."""
    engine = sa.create_engine(postgres[0].replace("postgresql:", "postgresql+pg8000:"))
    begin = (
        "CREATE ROLE reader LOGIN",
        "GRANT pg_read_all_data TO reader",
        "CREATE ROLE strict LOGIN SUPERUSER",
        "ALTER ROLE strict SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE strict SET synchronous_commit = 'off'",
    )
    with engine.begin() as connection:
        for statement in begin:
            connection.execute(sa.text(statement))
    yield postgres[0]
    with engine.begin() as connection:
        connection.execute(sa.text("DROP ROLE reader, strict"))
    engine.dispose()


async def test_what_is_wrong_with_postgresql(tmp_path: Path, roles: str) -> None:
    database = Database(roles)
    await database.open()
    await database.close()

    def told(user: str) -> Any:
        return doctor(tmp_path, INWIT_DATABASE_URL=roles.replace("//inwit@", f"//{user}@"))

    unknown = await told("nobody:the-secret")
    reader = await told("reader")
    strict = await told("strict")

    assert 'role "nobody" does not exist' in unknown.words("ledger")
    assert "the-secret" not in unknown.output
    assert reader.grade("ledger writes") == "wrong"
    assert strict.grade("ledger writes") == "ok"
    assert strict.grade("postgresql") == "wrong"
    assert "serializable" in strict.words("postgresql")
    assert "synchronous_commit is off" in strict.words("postgresql")


async def test_what_is_wrong_with_a_ledger(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    await append(database, 3)
    await database.close()
    sound = await doctor(tmp_path)
    _run(tmp_path, "UPDATE entries SET body = 'other' WHERE sequence = 2")
    broken = await doctor(tmp_path)
    _run(tmp_path, "UPDATE alembic_version SET version_num = '0003'")
    old = await doctor(tmp_path)
    refused = await doctor(tmp_path, INWIT_MIGRATE="0")
    _run(tmp_path, "UPDATE alembic_version SET version_num = '0099'")
    newer = await doctor(tmp_path)

    assert "last 3 entries hold together" in sound.words("ledger chain")
    assert broken.grade("ledger chain") == "wrong"
    assert old.grade("ledger schema") == "ok"
    assert "inwit ledger migrate" in refused.words("ledger schema")
    assert refused.grade("ledger schema") == newer.grade("ledger schema") == "wrong"


def _run(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(sqlite_file(folder))) as ledger:
        ledger.execute(statement)
        ledger.commit()


async def test_what_is_wrong_with_a_model(tmp_path: Path) -> None:
    async with FakeServer(review="no_logprobs", adapters=("other",)).running() as server:
        blind = await doctor(tmp_path, INWIT_MODEL_URL=server.base_url)
        misnamed = await doctor(tmp_path, INWIT_MODEL_URL=server.base_url, INWIT_MODEL="mine")
        missing = await doctor(
            tmp_path, INWIT_MODEL_URL=server.base_url, INWIT_CONSCIENCE_MODEL="conscience"
        )

    assert blind.grade("model") == misnamed.grade("model") == missing.grade("model") == "wrong"
    assert "no log-probabilities" in blind.words("model")
    assert "INWIT_MODEL is 'mine'" in misnamed.words("model")
    assert "--enable-lora" in missing.words("model")


async def test_what_is_wrong_with_policies_and_classifiers(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "default.yaml").write_text("name: default\nversoin: 1\n")
    away = {"guard": {"kind": "http", "url": "http://127.0.0.1:1"}}

    told = await doctor(
        tmp_path, INWIT_POLICY_DIR=str(policies), INWIT_CLASSIFIERS=json.dumps(away)
    )

    assert "default.yaml:2" in told.words("policies")
    assert told.grade("classifier guard") == "wrong"
    assert told.grade("classifier embedded") == "ok"


async def test_what_is_wrong_around_it(tmp_path: Path) -> None:
    config = tmp_path / "inwit.toml"
    config.write_text('model_api_key = "the-secret"\n')
    config.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        told = await doctor(
            tmp_path,
            INWIT_CONFIG=str(config),
            INWIT_PORT=str(taken),
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        )

    assert "INWIT_PORT" in told.words("ports")
    assert f"chmod 600 {config}" in told.words("secrets")
    assert told.grade("collector") == "warning"
    assert "the-secret" not in told.output
    assert stat.S_IMODE(os.stat(config).st_mode) == 0o644


@asynccontextmanager
async def gateway_in(folder: Path) -> AsyncGenerator[dict[str, str]]:
    """A gateway that serves on this data folder while the block runs; its settings."""
    async with FakeServer().running() as server:
        settings = {
            "INWIT_MODEL_URL": server.base_url,
            "INWIT_PORT": str(free_port()),
            "INWIT_EMBEDDED_REDIS": "1",
        }
        with inwit("serve", folder, settings) as gateway:
            await asyncio.to_thread(gateway.wait_for, '"serving"')
            yield settings


async def test_beside_a_gateway_that_serves(tmp_path: Path) -> None:
    async with gateway_in(tmp_path) as settings:
        told = await doctor(tmp_path, **settings)

    assert "A gateway is serving there." in told.words("ports")
