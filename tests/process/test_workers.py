"""`inwit serve --workers N`: one port, one sum of what is counted, and a worker that dies."""

import asyncio
import json
import os
import re
import select
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from inwit.config import load_settings
from inwit.workers import supervise
from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.coming_again import answered
from tests.process.processes import STOP_S, Inwit, free_port, inwit, make_key, run_inwit
from tests.process.redis_server import valkey_server

pytestmark = pytest.mark.process


@dataclass
class Team:
    """A parent with its workers, and where they answer."""

    process: Inwit
    address: str
    key: str

    async def logged(self, word: str) -> dict[str, Any]:
        return json.loads(await asyncio.to_thread(self.process.wait_for, f'"{word}"'))

    async def ask(self, times: int) -> None:
        """Each on a connection of its own, eight at a time."""
        places = asyncio.Semaphore(8)

        async def one() -> None:
            headers = {"authorization": f"Bearer {self.key}"}
            async with places, httpx.AsyncClient(base_url=self.address, timeout=STOP_S) as client:
                answer = await answered(
                    lambda: client.post("/v1/respond", json=ASK, headers=headers)
                )
            assert answer.status_code in (200, 202)

        await asyncio.gather(*(one() for _ in range(times)))

    async def sums(self) -> set[float]:
        """What /metrics says of all responses, asked on several connections."""
        found = set[float]()
        for _ in range(6):
            async with httpx.AsyncClient(base_url=self.address, timeout=STOP_S) as client:
                metrics = (await client.get("/metrics")).text
            lines = re.findall(r"^inwit_responses_total\{.*\} (\S+)$", metrics, re.MULTILINE)
            found.add(sum(map(float, lines)))
        return found


@asynccontextmanager
async def team(folder: Path, **settings: str) -> AsyncGenerator[Team]:
    """Two workers on one SQLite ledger, in front of a fake model."""
    with valkey_server(folder) as redis:
        async with FakeServer().running() as server:
            shared = {"INWIT_MODEL_URL": server.base_url, "INWIT_REDIS_URL": redis.url, **settings}
            key = await asyncio.to_thread(make_key, folder)
            with inwit("serve --workers 2", folder, shared) as process:
                serving = [await asyncio.to_thread(process.wait_for, '"serving"') for _ in "12"]
                yield Team(process, json.loads(serving[0])["address"], key)


async def test_what_is_counted_is_the_sum_and_outlives_a_worker(tmp_path: Path) -> None:
    async with team(tmp_path) as workers:
        await workers.ask(60)
        before = await workers.sums()
        killed, _other = workers.process.children()
        os.kill(killed, signal.SIGKILL)
        died = await workers.logged("worker_died")
        await workers.logged("serving")
        after = await workers.sums()
        await workers.ask(20)
        more = await workers.sums()
        code = await asyncio.to_thread(workers.process.stop, signal.SIGTERM)
        verified = await asyncio.to_thread(run_inwit, "ledger verify", tmp_path)

    assert before == after == {60.0}
    assert more == {80.0}
    assert died["code"] == -signal.SIGKILL
    assert code == 0
    assert workers.process.children() == []
    assert ", 0 breaks" in verified.stdout


async def test_no_request_is_lost_when_all_are_told_to_stop(tmp_path: Path) -> None:
    async with team(tmp_path) as workers:
        asking = asyncio.create_task(_until_closed(workers))
        while not asking.done() and await workers.sums() == {0.0}:
            pass
        code = await asyncio.to_thread(workers.process.stop, signal.SIGINT)
        answered, cut = await asking

    assert code == 0
    assert answered > 0
    assert cut == []


async def _until_closed(workers: Team) -> tuple[int, list[str]]:
    """How many were answered until the port was closed, and what was cut."""
    answered, cut = 0, list[str]()

    async def caller() -> None:
        nonlocal answered
        headers = {"authorization": f"Bearer {workers.key}"}
        async with httpx.AsyncClient(base_url=workers.address, headers=headers) as client:
            while True:
                try:
                    answer = await client.post("/v1/respond", json=ASK, timeout=STOP_S)
                except httpx.ConnectError:
                    return
                except httpx.HTTPError as error:
                    cut.append(repr(error))
                else:
                    answered += answer.status_code < 300

    await asyncio.gather(*(caller() for _ in range(6)))
    return answered, cut


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    async with team(tmp_path) as workers:
        ends = [os.pidfd_open(child) for child in workers.process.children()]
        workers.process.process.kill()
        await asyncio.to_thread(workers.process.process.wait)
        ended = [await asyncio.to_thread(select.select, [end], [], [], STOP_S) for end in ends]
        for end in ends:
            os.close(end)

    assert [readable for readable, _, _ in ended] == [[end] for end in ends]
    assert len(ends) == 2


@pytest.mark.parametrize("turns", range(1, 9))
async def test_a_worker_that_is_just_being_started_is_told_to_stop_too(
    tmp_path: Path, turns: int
) -> None:
    """SIGTERM to the parent in each turn of its loop around the start of a worker."""
    settings = load_settings(data_dir=tmp_path, port=free_port())
    # A worker that is not told goes on to start, and ends with 2: a folder is not there.
    lacking = {"PATH": os.environ["PATH"], "INWIT_POLICY_DIR": str(tmp_path / "nowhere")}
    supervising = asyncio.create_task(supervise(settings, 1, lacking))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # the parent listens
    signal.raise_signal(signal.SIGTERM)

    assert await asyncio.wait_for(supervising, STOP_S) == 0


EMBEDDED = {
    "INWIT_EMBEDDED_MODEL": {"INWIT_EMBEDDED_MODEL": "1", "INWIT_REDIS_URL": "redis://127.0.0.1:9"},
    "INWIT_EMBEDDED_REDIS": {
        "INWIT_EMBEDDED_REDIS": "1",
        "INWIT_MODEL_URL": "http://127.0.0.1:9/v1",
    },
}


@pytest.mark.parametrize("part", EMBEDDED)
def test_embedded_parts_are_for_one_process(tmp_path: Path, part: str) -> None:
    ended = run_inwit("serve --workers 2", tmp_path, EMBEDDED[part])

    assert ended.returncode == 2
    assert f"inwit: {part} and --workers do not go together" in ended.stderr


WRONG = [
    {"INWIT_POLICY_DIR": "/nowhere"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "0"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_worker_that_is_set_up_wrongly_ends_them_all(
    tmp_path: Path, wrong: dict[str, str]
) -> None:
    settings = {
        "INWIT_MODEL_URL": "http://127.0.0.1:9/v1",
        "INWIT_REDIS_URL": "redis://127.0.0.1:9",
    }

    ended = run_inwit("serve --workers 2", tmp_path, settings | wrong)

    assert ended.returncode == 2
    assert "inwit: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "worker_died" not in ended.stderr
