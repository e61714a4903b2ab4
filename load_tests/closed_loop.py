"""A closed loop of requests: so many connections, each asking again as soon as it is answered."""

import asyncio
import gc
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from load_tests.raw_client import RawConnection, open_connection

# One request on a connection; the value is `ok`, or what was wrong with the answer.
Request = Callable[[RawConnection], Awaitable[str]]

ANSWER_LIMIT_S = 30.0


@dataclass(frozen=True)
class Phase:
    """What a closed loop saw: sorted latencies in seconds, outcomes by name, and its length."""

    latencies: tuple[float, ...]
    outcomes: dict[str, int]
    seconds: float

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def errors(self) -> dict[str, int]:
        return {name: count for name, count in self.outcomes.items() if name != "ok"}

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The nearest-rank percentile in milliseconds."""
        rank = max(1, math.ceil(self.count * percent / 100))
        return self.latencies[rank - 1] * 1000


@dataclass
class Loop:
    """The closed loop against one port of this machine."""

    port: int
    request: Request
    latencies: list[float] = field(default_factory=list[float])
    outcomes: Counter[str] = field(default_factory=Counter[str])

    async def run(self, count: int, at_once: int, limit_s: float) -> Phase:
        """At most `count` requests, and no new one after `limit_s` seconds."""
        left = iter(range(count))
        connections = [await open_connection(self.port) for _ in range(at_once)]
        gc.collect()
        start = time.perf_counter()
        until = start + limit_s
        await asyncio.gather(*(self.worker(each, left, until) for each in connections))
        seconds = time.perf_counter() - start
        return Phase(tuple(sorted(self.latencies)), dict(self.outcomes), seconds)

    async def worker(self, connection: RawConnection, left: Iterator[int], until: float) -> None:
        try:
            for _ in left:
                start = time.perf_counter()
                if start > until:
                    return
                outcome = await self.outcome(connection)
                self.latencies.append(time.perf_counter() - start)
                self.outcomes[outcome] += 1
                if connection.transport is None:
                    connection = await open_connection(self.port)
        finally:
            connection.close()

    async def outcome(self, connection: RawConnection) -> str:
        """The outcome of one request; a broken connection is one too."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await self.request(connection)
        except (OSError, TimeoutError) as error:
            connection.close()
            return type(error).__name__
