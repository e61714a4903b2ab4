"""Two `inwit serve` processes on one Redis, one ledger and one policy folder."""

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from inwit.clients.redis import redis_client
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.policies import read
from tests.clients.test_redis import valkey, wait_for
from tests.conftest import ASK
from tests.fakes_policy_folder import policy_text, write_policies
from tests.fakes_server import FakeServer
from tests.process.coming_again import answered
from tests.process.processes import Inwit, free_port, inwit, run_inwit

pytestmark = pytest.mark.process

_PAUSE_S = 0.05  # leaves the processor to the gateways
_WAIT_S = 120.0  # a slow machine under load; nothing here hangs on how fast it is


@dataclass
class Fleet:
    """Two gateways, a client of each, and what they share."""

    folder: Path
    data_dir: Path
    settings: dict[str, str]
    gateways: list[Inwit]
    clients: list[httpx.AsyncClient]

    async def digests(self, policy: str) -> list[str | None]:
        """What each has in force under that name."""
        found = [await self._ready(client) for client in self.clients]
        return [each["policies"].get(policy, {}).get("digest") for each in found]

    async def problems(self) -> list[list[str]]:
        """What each says against the folder."""
        return [(await self._ready(client))["policy_problems"] for client in self.clients]

    async def until_digests(self, policy: str, text: str) -> None:
        """Wait until both have that text in force."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        async with asyncio.timeout(_WAIT_S):
            while await self.digests(policy) != [digest] * 2:  # noqa: ASYNC110  # others' processes
                await asyncio.sleep(_PAUSE_S)

    async def until_refused(self) -> list[list[str]]:
        """Wait until both have something against the folder."""
        async with asyncio.timeout(_WAIT_S):
            while not all(problems := await self.problems()):  # noqa: ASYNC110  # as above
                await asyncio.sleep(_PAUSE_S)
        return problems

    async def reload(self) -> tuple[int, str]:
        """`inwit policy reload`: its exit code, and all that it printed."""
        ended = await asyncio.to_thread(run_inwit, "policy reload", self.data_dir, self.settings)
        return ended.returncode, ended.stdout + ended.stderr

    async def _ready(self, client: httpx.AsyncClient) -> Any:
        return (await client.get("/readyz")).json()


@asynccontextmanager
async def fleet(tmp_path: Path, server: FakeServer, interval_ms: int) -> AsyncGenerator[Fleet]:
    folder = write_policies(tmp_path / "policies", default="1", support="1")
    port = free_port()
    settings = {
        "INWIT_MODEL_URL": server.base_url,
        # A machine that stands still for some seconds is no Redis that is away.
        "INWIT_REDIS_URL": f"redis://127.0.0.1:{port}?socket_timeout=120",
        "INWIT_POLICY_DIR": str(folder),
        "INWIT_HEALTH_INTERVAL_MS": str(interval_ms),
    }
    data_dir = tmp_path / "data"
    async with AsyncExitStack() as stack:
        stack.enter_context(valkey(tmp_path, "--port", str(port)))
        redis = await stack.enter_async_context(redis_client(settings["INWIT_REDIS_URL"]))
        await wait_for(redis)
        key = await asyncio.to_thread(_make_key, data_dir, settings)
        gateways = [stack.enter_context(inwit("serve", data_dir, settings)) for _ in range(2)]
        clients: list[httpx.AsyncClient] = []
        for gateway in gateways:
            line = await asyncio.to_thread(gateway.wait_for, '"serving"')
            if not any('"policy_channel_joined"' in printed for printed in gateway.printed):
                await asyncio.to_thread(gateway.wait_for, '"policy_channel_joined"')
            client = httpx.AsyncClient(
                base_url=json.loads(line)["address"],
                headers={"authorization": f"Bearer {key}"},
                timeout=_WAIT_S,
            )
            clients.append(await stack.enter_async_context(client))
        yield Fleet(folder, data_dir, settings, gateways, clients)


def _make_key(data_dir: Path, settings: dict[str, str]) -> str:
    create = "keys create --name test --tenant acme --policy support --policy default --json"
    return str(json.loads(run_inwit(create, data_dir, settings).stdout)["key"])


@asynccontextmanager
async def traffic(fleet: Fleet) -> AsyncGenerator[list[tuple[int, str]]]:
    """Ask every gateway one thing after another while the block runs; statuses and digests."""
    answers: list[tuple[int, str]] = []
    ended = asyncio.Event()

    async def ask(client: httpx.AsyncClient, policy: str) -> None:
        while not ended.is_set():
            answer = await answered(
                partial(client.post, "/v1/respond", json={**ASK, "policy": policy})
            )
            await asyncio.sleep(_PAUSE_S)
            answers.append((answer.status_code, answer.json().get("policy", {}).get("digest", "")))

    asking = [
        asyncio.create_task(ask(client, policy))
        for client in fleet.clients
        for policy in ("support", "default")
    ]
    try:
        yield answers
    finally:
        ended.set()
        await asyncio.gather(*asking)


async def until_used(answers: list[tuple[int, str]], text: str) -> None:
    """Wait until somebody was answered by that policy."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    async with asyncio.timeout(_WAIT_S):
        while digest not in {used for _, used in answers}:  # noqa: ASYNC110  # others fill it
            await asyncio.sleep(_PAUSE_S)


