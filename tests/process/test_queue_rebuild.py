"""`inwit queue rebuild` on a real queue: it looks first, and mends when told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from inwit.clients.redis import redis_client
from tests.conftest import MakeCaller
from tests.escalation.desk_world import Office, office
from tests.process.processes import run_inwit
from tests.process.redis_server import valkey_server

pytestmark = pytest.mark.process


async def test_it_looks_first_and_mends_when_told(make_caller: MakeCaller, tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        # A machine that stands still for some seconds is no Redis that is away.
        url = f"{server.url}?socket_timeout=120&socket_connect_timeout=120"
        here = await office(make_caller, redis_url=url)
        cases = [await here.held() for _ in range(3)]

        async def rebuild(options: str = "") -> tuple[int, str]:
            settings = {"INWIT_REDIS_URL": url}
            command = f"queue rebuild {options}"
            done = await asyncio.to_thread(run_inwit, command, tmp_path, settings)
            return done.returncode, done.stdout + done.stderr

        code, words = await rebuild("--json")
        assert (code, json.loads(words)) == (0, [counts(missing=3)])
        assert "3 cases differ" in (await rebuild())[1]
        assert await known(here) == set()
        assert "3 cases mended" in (await rebuild("--apply"))[1]
        assert await known(here) == set(cases)
        assert "equal to the ledger" in (await rebuild())[1]

        old = [await here.case(each) for each in cases]
        for case in cases:
            await here.approved(case)
        async with redis_client(url, retries=False) as untyped:
            client: Any = untyped
            await client.flushall()
        for case in old:
            await here.parts.queue.put(case)
        assert (await rebuild("--json --apply"))[1].splitlines()[-1] == json.dumps(
            [counts(extra=3)]
        )
        assert await known(here) == set()

        server.kill()
        code, words = await rebuild("--apply")
        assert code == 2
        assert "Redis does not answer" in words
        assert "mended" not in words


def counts(**differing: int) -> dict[str, Any]:
    return {"tenant": "acme", "missing": 0, "stale": 0, "extra": 0, **differing}


async def known(here: Office) -> set[str]:
    return set(dict((await here.parts.queue.known("acme")).cases))
