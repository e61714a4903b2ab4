"""What a loss of Redis would cost, told by servers that are set up in one way and another."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from inwit.clients.embedded.redis import embedded_redis
from inwit.clients.redis import redis_client
from inwit.errors import QueueDown
from inwit.escalation.durability import Durability, look
from tests.process.processes import free_port
from tests.process.redis_server import valkey_server

SAFE = "Made again from the ledger: no case and no ruling is lost."
ALONE = "No replica is connected, so nobody can claim while this server is away."


async def looked(url: str) -> Durability:
    async with redis_client(url, retries=False) as client:
        return await look(client)


async def test_the_embedded_one(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "data", tmp_path / "log") as url:
        found = await looked(url)
    assert found.words == (
        "A sync every second: a crash costs up to 1 s of the queue's index. "
        f"No replica: while this server is away nobody can claim. {SAFE}"
    )
    assert found.warnings == (ALONE,)
    assert (found.eviction, found.append_only, found.sync) == ("noeviction", "yes", "everysec")
    assert (found.cluster, found.replicas) == (False, 0)
    assert tuple(map(int, found.version.split(".")[:2])) >= (7, 0)


@pytest.mark.parametrize(
    ("options", "words", "warnings"),
    [
        (
            ("--appendonly", "yes", "--appendfsync", "always"),
            "A sync at every write: a crash costs nothing of the queue's index.",
            (ALONE,),
        ),
        (
            ("--appendonly", "yes", "--appendfsync", "no"),
            "Synced when the system likes (or unknown): a crash may cost some of the index.",
            (ALONE,),
        ),
        (
            ("--maxmemory-policy", "allkeys-lru"),
            "No append-only file: a restart may cost the whole of the queue's index.",
            (
                "maxmemory-policy is allkeys-lru, so Redis may throw cases out of the queue. "
                "Set it to noeviction.",
                "appendonly is no, so a restart may empty the queue. Set it to yes.",
                ALONE,
            ),
        ),
    ],
)
async def test_settings_in_words(
    tmp_path: Path, options: tuple[str, ...], words: str, warnings: tuple[str, ...]
) -> None:
    with valkey_server(tmp_path, *options) as server:
        found = await looked(server.url)
    assert found.words.startswith(words)
    assert found.words.endswith(SAFE)
    assert found.warnings == warnings


async def test_a_server_that_does_not_tell_its_settings(tmp_path: Path) -> None:
    """As managed ones do. INFO still has some of them; what it has not is unknown."""
    hidden = ("--rename-command", "CONFIG", "")
    with valkey_server(tmp_path, "--appendonly", "yes", *hidden) as server:
        found = await looked(server.url)
    assert (found.append_only, found.sync, found.eviction) == ("yes", "unknown", "noeviction")
    assert "(or unknown)" in found.words


async def test_a_replica_is_counted(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        valkey_server(
            tmp_path / "one", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"
        ) as primary,
        valkey_server(tmp_path / "two", "--replicaof", "127.0.0.1", str(primary.port)),
    ):
        async with redis_client(primary.url, retries=False) as client:
            untyped: Any = client
            async with asyncio.timeout(60):
                while await untyped.wait(1, 1000) < 1:
                    pass
        found = await looked(primary.url)
    assert (found.replicas, found.warnings) == (1, ())
    assert "A failover may cost what no replica had received." in found.words


async def test_a_cluster(tmp_path: Path) -> None:
    bus = str(free_port())
    cluster = ("--cluster-enabled", "yes", "--cluster-port", bus)
    with valkey_server(tmp_path, *cluster) as server:
        async with redis_client(server.url) as client:
            untyped: Any = client
            await untyped.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        found = await looked(f"redis+cluster://127.0.0.1:{server.port}")
    assert found.cluster
    assert "appendonly is no, so a restart may empty the queue. Set it to yes." in found.warnings


async def test_a_redis_that_is_away() -> None:
    with pytest.raises(QueueDown, match="does not tell how it keeps the review queue"):
        await looked(f"redis://127.0.0.1:{free_port()}")
