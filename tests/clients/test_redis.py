"""Redis addresses, each against a real server of its kind (Valkey's own binary)."""

import asyncio
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from inwit.clients.embedded.redis import embedded_redis, valkey_binary
from inwit.clients.redis import answers, redis_client
from inwit.errors import SetupError
from tests.process.processes import free_port

pytestmark = pytest.mark.process


@contextmanager
def valkey(folder: Path, *options: str) -> Generator[None]:
    process = subprocess.Popen(
        [valkey_binary(), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


async def wait_for(client: Redis | RedisCluster) -> None:
    async with asyncio.timeout(60):
        while not await answers(client):  # noqa: ASYNC110  # another process, seen only by asking
            await asyncio.sleep(0.05)


async def test_the_embedded_one_keeps_its_data_and_wants_its_password(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with embedded_redis(tmp_path / "data", log) as url:
        assert await _ask(url, "SET", "k", "v")
        assert b"noeviction" in await _ask(url, "CONFIG", "GET", "maxmemory-policy")
        assert b"yes" in await _ask(url, "CONFIG", "GET", "appendonly")
        assert (await _as_a_stranger(url)).startswith(b"-NOAUTH")
        assert url.split(":")[2].split("@")[0] not in log.read_text()
        with pytest.raises(SetupError, match="Another Inwit is running"):
            async with embedded_redis(tmp_path / "data", log):
                pass

    async with embedded_redis(tmp_path / "data", log) as url:
        assert await _ask(url, "GET", "k") == b"v"


async def _ask(url: str, *command: str | int) -> Any:
    """One command on a connection of its own, answered as Redis's older protocol does."""
    async with Redis.from_url(url, protocol=2) as client:  # pyright: ignore[reportUnknownMemberType]
        untyped: Any = client
        return await untyped.execute_command(*command)


async def _as_a_stranger(url: str) -> bytes:
    host, port = url.rpartition("@")[2].removesuffix("/0").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PING\r\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_cluster(tmp_path: Path) -> None:
    port, bus = free_port(), free_port()
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
    with valkey(tmp_path, "--port", str(port), *cluster, "--requirepass", "s3:c@ret"):
        url = f"redis://:s3%3Ac%40ret@127.0.0.1:{port}"
        async with redis_client(url) as one:
            await wait_for(one)
        await _ask(url, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        # The second address is a node that is away: one that answers is enough.
        address = f"redis+cluster://:s3%3Ac%40ret@127.0.0.1:{port},127.0.0.1:{free_port()}"
        async with redis_client(address) as client:
            assert isinstance(client, RedisCluster)
            await wait_for(client)


async def test_sentinel(tmp_path: Path) -> None:
    port, sentinel_port = free_port(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {sentinel_port}\nsentinel monitor main 127.0.0.1 {port} 1\n")
    primary = valkey(tmp_path, "--port", str(port))
    with primary, valkey(tmp_path, str(config), "--sentinel"):
        async with redis_client(f"redis+sentinel://127.0.0.1:{sentinel_port}/main/1") as client:
            await wait_for(client)


@pytest.mark.parametrize(
    "address", ["redis://h", "redis+cluster://h:6379", "redis+sentinel://h:26379/main"]
)
async def test_no_kind_of_client_sends_a_command_twice_where_that_is_asked(address: str) -> None:
    async with redis_client(address, retries=False) as client:
        retry = client.retry if isinstance(client, RedisCluster) else client.get_retry()
    assert retry is not None
    assert retry.get_retries() == 0


@pytest.mark.parametrize(
    "address",
    [
        "redis+sentinel://127.0.0.1:26379",
        "redis+sentinel://h/m/x",
        "redis+cluster://h:many",
        "ftp://h",
    ],
)
async def test_an_address_that_cannot_be_read_is_one_sentence(address: str) -> None:
    with pytest.raises(SetupError, match="INWIT_REDIS_URL"):
        async with redis_client(address):
            pass


async def test_a_server_that_is_away_does_not_answer() -> None:
    async with redis_client(f"redis://127.0.0.1:{free_port()}") as client:
        assert not await answers(client)
