"""Connects to Redis or Valkey: one server, Sentinel, or Cluster, by the scheme of the address."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from inwit.errors import SetupError

_TIMEOUT_S = 2.0


@asynccontextmanager
async def redis_client(url: str, *, retries: bool = True) -> AsyncGenerator[Redis | RedisCluster]:
    """A client while the block runs; nothing is sent yet.

    `redis://` and `rediss://` as redis-py reads them; `redis+cluster://[:PASSWORD@]HOST:PORT,…`;
    `redis+sentinel://[:PASSWORD@]HOST:PORT,…/NAME[/DB]`.
    Without `retries` no command is ever sent twice: a lost answer is an error, at once.

    Raises:
        SetupError: the address cannot be read.
    """
    parts = urlsplit(url)
    # redis-py's own way is ten times, also after a timeout, when the command may have run.
    again: dict[str, Any] = {} if retries else {"retry": Retry(NoBackoff(), 0)}
    async with AsyncExitStack() as stack:
        match parts.scheme:
            case "redis" | "rediss":
                client = _single(url, again)
            case "redis+cluster":
                client = _cluster(parts, again)
            case "redis+sentinel":
                sentinel = Sentinel(_hosts(parts, 26379), socket_timeout=_TIMEOUT_S)
                for watcher in sentinel.sentinels:
                    stack.push_async_callback(watcher.aclose)
                client = _behind(sentinel, parts, again)
            case other:
                raise SetupError(f"INWIT_REDIS_URL: the scheme {other!r} is not known.")
        stack.push_async_callback(client.aclose)
        yield client


async def answers(client: Redis | RedisCluster) -> bool:
    """Whether the server answers a PING."""
    try:
        return bool(await client.ping())  # pyright: ignore  # typed for sync and async at once
    except (RedisError, RedisClusterException, OSError):
        return False


def _single(url: str, again: Mapping[str, Any]) -> Redis:
    return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # untyped **kwargs
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, **again
    )


def _cluster(parts: SplitResult, again: Mapping[str, Any]) -> RedisCluster:
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in _hosts(parts, 6379)],
        password=_password(parts),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        **again,
    )


def _behind(sentinel: Sentinel, parts: SplitResult, again: Mapping[str, Any]) -> Redis:
    name, _, db = parts.path.strip("/").partition("/")
    if not name or not (db or "0").isdecimal():
        raise SetupError("INWIT_REDIS_URL: a Sentinel address ends with /NAME[/DB].")
    return sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]  # untyped **kwargs
        name,
        db=int(db or 0),
        password=_password(parts),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        **again,
    )


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    places = parts.netloc.rpartition("@")[2].split(",")
    try:
        hosts = [urlsplit(f"//{place}") for place in places]
        return [(host.hostname or "127.0.0.1", host.port or default_port) for host in hosts]
    except ValueError as error:
        raise SetupError("INWIT_REDIS_URL: a port is not a number.") from error


def _password(parts: SplitResult) -> str | None:
    # Not `parts.password`: several hosts in one address are beyond urlsplit.
    _user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return unquote(password) or None
