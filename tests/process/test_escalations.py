"""Held responses in real processes that are killed: a case is there whole, or not at all.

Run as a program, this file works on cases without an end: `python -m tests.process.test_escalations
FOLDER NAME`.
"""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from inwit.cases import Hold, Offer, OnExpiry, Output, Reviewer, Role, RulingKind
from inwit.ledger import leases, rulings
from inwit.ledger.database import Database, sqlite_file, sqlite_url
from inwit.ledger.rulings import Said
from inwit.ledger.store import LedgerStore
from inwit.ledger.verify_database import verify_database
from inwit.pipeline.held import held_content
from inwit.policy.loader import PACKAGED
from inwit.types import Severity
from tests.fakes_server import FakeServer
from tests.ledger.test_store import ORIGIN, RECORD
from tests.process.processes import Inwit, inwit, run_inwit
from tests.process.redis_server import RedisServer, valkey_server

pytestmark = pytest.mark.process

KILLS = int(os.environ.get("CASE_KILLS", "4"))
WAIT_S = 240
ANSWER = Output("The answer.", "stop")
NO_REASONS: dict[str, list[str]] = {"reason_for": []}
EDIT = "  Exactly so:\r\n\u201cthe moon\u201d, 🌕 and a space \n"


def test_killed_at_any_moment_every_case_is_whole_and_ends_once(tmp_path: Path) -> None:
    before = 0
    for number in range(KILLS):
        work_until_killed(tmp_path, f"{number:04x}")
        with closing(sqlite3.connect(sqlite_file(tmp_path), timeout=WAIT_S)) as raw:
            cases = told_of_each(raw)
        assert len(cases) > before
        before = len(cases)
        for case in cases.values():
            check(case)
    assert not asyncio.run(breaks(tmp_path))


