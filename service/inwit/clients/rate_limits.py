"""Rate limits by API key and by tenant: counted in Redis for all gateways, or here without it.

A sliding window counter, as the library `limits` keeps it: two counters for each limit, the current
window's and that of the window before, which weighs less the further the current one has come.
docs/rate-limits.md says what follows from it for callers.
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import structlog
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from redis.asyncio import Redis, RedisCluster

from inwit import telemetry
from inwit.clients.redis import redis_client
from inwit.config import RateRules, Rates
from inwit.errors import RateLimited
from inwit.tasks import stop
from inwit.types import Principal

log = structlog.get_logger()

T = TypeVar("T")

_PREFIX = "inwit:rate"
_CONNECT_S = 2.0  # for Redis, where no request waits for it
_AT_ONCE = 8  # more would only make each other, and their connections, late
_MOST = 10**12  # as a limit may be at most
_NO_LIMIT = 10**15
_SLACK_S = 0.005  # Redis tells time in milliseconds

# Counts nothing unless all of the limits have room. The windows move on as the scripts of `limits`
# have them do it. KEYS: the window before and the current one, by limit. ARGV: the window's length
# in ms; by limit what it allows, and what to take. The answer: whether it was taken, then by limit
# both counters as they were, each with its time to live in ms.
_TAKE = b"""
local window, answer = tonumber(ARGV[1]), {1}
for i = 1, #KEYS, 2 do
  local before, current = KEYS[i], KEYS[i + 1]
  local ttl = redis.call('pttl', current)
  if ttl > 0 and ttl < window then
    redis.call('rename', current, before)
    redis.call('set', current, 0, 'PX', ttl + window)
  end
  local past = tonumber(redis.call('get', before)) or 0
  local left = math.max(redis.call('pttl', before), 0)
  local now = tonumber(redis.call('get', current)) or 0
  if math.floor(past * left / window) + now >= tonumber(ARGV[i + 1]) then
    answer[1] = 0
  end
  for _, number in ipairs({past, left, now, math.max(redis.call('pttl', current), 0)}) do
    table.insert(answer, number)
  end
end
if answer[1] == 1 then
  for i = 1, #KEYS, 2 do
    local current, amount = KEYS[i + 1], tonumber(ARGV[i + 2])
    if amount > 0 then
      if redis.call('exists', current) == 1 then
        redis.call('incrby', current, amount)
      else
        redis.call('set', current, amount, 'PX', window * 2)
      end
    end
  end
end
return answer
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an admitted request may be told: RateLimit-Policy and RateLimit, or nothing."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one caller. `key` is where it is counted: TENANT:REST, both without secrets."""

    scope: Literal["key", "tenant"]
    unit: Literal["requests", "tokens"]
    amount: int
    key: str
    window_s: int

    @property
    def name(self) -> str:
        """What headers and metrics call it."""
        return f"{self.scope}-{self.unit}"

    @property
    def cost(self) -> int:
        """What a request takes when it is admitted; its tokens are known only afterwards."""
        return 1 if self.unit == "requests" else 0


@dataclass(frozen=True, slots=True)
class Window:
    """The two counters of a limit, and the seconds that each of them has to live.

    The current one lives for a window longer than it counts.
    """

    before: int
    before_left_s: float
    current: int
    current_left_s: float

    def used(self, limit: Limit) -> int:
        """What counts now."""
        return math.floor(self.before * self.before_left_s / limit.window_s) + self.current

    def full(self, limit: Limit) -> bool:
        """Whether there is no room for one more."""
        return self.used(limit) >= limit.amount

    def ends_in(self, limit: Limit) -> float:
        """Seconds until the current window is the one before; a whole one where none has begun."""
        left = self.current_left_s - limit.window_s
        return left if left > 0 else float(limit.window_s)

    def free_in(self, limit: Limit) -> float:
        """Seconds after which there is room for one more, if nobody takes it; below 0 where there
        is room now, so that of several limits the one to wait for has the most.
        """
        if not self.full(limit):
            return -1.0
        if self.current < limit.amount:
            room = limit.amount - self.current
            return self.before_left_s - room * limit.window_s / self.before
        # As the current window it weighs its whole; only as the one before will it weigh less.
        return self.ends_in(limit) + limit.window_s * (1 - limit.amount / self.current)


class Counts(Protocol):
    """Where the limits are counted."""

    async def take(self, limits: Sequence[Limit]) -> tuple[bool, list[Window]]:
        """Take each limit's cost if all of them have room, else nothing; and how they stood."""
        ...

    async def add(self, limit: Limit, amount: int) -> None:
        """Count an amount, whether there is room for it or not."""
        ...


