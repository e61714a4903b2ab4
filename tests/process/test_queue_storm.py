"""Two real gateways, four reviewers, and a Redis to which everything happens: nothing is lost."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from inwit.cases import Output
from inwit.clients.redis import redis_client
from inwit.ledger.database import sqlite_file
from tests.fakes_server import FakeServer
from tests.process.coming_again import answered
from tests.process.redis_server import RedisServer
from tests.process.test_escalations import breaks, two_gateways

pytestmark = pytest.mark.process

CASES = 36  # before the faults, and as many while they last
LIMIT_S = 480
ASK = {"messages": [{"role": "user", "content": "How do tides work?"}]}


async def test_whatever_happens_to_redis_every_case_ends_once(tmp_path: Path) -> None:
    async with (
        FakeServer(yes=0.9, no=0.05).running() as server,
        two_gateways(tmp_path, server) as pair,
        asyncio.timeout(LIMIT_S),
    ):
        clients = (pair.to_one, pair.to_two)
        held = [await ask(clients[number % 2]) for number in range(CASES)]
        keys = [await pair.key("review") for _ in range(2)]
        said: dict[str, str] = {}
        people = [
            asyncio.create_task(work(client, key, said)) for client in clients for key in keys
        ]
        async for _ in faults(pair.queue):
            held += [await ask(clients[number % 2]) for number in range(CASES // 6)]
        outcomes = await all_settled(tmp_path, held)
        for task in people:
            task.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        answers = [await told(clients[number % 2], name) for number, name in enumerate(held)]

    assert {name: len(ends) for name, ends in outcomes.items()} == dict.fromkeys(held, 1)
    for name, answer in zip(held, answers, strict=True):
        (end,) = outcomes[name]
        assert end["released"] is True
        assert answer["status"] == "released"
        left: dict[str, Any] = answer["output"]
        assert Output(left["content"], left["finish_reason"]).digest == said[name]
    assert not await breaks(tmp_path)


async def test_a_deadline_fires_in_time_while_redis_stands_still(tmp_path: Path) -> None:
    """Of many cases at once, with a queue that takes every question and answers none."""
    async with (
        FakeServer(yes=0.9, no=0.05).running() as server,
        two_gateways(tmp_path, server, patience_s=600, claim_within_s=15) as pair,
        asyncio.timeout(LIMIT_S),
    ):
        held = [await ask(pair.to_one) for _ in range(CASES)]
        pair.queue.tell(signal.SIGSTOP)
        outcomes = await all_settled(tmp_path, held)
        pair.queue.tell(signal.SIGCONT)

    late = lateness(tmp_path)
    assert len(outcomes) == len(late) == CASES
    assert min(late) >= 0
    assert max(late) < 60, "a second and a commit; one wait for Redis would be ten minutes"


async def ask(client: httpx.AsyncClient) -> str:
    """Have a response held; the id of its case."""
    answer = await answered(lambda: client.post("/v1/respond", json=ASK))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["escalation"]["id"])


async def told(client: httpx.AsyncClient, case: str) -> dict[str, Any]:
    return (await client.get(f"/v1/responses/{case.replace('esc_', 'resp_')}")).json()


async def work(client: httpx.AsyncClient, key: dict[str, str], said: dict[str, str]) -> None:
    """Take what comes first and approve it, without an end; note the digest that was approved."""
    while True:
        taken = await client.post("/v1/escalations/next", json={}, headers=key)
        if taken.status_code != 200:
            assert taken.status_code in (204, 503), taken.text
            await asyncio.sleep(0.1)
            continue
        case, lease = taken.json()["case"], taken.json()["lease"]
        body = {
            "token": lease["token"],
            "kind": "approve",
            "digest": case["offers"]["approve"]["digest"],
            "policy_digest": case["policy_digest"],
            "request_id": lease["token"],
        }
        path = f"/v1/escalations/{case['id']}/ruling"
        # With the same `request_id` it is one ruling, however often it is sent.
        ruled = await answered(partial(client.post, path, json=body, headers=key))
        assert ruled.status_code == 200, ruled.text
        assert case["id"] not in said
        said[case["id"]] = body["digest"]


async def faults(queue: RedisServer) -> AsyncGenerator[None]:
    """Each thing that can befall a Redis, one after another."""
    queue.tell(signal.SIGSTOP)
    yield
    queue.tell(signal.SIGCONT)
    async with redis_client(queue.url, retries=False) as untyped:
        client: Any = untyped
        await client.script_flush()
        yield
        await client.config_set("maxmemory", 1)
        yield
        await client.config_set("maxmemory", 0)
        await client.flushall()
        yield
    queue.kill()
    yield
    queue.start()
    yield


async def all_settled(folder: Path, held: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The outcomes of each case, once all have one."""
    while True:
        found = outcomes_in(folder)
        if found.keys() >= set(held):
            return found
        await asyncio.sleep(0.5)


def outcomes_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for facts in entries(folder):
        if facts["type"] == "outcome":
            found.setdefault(facts["case"], []).append(facts["facts"])
    return found


def lateness(folder: Path) -> list[float]:
    """Seconds from the deadline of each case to its end."""
    query = "SELECT due, closed FROM escalations"
    with closing(sqlite3.connect(sqlite_file(folder), timeout=LIMIT_S)) as raw:
        times = [(datetime.fromisoformat(due), end) for due, end in raw.execute(query)]
    return [(datetime.fromisoformat(end) - due).total_seconds() for due, end in times]


def entries(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(sqlite_file(folder), timeout=LIMIT_S)) as raw:
        return [json.loads(body) for (body,) in raw.execute("SELECT body FROM entries")]
