"""What a loss of Redis would cost, read from the running server and said in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from inwit.errors import QueueDown

UNKNOWN = "unknown"
_OLDEST = (7, 0)  # the first whose scripts may say what they do at the memory limit
_NO_LOSS = "Made again from the ledger: no case and no ruling is lost."


@dataclass(frozen=True, slots=True)
class Durability:
    """How the queue's index is kept. Settings that the server does not tell are "unknown".

    `version` is that of Redis whose commands the server speaks; `replicas` counts those connected
    to the primary that has the fewest.
    """

    version: str
    cluster: bool
    eviction: str
    append_only: str
    sync: str
    replicas: int
    words: str
    warnings: tuple[str, ...]


async def look(redis: Redis | RedisCluster) -> Durability:
    """Ask every primary for its settings; of several that differ the weakest counts.

    Raises:
        QueueDown: Redis does not answer.
    """
    try:
        found = [await _of(node) for node in await _primaries(redis)]
    except (RedisError, RedisClusterException, OSError) as error:
        raise QueueDown(
            f"Redis does not tell how it keeps the review queue ({type(error).__name__}). "
            "Every case is safe in the ledger. Try again later."
        ) from error
    weakest = min(found, key=lambda each: (-len(each.warnings), each.replicas))
    warnings = tuple(dict.fromkeys(warning for each in found for warning in each.warnings))
    return Durability(
        version=min((each.version for each in found), key=_numbers),
        cluster=isinstance(redis, RedisCluster) or weakest.cluster,
        eviction=weakest.eviction,
        append_only=weakest.append_only,
        sync=weakest.sync,
        replicas=min(each.replicas for each in found),
        words=weakest.words,
        warnings=warnings,
    )


async def _primaries(redis: Redis | RedisCluster) -> list[tuple[Any, Mapping[str, Any]]]:
    """Clients, with what each command to that node needs besides."""
    if isinstance(redis, RedisCluster):
        await redis.initialize()
        return [(redis, {"target_nodes": node}) for node in redis.get_primaries()]
    return [(redis, {})]


async def _of(node: tuple[Any, Mapping[str, Any]]) -> Durability:
    client, target = node
    info: Mapping[str, Any] = await client.info(**target)
    eviction = await _setting(client, target, "maxmemory-policy")
    append_only = await _setting(client, target, "appendonly")
    sync = await _setting(client, target, "appendfsync")
    version = str(info.get("redis_version", UNKNOWN))
    if eviction == UNKNOWN:
        eviction = str(info.get("maxmemory_policy", UNKNOWN))
    if append_only == UNKNOWN and "aof_enabled" in info:
        append_only = "yes" if info["aof_enabled"] else "no"
    replicas = int(info.get("connected_slaves", 0))
    return Durability(
        version=version,
        cluster=bool(info.get("cluster_enabled", 0)),
        eviction=eviction,
        append_only=append_only,
        sync=sync,
        replicas=replicas,
        words=" ".join((_on_restart(append_only, sync), _on_failover(replicas), _NO_LOSS)),
        warnings=tuple(_warnings(version, eviction, append_only, replicas)),
    )


async def _setting(client: Any, target: Mapping[str, Any], name: str) -> str:
    """A managed Redis often refuses CONFIG, or leaves settings out."""
    try:
        return str((await client.config_get(name, **target)).get(name, UNKNOWN))
    except ResponseError:
        return UNKNOWN


def _on_restart(append_only: str, sync: str) -> str:
    match append_only, sync:
        case "yes", "always":
            return "A sync at every write: a crash costs nothing of the queue's index."
        case "yes", "everysec":
            return "A sync every second: a crash costs up to 1 s of the queue's index."
        case "yes", _:
            return "Synced when the system likes (or unknown): a crash may cost some of the index."
        case "no", _:
            return "No append-only file: a restart may cost the whole of the queue's index."
        case _:
            return "It is unknown what a restart costs of the queue's index."


def _on_failover(replicas: int) -> str:
    if replicas:
        return "A failover may cost what no replica had received."
    return "No replica: while this server is away nobody can claim."


def too_old(version: str) -> bool:
    """Whether the queue's scripts cannot run on that version."""
    return version != UNKNOWN and _numbers(version) < _OLDEST


def _warnings(version: str, eviction: str, append_only: str, replicas: int) -> list[str]:
    warnings = list[str]()
    if too_old(version):
        warnings.append(f"Redis {version} is too old. The queue needs 7.0 or later, or Valkey.")
    if eviction not in ("noeviction", UNKNOWN):
        warnings.append(
            f"maxmemory-policy is {eviction}, so Redis may throw cases out of the queue. "
            "Set it to noeviction."
        )
    if append_only == "no":
        warnings.append("appendonly is no, so a restart may empty the queue. Set it to yes.")
    if not replicas:
        warnings.append("No replica is connected, so nobody can claim while this server is away.")
    return warnings


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