class SharedCounts(RedisStorage):
    """Counts in Redis. All keys of a tenant are in one slot of a cluster.

    `limits` would open a connection of its own; this one takes ours, by which every form of
    INWIT_REDIS_URL works. It would also need two commands for each limit: `take` needs one for all.
    """

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client: Any = client  # typed for sync and async at once
        super().__init__("async+redis://", implementation="redispy", key_prefix=_PREFIX)
        self._take = self._client.register_script(_TAKE)

    def configure_bridge(self) -> None:
        """Called by `limits` where it would connect."""
        if not isinstance(self.bridge, RedispyBridge):
            raise TypeError("the implementation is redispy")
        self.bridge.storage = self._client
        self.bridge.connection_getter = lambda _readonly: self._client

    async def take(self, limits: Sequence[Limit]) -> tuple[bool, list[Window]]:
        """Atomic over all the limits, and over all gateways."""
        keys = [
            self.bridge.prefixed_key(key)
            for limit in limits
            for key in (self._previous_window_key(limit.key), self._current_window_key(limit.key))
        ]
        numbers = [number for limit in limits for number in (limit.amount, limit.cost)]
        taken, *answer = await self._take(keys, [limits[0].window_s * 1000, *numbers])
        windows = [
            Window(before, before_left / 1000, current, current_left / 1000)
            for before, before_left, current, current_left in zip(*[iter(answer)] * 4, strict=True)
        ]
        return bool(taken), windows

    async def add(self, limit: Limit, amount: int) -> None:
        """One command."""
        await self.acquire_sliding_window_entry(limit.key, _NO_LIMIT, limit.window_s, amount)

    def _current_window_key(self, key: str) -> str:
        tenant, _, rest = key.partition(":")
        return f"{{{tenant}}}:{rest}"

    def _previous_window_key(self, key: str) -> str:
        return f"{self._current_window_key(key)}:before"


class OwnCounts(MemoryStorage):
    """Counts in this process, which no other gateway sees."""

    async def take(self, limits: Sequence[Limit]) -> tuple[bool, list[Window]]:
        """Nothing in here waits, so nothing comes between the look and the taking."""
        windows = [Window(*await self.get_sliding_window(at.key, at.window_s)) for at in limits]
        if any(window.full(limit) for limit, window in zip(limits, windows, strict=True)):
            return False, windows
        for limit in limits:
            if limit.cost:
                await self.add(limit, limit.cost)
        return True, windows

    async def add(self, limit: Limit, amount: int) -> None:
        """At once."""
        await self.acquire_sliding_window_entry(limit.key, _NO_LIMIT, limit.window_s, amount)


class _RedisLostError(Exception):
    """Redis failed, or did not answer in time; the message is what was raised."""


