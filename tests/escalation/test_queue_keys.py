"""What stands in Redis: whole or not, under which keys, and nothing that is nobody's business."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from inwit.cases import Case
from inwit.clients.redis import redis_client
from inwit.escalation.durability import look
from inwit.escalation.queue import Picked, Queue
from inwit.types import PolicyRef, Severity
from tests.escalation.queue_cases import (
    ANN,
    BOB,
    LONG_S,
    OVER_S,
    case,
    claim,
    future,
    reviewer,
)


@pytest.mark.parametrize("lost", ["lane:1:0:default:en:deception", "lanes", "held", "stuck"])
async def test_a_case_that_is_not_whole_says_so_and_is_mended_by_putting_it(
    valkey_url: str, tenant: str, lost: str
) -> None:
    async with redis_client(valkey_url, retries=False) as client:
        queue, untyped = Queue(client), _untyped(client)
        made: dict[str, Case] = {
            "held": case(tenant, "held"),
            "stuck": case(tenant, "stuck", stuck=True),
            "free": case(tenant, "free", minute=1),
        }
        for each in made.values():
            await queue.put(each)
        await claim(queue, ANN, tenant)
        before = await queue.depths(tenant)
        await untyped.delete(_prefix_of(await untyped.keys("*:cases"), tenant) + lost)
        broken = [name for name, version in (await queue.known(tenant)).cases if version == 0]
        assert broken == [lost if lost in made else "free"]
        await queue.put(made[broken[0]])
        assert await queue.depths(tenant) == before
        assert all(version == 1 for _, version in (await queue.known(tenant)).cases)


async def test_what_is_in_a_lane_by_mistake_is_passed_and_taken_out(
    valkey_url: str, tenant: str
) -> None:
    async with redis_client(valkey_url, retries=False) as client:
        queue, untyped = Queue(client), _untyped(client)
        await queue.put(case(tenant))
        lane = _prefix_of(await untyped.keys("*:cases"), tenant) + "lane:1:0:default:en:deception"
        await untyped.zadd(lane, {"nobody/1": 1, "one/7": 2})
        assert await claim(queue, ANN, tenant) == Picked(tenant, "one", 1)
        assert await claim(queue, BOB, tenant) is None
        assert await untyped.exists(lane) == 0


async def test_hostile_names_stay_in_their_place(valkey_url: str) -> None:
    """No name breaks out of its tenant's keys, and none stands in a key."""
    hostile = ["a}{b", "*", "x\r\nFLUSHALL\r\n", "é" * 300, "\udc80", "a:b:c", "a/1", '{"x":1}']
    async with redis_client(valkey_url, retries=False) as client:
        queue, untyped = Queue(client), _untyped(client)
        await untyped.flushall()
        for name in hostile:
            made = case(f"secret{name}", name, policy=PolicyRef(name, "1", ""), language=name[:8])
            await queue.put(made)
            theirs = reviewer(policies=frozenset({name}), languages=frozenset({name[:8]}))
            assert await claim(queue, theirs, f"secret{name}") == Picked(f"secret{name}", name, 1)
            assert await claim(queue, BOB, f"secret{name}", case_id=name) is None
            assert await queue.release(f"secret{name}", name, 1, "ann", None)
            assert (await queue.known(f"secret{name}")).cases == ((name, 1),)
            await queue.remove(f"secret{name}", name, 2)
        await queue.put(case("secret*"))
        keys: list[bytes] = await untyped.keys("*")
    assert all(key.startswith(b"inwit:queue:{") for key in keys)
    assert not any(b"secret" in key for key in keys)
    slots = dict[bytes, set[int]]()
    for key in keys:
        slots.setdefault(key.split(b":")[2], set()).add(key_slot(key))
    assert len(slots) == len(hostile)
    assert all(len(each) == 1 for each in slots.values())


async def test_only_the_digest_of_a_token_is_in_redis(valkey_url: str, tenant: str) -> None:
    async with redis_client(valkey_url, retries=False) as client:
        queue = Queue(client)
        await queue.put(case(tenant))
        await queue.claim(ANN, [tenant], "my-secret-token", LONG_S, "r", Severity.HIGH)
        cases = await _untyped(client).keys("*:cases")
        kept = [await _untyped(client).hgetall(key) for key in cases]
    assert b"my-secret-token" not in repr(kept).encode()


async def test_the_rights_that_the_page_names_are_enough(valkey_url: str, tenant: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "queue.md").read_text("utf-8")
    line = next(line for line in page.splitlines() if "with an ACL needs" in line)
    rights = line.split("`")
    async with redis_client(valkey_url) as client:
        await _untyped(client).execute_command(
            *("ACL", "SETUSER", "queue", "on", ">secret", rights[1], *rights[3].split())
        )
    url = valkey_url.replace("redis://", "redis://queue:secret@")
    async with redis_client(url, retries=False) as client:
        queue = Queue(client)
        waits = case(tenant, waits_until=future())
        await queue.put(waits)
        await queue.put(waits)
        assert await claim(queue, ANN, tenant, lease_s=OVER_S) is not None
        assert len(await queue.sweep(tenant)) == 1
        assert await claim(queue, ANN, tenant) is not None
        assert await queue.renew(tenant, "one", 1, "ann", LONG_S)
        assert await queue.release(tenant, "one", 1, "ann", "ann")
        await queue.waiting(tenant, "one", future() - timedelta(days=1))
        assert len((await queue.depths(tenant)).pending) == 1
        assert (await queue.known(tenant)).cases == (("one", 1),)
        await queue.remove(tenant, "one", 2)
        await queue.wipe(tenant)
        found = await look(client)
    assert (found.sync, found.eviction) == ("unknown", "noeviction")


def _untyped(client: Any) -> Any:
    return client


def _prefix_of(keys: list[bytes], tenant: str) -> str:
    tag = hashlib.sha256(tenant.encode()).hexdigest()[:32]
    return next(key for key in (each.decode() for each in keys) if tag in key)[: -len("cases")]