def work_until_killed(folder: Path, name: str) -> None:
    """Kill it in the middle of its commits, some after the first ones."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.process.test_escalations", str(folder), name],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout is not None
        for _ in range(random.randrange(3, 40)):  # noqa: S311  # a moment, not a secret
            assert worker.stdout.readline()
        worker.kill()
    finally:
        worker.kill()
        worker.wait(timeout=WAIT_S)
        if worker.stdout is not None:
            worker.stdout.close()


def told_of_each(raw: sqlite3.Connection) -> dict[str, Counter[str]]:
    """By case: its rows, and its entries, by kind."""
    found: dict[str, Counter[str]] = {}
    for (body,) in raw.execute("SELECT body FROM entries"):
        facts = json.loads(body)
        name = facts["hold"]["id"] if facts["type"] == "decision" else facts["case"]
        found.setdefault(name, Counter())[facts["type"]] += 1
    queries = {
        "row": "SELECT id, 1 FROM escalations",
        "needed": "SELECT id, required FROM escalations",
        "closed": "SELECT id, 1 FROM escalations WHERE closed IS NOT NULL",
        "slots": "SELECT escalation_id, count(*) FROM slots GROUP BY 1",
        "leased": "SELECT escalation_id, count(lease_hash) FROM slots GROUP BY 1",
        "rulings": "SELECT escalation_id, count(*) FROM rulings GROUP BY 1",
        "filled": "SELECT escalation_id, count(*) FROM slots WHERE ruled GROUP BY 1",
    }
    for kind, query in queries.items():
        for name, count in raw.execute(query):
            found.setdefault(name, Counter())[kind] += count
    return found


def check(case: Counter[str]) -> None:
    """Rows and entries of one case say the same."""
    assert case["decision"] == case["row"] == 1
    assert case["slots"] == case["needed"]
    assert case["claimed"] == case["leased"]
    assert case["ruled"] == case["rulings"] == case["filled"]
    assert case["outcome"] == case["closed"] == (case["ruled"] == case["needed"])


async def breaks(folder: Path) -> tuple[object, ...]:
    database = Database(sqlite_url(folder))
    await database.open()
    try:
        return (await database.read(verify_database)).breaks
    finally:
        await database.close()


@dataclass
class Pair:
    """Two gateways on one ledger and one queue, a client of each, and what they were set to."""

    one: Inwit
    to_one: httpx.AsyncClient
    to_two: httpx.AsyncClient
    queue: RedisServer
    folder: Path
    shared: Mapping[str, str]

    async def key(self, roles: str) -> dict[str, str]:
        """The header of a new API key."""
        return await make_key(self.folder, self.shared, roles)


async def make_key(folder: Path, shared: Mapping[str, str], roles: str) -> dict[str, str]:
    command = f"keys create --name test --tenant acme --json --roles {roles}"
    made = await asyncio.to_thread(run_inwit, command, folder / "keys", shared)
    return {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}


@asynccontextmanager
async def two_gateways(
    folder: Path, server: FakeServer, patience_s: float = 2, **escalation: Any
) -> AsyncGenerator[Pair]:
    """With an API key that asks and rules. `patience_s`: how long they wait for Redis."""
    policies = folder / "policies"
    policies.mkdir()
    policy: dict[str, Any] = yaml.safe_load((PACKAGED / "default.yaml").read_text())
    held = {**policy, "on_harm": "escalate", "escalation": {**NO_REASONS, **escalation}}
    (policies / "default.yaml").write_text(json.dumps(held))
    with valkey_server(folder) as queue:
        shared = {
            "INWIT_DATABASE_URL": sqlite_url(folder),
            "INWIT_REDIS_URL": f"{queue.url}?socket_timeout={patience_s}",
            "INWIT_MODEL_URL": server.base_url,
            "INWIT_POLICY_DIR": str(policies),
        }
        headers = await make_key(folder, shared, "respond,review")
        with (
            inwit("serve", folder / "one", shared) as one,
            inwit("serve", folder / "two", shared) as two,
        ):
            lines = [await asyncio.to_thread(each.wait_for, '"serving"') for each in (one, two)]
            addresses = [json.loads(line)["address"] for line in lines]
            async with (
                httpx.AsyncClient(base_url=addresses[0], headers=headers, timeout=WAIT_S) as to_one,
                httpx.AsyncClient(base_url=addresses[1], headers=headers, timeout=WAIT_S) as to_two,
            ):
                yield Pair(one, to_one, to_two, queue, folder, shared)


async def test_a_case_of_one_gateway_is_ruled_on_at_the_other(tmp_path: Path) -> None:
    """The caller in line at the first one gets the edited bytes; so does whoever asks later."""
    async with (
        FakeServer(yes=0.9, no=0.05).running() as server,
        two_gateways(tmp_path, server) as pair,
    ):
        one, to_one, to_two = pair.one, pair.to_one, pair.to_two
        asked = {"messages": [{"role": "user", "content": "How do tides work?"}]}
        waiting = asyncio.create_task(
            to_one.post("/v1/respond", json={**asked, "wait_ms": 200_000})
        )
        taken = await next_case(to_two)
        case, token = taken["case"], taken["lease"]["token"]
        path = f"/v1/escalations/{case['id']}"
        judged = await to_two.post(f"{path}/edit", json={"token": token, "text": EDIT})
        said = {
            "token": token,
            "kind": "edit",
            "digest": judged.json()["digest"],
            "policy_digest": case["policy_digest"],
            "despite_flags": True,
            "request_id": "request-1",
        }
        ruled = await to_two.post(f"{path}/ruling", json=said)
        answer = await waiting
        one.process.kill()
        one.process.wait(timeout=WAIT_S)
        again = await to_two.post(f"{path}/ruling", json=said)
        later = await to_two.get(f"/v1/responses/{case['response']}")

    assert ruled.status_code == 200, ruled.text
    assert answer.json()["output"]["content"] == later.json()["output"]["content"] == EDIT
    assert again.json()["id"] == ruled.json()["id"]
    assert not await breaks(tmp_path)


async def next_case(client: httpx.AsyncClient) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await client.post("/v1/escalations/next", json={})
            if answer.status_code == 200:
                return answer.json()
            await asyncio.sleep(0.05)


async def _work(folder: Path, name: str) -> None:
    """Open, claim and rule on cases, many at once, and say each time that one is over."""
    database = Database(sqlite_url(folder))
    await database.open()
    store = LedgerStore(database)
    async with store.running():
        await asyncio.gather(*(_endless(store, f"{name}{lane:04x}") for lane in range(6)))


async def _endless(store: LedgerStore, name: str) -> None:
    number = 0
    while True:
        number += 1
        await _one(store, f"{name}{number:024x}", required=1 + number % 2)
        sys.stdout.write("done\n")
        sys.stdout.flush()


async def _one(store: LedgerStore, name: str, required: int) -> None:
    hold = Hold(
        id=f"esc_{name}",
        severity=Severity.HIGH,
        language="en",
        required=required,
        drawn=False,
        claim_within=timedelta(hours=1),
        rule_within=timedelta(hours=1),
        on_expiry=OnExpiry.BLOCK,
        expired=Output("Too late.", "content_filter"),
        offers=(Offer(RulingKind.APPROVE, ANSWER),),
    )
    origin = replace(ORIGIN, response_id=f"resp_{name}")
    contents = {"held": held_content(hold), "released": b'{"text": "", "tool_calls": []}'}
    await store.append(replace(RECORD, origin=origin, hold=hold, contents=contents))
    for who in range(required):
        person = Reviewer(f"rev_{who}", Role.REVIEWER)
        said = Said(
            case_id=hold.id,
            reviewer=person.id,
            token=f"{name}/{who}",
            kind=RulingKind.APPROVE,
            digest=ANSWER.digest,
            policy_digest=ORIGIN.policy.digest,
            request_id=f"{name}/{who}",
        )
        await store.write(
            lambda each, by=person, said=said: leases.claim(each, hold.id, by, said.token, 600)
        )
        await store.write(lambda each, said=said: rulings.rule(each, said))


if __name__ == "__main__":
    asyncio.run(_work(Path(sys.argv[1]), sys.argv[2]))
