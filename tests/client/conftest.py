"""Both clients behind one face, so that each test is told twice: `sync` and `async`."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import pytest

from inwit.client import Answer, AsyncInwit, AsyncStream, Event, Inwit, InwitError, Stream
from tests.client.server import FakeGateway

CERTIFICATES = ssl.create_default_context()  # read once: it takes longer than a test
KEY = "inwit_318698e56639_c2VjcmV0"
ASK: list[dict[str, Any]] = [{"role": "user", "content": "How do tides work?"}]


@dataclass
class Told:
    """What a stream told: its events, the text after each, and how it ended."""

    events: list[Event] = field(default_factory=list[Event])
    texts: list[str] = field(default_factory=list[str])
    answer: Answer | None = None
    error: InwitError | None = None

    @property
    def ended(self) -> Answer:
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


class Blocking:
    """`Inwit`, in a thread of its own."""

    def __init__(self, inwit: Inwit) -> None:
        self.inwit = inwit
        self.left: Stream | None = None

    async def ask(self, method: str, *args: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self.inwit, method), *args, **options)

    async def listen(self, most: int = 1_000_000, **options: Any) -> Told:
        return await asyncio.to_thread(self._listen, most, options)

    async def texts(self) -> list[str]:
        return await asyncio.to_thread(self._texts)

    def _listen(self, most: int, options: dict[str, Any]) -> Told:
        told = Told()
        try:
            with self.inwit.stream(ASK, **options) as stream:
                for event in stream:
                    told.events.append(event)
                    told.texts.append(stream.text)
                    if len(told.events) == most:
                        self.left = stream  # which must hang up all the same
                        return told
                told.answer = stream.finish()
        except InwitError as error:
            told.error = error
        return told

    def _texts(self) -> list[str]:
        with self.inwit.stream(ASK) as stream:
            return list(stream.texts())


class OnAsyncio:
    """`AsyncInwit`."""

    def __init__(self, inwit: AsyncInwit) -> None:
        self.inwit = inwit
        self.left: AsyncStream | None = None

    async def ask(self, method: str, *args: Any, **options: Any) -> Any:
        return await getattr(self.inwit, method)(*args, **options)

    async def listen(self, most: int = 1_000_000, **options: Any) -> Told:
        told = Told()
        try:
            async with self.inwit.stream(ASK, **options) as stream:
                async for event in stream:
                    told.events.append(event)
                    told.texts.append(stream.text)
                    if len(told.events) == most:
                        self.left = stream
                        return told
                told.answer = await stream.finish()
        except InwitError as error:
            told.error = error
        return told

    async def texts(self) -> list[str]:
        async with self.inwit.stream(ASK) as stream:
            return [text async for text in stream.texts()]


Client = Blocking | OnAsyncio
MakeClient = Callable[..., Client]


@pytest.fixture
async def gateway() -> AsyncGenerator[FakeGateway]:
    async with FakeGateway().running() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def make_client(
    request: pytest.FixtureRequest, gateway: FakeGateway
) -> AsyncGenerator[MakeClient]:
    """Makes clients of the gateway."""
    kind: Literal["sync", "async"] = request.param
    async with AsyncExitStack() as stack:

        def make(base_url: str = "", **settings: Any) -> Client:
            url = base_url or gateway.base_url
            if kind == "sync":
                pool = stack.enter_context(httpx.Client(verify=CERTIFICATES))
                return Blocking(Inwit(url, api_key=KEY, http=pool, **settings))
            async_pool = httpx.AsyncClient(verify=CERTIFICATES)
            stack.push_async_exit(async_pool)
            return OnAsyncio(AsyncInwit(url, api_key=KEY, http=async_pool, **settings))

        yield make
    for _ in range(6):  # turns of the loop in which asyncio closes generators inside httpx
        await asyncio.sleep(0)


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()
