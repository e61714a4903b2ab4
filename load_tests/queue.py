"""What dispatch costs with many cases waiting: `python -m load_tests.queue --cases 200000`.

A server of its own on loopback, `--server valkey` (the embedded one) or `redis` (redis-server).
The cases are spread over tenants, and in each over lanes: 2 tiers, 4 severities, 3 policies,
5 languages, 4 sets of categories. Ratios of one run mean something, absolute times are those of
this machine.
"""

import argparse
import asyncio
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis.asyncio import Redis
from tests.process.redis_server import redis_binary, redis_server

from inwit.cases import Case, CaseState, Reviewer, Role, Slot
from inwit.clients.embedded.redis import valkey_binary
from inwit.escalation.queue import Picked, Queue
from inwit.types import Category, PolicyRef, Severity

AT_ONCE = 32
CLAIMS = 1000
LEASE_S = 600.0
TENANTS = 4
SEED = 20
CATEGORIES = (
    (Category.DECEPTION,),
    (Category.HATE,),
    (Category.HATE, Category.COERCION),
    (Category.SELF_HARM, Category.OMISSION),
)
ALL = Reviewer("all", Role.SENIOR)
SOME = Reviewer(
    "some",
    Role.REVIEWER,
    policies=frozenset({"policy-1"}),
    languages=frozenset({"de"}),
    clearance=Severity.MEDIUM,
    opted_out=frozenset({Category.HATE}),
)


def drawn_case(number: int, draw: random.Random) -> Case:
    """One of many, opened within the last day."""
    opened = datetime.now(UTC) - timedelta(seconds=draw.uniform(0, 86_400))
    tier = draw.choice([1, 1, 1, 2])
    return Case(
        id=f"esc_{number:032x}",
        response_id="",
        tenant=f"tenant-{number % TENANTS}",
        policy=PolicyRef(f"policy-{draw.randrange(3)}", "1", ""),
        language=draw.choice(["en", "en", "en", "de", "fr", "es", "it"]),
        severity=draw.choice(list(Severity)),
        categories=draw.choice(CATEGORIES),
        tier=tier,
        required=1,
        state=CaseState.PENDING,
        stuck=False,
        expected=None,
        opened=opened,
        due=opened + timedelta(minutes=draw.uniform(5, 240)),
        claimed_first=None,
        waits_until=None,
        version=1,
        slots=(Slot(1, tier),),
    )


async def fill(queue: Queue, cases: int) -> float:
    """Put that many, `AT_ONCE` at once; cases a second."""
    draw, numbers = random.Random(SEED), iter(range(cases))  # noqa: S311  # the same in every run

    async def put_some() -> None:
        for number in numbers:
            await queue.put(drawn_case(number, draw))

    began = time.perf_counter()
    await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))
    return cases / (time.perf_counter() - began)


async def cpu_ms(redis: Any) -> float:
    """What the server has used so far."""
    info = await redis.info("cpu")
    return 1000 * (info["used_cpu_user"] + info["used_cpu_sys"])


async def timed(
    redis: Any, name: str, times: int, call: Callable[[int], Awaitable[object]]
) -> None:
    """Print the median, the 99th percentile and the worst, and the server's own time, in ms."""
    taken, before = list[float](), await cpu_ms(redis)
    for number in range(times):
        began = time.perf_counter()
        await call(number)
        taken.append((time.perf_counter() - began) * 1000)
    each = (await cpu_ms(redis) - before) / times
    taken.sort()
    p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
    print(f"| {name} | {p50:.2f} | {p99:.2f} | {taken[-1]:.2f} | {each:.2f} |")


async def measure(redis: Any, queue: Queue, every: list[str]) -> None:
    """One step after the other, by one reviewer at a time, while all the cases wait."""
    token, picked = uuid.uuid4().hex, list[Picked]()

    async def claim(who: Reviewer, tenants: list[str]) -> None:
        got = await queue.claim(who, tenants, token, LEASE_S, uuid.uuid4().hex, Severity.CRITICAL)
        if got is not None:
            picked.append(got)

    async def renew(number: int) -> None:
        at = picked[number]
        if not await queue.renew(at.tenant, at.case_id, at.slot, token, LEASE_S):
            raise AssertionError("a lease that was just given could not be renewed")

    async def give_back_for_good(number: int) -> None:
        at = picked[number]
        if not await queue.release(at.tenant, at.case_id, at.slot, token, ALL.id):
            raise AssertionError("a lease that was just given could not be given back")

    await timed(redis, "claim, one tenant, all lanes", CLAIMS, lambda _: claim(ALL, every[:1]))
    await timed(
        redis, "claim, one tenant, few lanes", CLAIMS // 4, lambda _: claim(SOME, every[:1])
    )
    await timed(redis, f"claim, best of {TENANTS} tenants", CLAIMS, lambda _: claim(ALL, every))
    await timed(redis, "renew", CLAIMS, renew)
    await timed(redis, f"release for good, {CLAIMS} times", CLAIMS, give_back_for_good)
    await timed(redis, "claim, past those", CLAIMS // 10, lambda _: claim(ALL, every[:1]))
    await timed(redis, "sweep, nothing to do", CLAIMS, lambda _: queue.sweep(every[0]))
    await timed(redis, "depths", CLAIMS // 10, lambda _: queue.depths(every[0]))
    await timed(redis, "a page of known cases", 1, lambda _: queue.known(every[0]))
    await timed(
        redis, "remove", CLAIMS, lambda number: queue.remove(every[0], f"esc_{number:032x}", 2)
    )
    await timed(redis, "wipe a tenant", 1, lambda _: queue.wipe(every[0]))


async def run(url: str, cases: int) -> None:
    """The whole table."""
    tenants = [f"tenant-{number}" for number in range(TENANTS)]
    # Not `redis_client`: a busy machine may stand still for longer than its 2 s.
    async with Redis.from_url(url) as client:  # pyright: ignore[reportUnknownMemberType]
        untyped: Any = client
        queue = Queue(client)
        await queue.put(drawn_case(cases, random.Random(SEED)))  # noqa: S311  # loads the script
        before = (await untyped.info("memory"))["used_memory"]
        rate = await fill(queue, cases)
        used = (await untyped.info("memory"))["used_memory"] - before
        server = await untyped.info("server")
        name = server.get("server_name", "redis")
        version = server.get("valkey_version", server["redis_version"])
        lanes = sum(
            [len(await untyped.zrange(key, 0, -1)) for key in await untyped.keys("*}:lanes")]
        )
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{name} {version}: {cases} cases in {lanes} lanes of {TENANTS} tenants")
        print(f"{rate:.0f} puts a second, {AT_ONCE} at once; {used / cases:.0f} bytes a case\n")
        print("| | p50 ms | p99 ms | worst ms | CPU ms of the server |\n|---|---|---|---|---|")
        await measure(untyped, queue, tenants)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--server", choices=["valkey", "redis"], default="valkey")
    asked = parser.parse_args()
    binary = valkey_binary() if asked.server == "valkey" else redis_binary()
    with (
        TemporaryDirectory() as folder,
        redis_server(Path(folder), "--appendonly", "yes", binary=binary) as server,
    ):
        asyncio.run(run(server.url, asked.cases))


if __name__ == "__main__":
    main()
