"""What makes gateways look at their policies: the channel on a real Valkey, signals, time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from inwit.clients.redis import redis_client
from inwit.errors import SetupError
from inwit.ledger.database import Database
from inwit.reload import PolicyReloader, tell_gateways
from tests.clients.test_redis import valkey, wait_for
from tests.fakes_mute_proxy import MuteProxy
from tests.fakes_policy_folder import opened, versions, write_policies
from tests.process.processes import free_port

NEVER_S = 3600.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_policies(tmp_path / "policies", default="1", support="1")


@asynccontextmanager
async def listening(reloader: PolicyReloader, url: str, every_s: float) -> AsyncGenerator[Redis]:
    """The reloader on that Redis, and another client of it, as the command line is one."""
    async with (
        redis_client(url) as redis,
        redis_client(url) as other,
        reloader.watching(redis, every_s),
    ):
        assert isinstance(other, Redis)
        yield other


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await found():  # noqa: ASYNC110  # another process, seen only by asking
            await asyncio.sleep(0.01)


async def told(redis: Redis | RedisCluster, listeners: int = 1) -> bool:
    try:
        return await tell_gateways(redis) == listeners
    except SetupError:
        return False


async def until_version(reloader: PolicyReloader, version: str) -> None:
    async def found() -> bool:
        return versions(reloader)["support"] == version

    await until(found)


async def test_time_alone_brings_a_change_into_force_where_no_redis_answers(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    async with listening(reloader, f"redis://127.0.0.1:{free_port()}", 0.01) as redis:
        write_policies(folder, support="2")
        await until_version(reloader, "2")
        with pytest.raises(SetupError, match=r"no gateway was told.*INWIT_REDIS_URL"):
            await tell_gateways(redis)


async def test_asking_does_not_wait_for_the_interval(folder: Path, database: Database) -> None:
    reloader = await opened(folder, database)
    async with listening(reloader, f"redis://127.0.0.1:{free_port()}", NEVER_S):
        write_policies(folder, support="2")
        reloader.ask()
        await until_version(reloader, "2")


@pytest.mark.process
async def test_a_message_brings_a_change_into_force_also_after_redis_was_away(
    folder: Path, tmp_path: Path, database: Database
) -> None:
    port = free_port()
    reloader = await opened(folder, database)
    async with listening(reloader, f"redis://127.0.0.1:{port}", NEVER_S) as redis:
        with valkey(tmp_path, "--port", str(port)):
            await until(lambda: told(redis))
            write_policies(folder, support="2")
            assert await tell_gateways(redis) == 1
            await until_version(reloader, "2")
        assert not await told(redis)
        write_policies(folder, support="3")  # told to nobody: joining the channel anew shows it
        with valkey(tmp_path, "--port", str(port)):
            await until_version(reloader, "3")
            await until(lambda: told(redis))
            write_policies(folder, support="4")
            assert await tell_gateways(redis) == 1
            await until_version(reloader, "4")


@pytest.mark.process
async def test_a_channel_that_went_dead_without_a_word_is_joined_anew(
    folder: Path, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inwit.reload._SILENCE_S", 0.1)
    port = free_port()
    reloader = await opened(folder, database)
    with valkey(tmp_path, "--port", str(port)):
        async with (
            MuteProxy(port).running() as network,
            redis_client(f"redis://127.0.0.1:{port}") as redis,
            listening(reloader, f"redis://127.0.0.1:{network.port}", NEVER_S),
        ):
            await until(lambda: told(redis))
            network.silent.set()
            write_policies(folder, support="2")
            async with asyncio.timeout(60):
                await network.connected_again.wait()
            await until_version(reloader, "2")


@pytest.mark.process
async def test_behind_sentinel(folder: Path, tmp_path: Path, database: Database) -> None:
    port, sentinel_port = free_port(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {sentinel_port}\nsentinel monitor main 127.0.0.1 {port} 1\n")
    reloader = await opened(folder, database)
    url = f"redis+sentinel://127.0.0.1:{sentinel_port}/main/1"
    with valkey(tmp_path, str(config), "--sentinel"):
        async with listening(reloader, url, NEVER_S) as redis:
            for version in ("2", "3"):
                with valkey(tmp_path, "--port", str(port)):
                    await until(lambda: told(redis))
                    write_policies(folder, support=version)
                    assert await tell_gateways(redis) == 1
                    await until_version(reloader, version)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncGenerator[str]:
    """The address of two nodes that share the slots."""
    ports = free_port(), free_port()
    async with AsyncExitStack() as stack:
        for port in ports:
            home = folder / f"node-{port}"
            home.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            stack.enter_context(valkey(home, "--port", str(port), *options))
        first, second = [
            await stack.enter_async_context(redis_client(f"redis://127.0.0.1:{port}"))
            for port in ports
        ]
        await wait_for(first)
        await wait_for(second)
        await _command(first, "CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        await _command(second, "CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        bus = (await _command(second, "CONFIG", "GET", "cluster-port"))[b"cluster-port"]
        await _command(first, "CLUSTER", "MEET", "127.0.0.1", ports[1], bus)
        for node in (first, second):
            await until(lambda node=node: _whole(node))
        yield f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"


async def _whole(node: Redis | RedisCluster) -> bool:
    return b"cluster_state:ok" in await _command(node, "CLUSTER", "INFO")


async def _command(node: Redis | RedisCluster, *words: str | bytes | int) -> Any:
    untyped: Any = node
    return await untyped.execute_command(*words)


@pytest.mark.process
async def test_on_a_cluster_all_hear_and_all_are_counted(
    folder: Path, tmp_path: Path, database: Database
) -> None:
    reloaders = [await opened(folder, database) for _ in range(5)]
    async with cluster(tmp_path) as url, AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(url))
        for reloader in reloaders:
            await stack.enter_async_context(reloader.watching(redis, NEVER_S))
        await until(lambda: told(redis, 5))
        write_policies(folder, support="2")

        assert await tell_gateways(redis) == 5
        for reloader in reloaders:
            await until_version(reloader, "2")
