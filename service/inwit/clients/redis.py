"""Connects to Redis or Valkey: one server, Sentinel, or Cluster, by the scheme of the address."""

from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from inwit.errors import SetupError

_TIMEOUT_S = 2.0


def connect_redis(url: str) -> Redis | RedisCluster:
    """Make a client; nothing is sent yet.

    `redis://` and `rediss://` as redis-py reads them; `redis+cluster://[:PASSWORD@]HOST:PORT,…`;
    `redis+sentinel://[:PASSWORD@]HOST:PORT,…/NAME[/DB]`.

    Raises:
        SetupError: the address cannot be read.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "redis" | "rediss":
            return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # untyped **kwargs
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            )
        case "redis+cluster":
            nodes = [ClusterNode(host, port) for host, port in _hosts(parts, 6379)]
            return RedisCluster(
                startup_nodes=nodes,
                password=_password(parts),
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
            )
        case "redis+sentinel":
            name, _, db = parts.path.strip("/").partition("/")
            if not name:
                raise SetupError("INWIT_REDIS_URL: a Sentinel address ends with /NAME[/DB].")
            sentinel = Sentinel(_hosts(parts, 26379), socket_timeout=_TIMEOUT_S)
            return sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]  # the same
                name,
                db=int(db or 0),
                password=_password(parts),
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
            )
        case other:
            raise SetupError(f"INWIT_REDIS_URL: the scheme {other!r} is not known.")


async def answers(client: Redis | RedisCluster) -> bool:
    """Whether the server answers a PING."""
    try:
        return bool(await client.ping())  # pyright: ignore  # redis-py types it for sync and async at once
    except (RedisError, OSError):
        return False


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
