"""Sessions of the console, in Redis: whoever has the cookie is the account, for a while.

A session is kept under the SHA-256 of its cookie, so that a copy of Redis opens none. It holds the
account's epoch: a change that must end sessions raises the epoch, and those before it are void.
"""

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from inwit.console.account_rows import Account
from inwit.errors import InwitError

T = TypeVar("T")

_KEY = "inwit:session:"


class SessionsUnavailable(InwitError):
    """Redis does not answer: nobody can sign in or act."""

    status: ClassVar[int] = 503
    kind: ClassVar[str] = "sessions-unavailable"
    title: ClassVar[str] = "The console is not available"

    def __init__(self) -> None:
        super().__init__(
            "Nobody can be signed in for now: Redis, which keeps the sessions, does not answer. "
            "Nothing was changed. Try again in a minute.",
            retry_after=30,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in in one browser. `key` names it; `csrf` is the secret of its forms."""

    key: str
    account_id: str
    epoch: int
    csrf: str
    created: datetime


class Sessions:
    """Those that are open. Without any use for `idle` they end, and after `longest` in any case."""

    def __init__(
        self,
        redis: Redis | RedisCluster,
        *,
        longest: timedelta,
        idle: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._longest = longest
        self._idle = idle
        self._now = now

    @property
    def longest(self) -> timedelta:
        """After which every session ends."""
        return self._longest

    async def start(self, account: Account) -> str:
        """Open a session; gives its cookie, which is new and told this once only.

        Raises:
            SessionsUnavailable: Redis does not answer.
        """
        cookie = secrets.token_urlsafe(32)
        facts = {
            "account": account.id,
            "epoch": account.epoch,
            "csrf": secrets.token_urlsafe(32),
            "created": self._now().isoformat(),
        }
        await reached(self._redis.set(_key(cookie), json.dumps(facts), ex=self._idle))
        return cookie

    async def find(self, cookie: str, *, used: bool = True) -> Session | None:
        """The session of a cookie. Unless `used` is false, its idle time begins anew.

        Raises:
            SessionsUnavailable: Redis does not answer.
        """
        key = _key(cookie)
        # In one step: a session that ends meanwhile stays ended.
        asked = self._redis.getex(key, ex=self._idle) if used else self._redis.get(key)
        session = _read(key, await reached(asked))
        if session is None:
            return None
        age = self._now() - session.created
        if age >= self._longest:
            await self.end(session)
            return None
        return session

    async def end(self, session: Session) -> None:
        """Close it.

        Raises:
            SessionsUnavailable: Redis does not answer.
        """
        await reached(self._redis.delete(session.key))


async def reached(asked: "Awaitable[T] | T") -> T:
    """What Redis answers.

    Raises:
        SessionsUnavailable: it does not.
    """
    try:
        # redis-py types its commands for waiting and for not waiting at once.
        return await cast(Awaitable[T], asked)
    except (RedisError, RedisClusterException, OSError) as error:
        raise SessionsUnavailable from error


def digest(secret: str) -> str:
    """Under which a secret with 256 random bits is kept: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(cookie: str) -> str:
    return _KEY + digest(cookie)


def _read(key: str, stored: Any) -> Session | None:
    if not stored:
        return None
    facts = json.loads(stored)
    return Session(
        key,
        facts["account"],
        facts["epoch"],
        facts["csrf"],
        datetime.fromisoformat(facts["created"]),
    )
