"""One Valkey for each module, and a queue on it that nobody else uses."""

import uuid
from collections.abc import AsyncGenerator, Generator

import pytest

from inwit.clients.redis import redis_client
from inwit.escalation.queue import Queue
from tests.process.redis_server import valkey_server


@pytest.fixture(autouse=True)
def _patience_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that is away."""
    monkeypatch.setattr("inwit.clients.redis._TIMEOUT_S", 60.0)


@pytest.fixture(scope="module")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
async def queue(valkey_url: str) -> AsyncGenerator[Queue]:
    async with redis_client(valkey_url, retries=False) as client:
        yield Queue(client)


@pytest.fixture
def tenant() -> str:
    """Of this test alone: the server is its module's."""
    return f"acme-{uuid.uuid4().hex}"