async def _kept(data_dir: Path, digest: str) -> bytes | None:
    database = Database(sqlite_url(data_dir))
    await database.open()
    found = await read(database, digest)
    await database.close()
    return found.text if found else None


async def test_both_gateways_follow_a_reload_and_no_request_fails(tmp_path: Path) -> None:
    async with FakeServer().running() as server, fleet(tmp_path, server, 600_000) as two:
        async with traffic(two) as answers:
            first, second = policy_text("support", "1"), policy_text("support", "2")
            await until_used(answers, first)
            write_policies(two.folder, support="2")
            code, said = await two.reload()
            await two.until_digests("support", second)
            await until_used(answers, second)

            bad = two.folder / "support.yaml"
            bad.write_text(policy_text("support", "3") + "no_such_key: 1\n")
            for gateway in two.gateways:  # the command would refuse it, and not tell them
                gateway.process.send_signal(signal.SIGHUP)
            problems = await two.until_refused()
            still = await two.digests("support")

            write_policies(two.folder, support="3")
            for gateway in two.gateways:
                gateway.process.send_signal(signal.SIGHUP)
            await two.until_digests("support", policy_text("support", "3"))
            mended = await two.problems()
        digest = hashlib.sha256(second.encode()).hexdigest()
        kept = await _kept(two.data_dir, digest)

    place = f"{bad}:{len(policy_text('support', '3').splitlines()) + 1}:"
    assert (code, "gateways told: 2" in said) == (0, True)
    assert all(place in problem[0] for problem in problems)
    assert still == [digest] * 2
    assert mended == [[], []]
    assert kept == second.encode()
    assert {status for status, _ in answers} == {200}


async def test_time_alone_is_enough(tmp_path: Path) -> None:
    async with FakeServer().running() as server, fleet(tmp_path, server, 50) as two:
        async with traffic(two) as answers:
            write_policies(two.folder, support="2")
            await two.until_digests("support", policy_text("support", "2"))
        (two.folder / "default.yaml").unlink()
        async with asyncio.timeout(_WAIT_S):
            while await two.digests("default") != [None, None]:  # noqa: ASYNC110  # as above
                await asyncio.sleep(_PAUSE_S)
        asked = {**ASK, "policy": "default"}
        gone = await answered(lambda: two.clients[0].post("/v1/respond", json=asked))
        stays = await answered(lambda: two.clients[1].post("/v1/respond", json=ASK))
        code = await asyncio.to_thread(two.gateways[0].stop, signal.SIGTERM)

    assert {status for status, _ in answers} == {200}
    assert (gone.status_code, stays.status_code, code) == (403, 200, 0)
