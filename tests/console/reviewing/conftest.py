"""Makes gateways with a console; one Valkey for each module."""

from collections.abc import Generator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.conftest import MakeCaller
from tests.console.conftest import MakeSite
from tests.console.reviewing.world import MakeWorld, World, world
from tests.process.redis_server import valkey_server


@pytest.fixture(autouse=True)
def _patience_at_the_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds loses neither its queue nor what it compares."""
    monkeypatch.setattr("inwit.clients.redis._TIMEOUT_S", 60.0)
    monkeypatch.setattr("inwit.console.similar.LONGEST_S", 60.0)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
async def make_world(make_caller: MakeCaller, make_site: MakeSite, redis_url: str) -> MakeWorld:
    client = Redis.from_url(redis_url)  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.flushdb()  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.aclose()

    async def make(redis_url: str = redis_url, **settings: Any) -> World:
        return await world(make_caller, make_site, redis_url, **settings)

    return make