class RateLimiter:
    """Admits requests within the rules, and debits the tokens that they turn out to have used.

    Without `redis_url` it counts for this gateway alone. `wait_s` is the longest that a request
    waits for Redis, and `pause_s` the time between looks for one that was lost.
    """

    def __init__(
        self,
        rules: RateRules,
        redis_url: str | None,
        *,
        window_s: int = 60,
        wait_s: float = 0.1,
        pause_s: float = 2.0,
    ) -> None:
        self._rules = rules
        self._redis_url = redis_url
        self._window_s = window_s
        self._wait_s = wait_s
        self._pause_s = pause_s
        self._own = OwnCounts()
        self._shared: SharedCounts | None = None
        self._lost = False
        self._watcher: asyncio.Task[None] | None = None
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._stack = AsyncExitStack()

    @property
    def local(self) -> bool:
        """Whether there are limits, and this gateway counts them alone."""
        return self._rules.any and (self._shared is None or self._lost)

    async def open(self) -> None:
        """Connect, where there are limits; a Redis that is away is found again later.

        Raises:
            SetupError: the address cannot be read.
        """
        for name in ("key-requests", "key-tokens", "tenant-requests", "tenant-tokens"):
            telemetry.RATE_LIMITED.labels(name)
        for to in ("local", "shared"):
            telemetry.RATE_LIMIT_SWITCHES.labels(to)
        if self._redis_url is None or not self._rules.any:
            return
        client = await self._stack.enter_async_context(redis_client(self._redis_url))
        self._shared = shared = SharedCounts(client)
        first = Limit("tenant", "requests", 1, f"{_digest('')}:first", self._window_s)
        try:
            await self._ask(shared, lambda counts: counts.add(first, 0), _CONNECT_S)
        except _RedisLostError as error:
            self._lose(shared, first, error)

    async def close(self) -> None:
        """Close what `open` opened."""
        if self._watcher is not None:
            await stop(self._watcher)
        await self._stack.aclose()

    async def admit(self, principal: Principal) -> Allowance:
        """Take one request out of all limits of the caller, or nothing out of any.

        Raises:
            RateLimited: a limit is used up, with the seconds after which none would be.
        """
        limits = self._limits(principal)
        if not limits:
            return Allowance({})
        admitted, windows = await self._count(limits[0], lambda counts: counts.take(limits))
        stands = list(zip(limits, windows, strict=True))
        if admitted:
            return Allowance(_headers(stands, most_s=self._window_s, taken=True))
        limit, window = max(stands, key=lambda stand: stand[1].free_in(stand[0]))
        wait = max(1, math.floor(window.free_in(limit) + _SLACK_S) + 1)
        telemetry.RATE_LIMITED.labels(limit.name).inc()
        whose = "This API key" if limit.scope == "key" else "This API key's tenant"
        raise RateLimited(
            f"{whose} has used up its {limit.amount} {limit.unit} a minute. Try again in {wait} s.",
            retry_after=wait,
            headers=_headers(stands, most_s=wait, taken=False),
        )

    async def spend(self, principal: Principal, tokens: int) -> None:
        """Debit tokens that were used, also past the limit. Never raises."""
        tokens = min(tokens, _MOST)  # a model server may say anything
        for limit in self._limits(principal) if tokens > 0 else ():
            if limit.unit == "tokens":
                await self._count(limit, lambda counts, limit=limit: counts.add(limit, tokens))

    def _limits(self, principal: Principal) -> tuple[Limit, ...]:
        tenant = _digest(principal.tenant)
        key = f"{tenant}:key:{_digest(principal.key_id)}"
        return (
            *self._limits_in("key", self._rules.of_key(principal.key_id), key),
            *self._limits_in("tenant", self._rules.of_tenant(principal.tenant), f"{tenant}:all"),
        )

    def _limits_in(
        self, scope: Literal["key", "tenant"], rates: Rates, key: str
    ) -> tuple[Limit, ...]:
        units: tuple[tuple[Literal["requests", "tokens"], int | None], ...] = (
            ("requests", rates.requests),
            ("tokens", rates.tokens),
        )
        return tuple(
            Limit(scope, unit, amount, f"{key}:{unit}", self._window_s)
            for unit, amount in units
            if amount is not None
        )

    async def _count(self, limit: Limit, count: Callable[[Counts], Awaitable[T]]) -> T:
        """Count in Redis, or in this process while Redis is lost."""
        if self._shared is not None:
            async with self._at_once:
                if not self._lost:
                    try:
                        return await self._ask(self._shared, count, self._wait_s)
                    except _RedisLostError as error:
                        self._lose(self._shared, limit, error)
        return await count(self._own)

    async def _ask(
        self, counts: Counts, count: Callable[[Counts], Awaitable[T]], within_s: float
    ) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await count(counts)
        except Exception as error:  # whatever it is, a limit must hold
            raise _RedisLostError(type(error).__name__) from error

    def _lose(self, shared: SharedCounts, limit: Limit, error: _RedisLostError) -> None:
        if self._lost:
            return
        self._lost = True
        telemetry.RATE_LIMIT_SWITCHES.labels("local").inc()
        log.warning("rate_limits_local", error=str(error))
        self._watcher = asyncio.create_task(self._watch(shared, limit), name="rate-limits-redis")

    async def _watch(self, shared: SharedCounts, limit: Limit) -> None:
        """Wait until what was lost is back: first in its own time, then in a request's."""
        while self._lost:
            await asyncio.sleep(self._pause_s)
            try:
                for within_s in (_CONNECT_S, self._wait_s):
                    await self._ask(shared, lambda counts: counts.add(limit, 0), within_s)
            except _RedisLostError:
                continue
            self._lost = False
        telemetry.RATE_LIMIT_SWITCHES.labels("shared").inc()
        log.info("rate_limits_shared")


def _digest(name: str) -> str:
    """Hides a name, and keeps it from meaning anything in a Redis key."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _headers(stands: Sequence[tuple[Limit, Window]], *, most_s: int, taken: bool) -> dict[str, str]:
    """The two fields of draft-ietf-httpapi-ratelimit-headers; no time in them is past `most_s`."""
    policies, left = list[str](), list[str]()
    for limit, window in stands:
        unit = ';qu="tokens"' if limit.unit == "tokens" else ""
        policies.append(f'"{limit.name}";q={limit.amount}{unit};w={limit.window_s}')
        room = max(0, limit.amount - window.used(limit) - (limit.cost if taken else 0))
        seconds = window.free_in(limit) if window.full(limit) else window.ends_in(limit)
        seconds = max(1, min(most_s, math.ceil(seconds)))
        left.append(f'"{limit.name}";r={room};t={seconds}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
