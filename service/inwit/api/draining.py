"""The exchanges that are open, and what becomes of new ones while the gateway shuts down."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inwit.api.problems import refusal
from inwit.errors import Overloaded
from inwit.health import Health

OPERATE = ("/healthz", "/readyz", "/startupz", "/metrics")
"""Where those who keep the service running look; these answer as long as the process does."""

_CLOSE = (b"connection", b"close")
_BODY_S = 2.0  # how long a request that is refused may take to arrive
_CUT_S = 5.0  # how long exchanges that are cut may take to say so and to give back what they hold

_SHUTTING_DOWN = "This gateway is shutting down and takes no new requests. Ask again."
_OUT_OF_TIME = (
    "This gateway is shutting down, and the request took longer than it may wait. "
    "Nothing was released; ask again."
)


class Exchanges:
    """Those that were let in and are not over."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._open: set[asyncio.Task[None]] = set()
        self._none = asyncio.Event()
        self._none.set()
        self.cut = False

    @property
    def refused(self) -> bool:
        """Whether new ones are refused."""
        return self._health.draining

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._open)

    @contextmanager
    def one(self) -> Generator[None]:
        """One more while the block runs, which must be a task of its own."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange runs in a task")
        self._open.add(task)
        self._none.clear()
        try:
            yield
        finally:
            self._open.discard(task)
            if not self._open:
                self._none.set()

    async def none_left(self) -> None:
        """Wait until none is open."""
        await self._none.wait()

    async def cut_short(self) -> None:
        """End those that are open: each tells its caller so, in a few seconds at most."""
        self.cut = True
        for task in tuple(self._open):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CUT_S):
                await self.none_left()


class Drain:
    """Pure ASGI. While the gateway shuts down it refuses what comes, and lets connections end.

    A caller on a connection that is kept alive gets an answer that closes it, never a bare cut.
    """

    def __init__(self, app: ASGIApp, exchanges: Exchanges) -> None:
        self._app = app
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange, or refuse it before anything is done."""
        if scope["type"] != "http" or scope["path"] in OPERATE:
            await self._app(scope, receive, send)
        elif self._exchanges.refused:
            await _read_on(receive)
            await _answer(_SHUTTING_DOWN, scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._exchanges.refused:
                    message["headers"] = [*message.get("headers", ()), _CLOSE]
            await send(message)

        with self._exchanges.one():
            try:
                await self._app(scope, receive, send_and_note)
            except asyncio.CancelledError:
                if not self._exchanges.cut:
                    raise
                if not started:
                    await _answer(_OUT_OF_TIME, scope, receive, send)


async def _read_on(receive: Receive) -> None:
    """Take what the caller still sends: closing before that could cost it the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_BODY_S):
            while (await receive()).get("more_body", False):
                pass


async def _answer(words: str, scope: Scope, receive: Receive, send: Send) -> None:
    error = Overloaded(words, retry_after=1)
    answer = refusal(error, scope["path"], str(scope.get("inwit.request_id", "")))
    answer.headers["connection"] = "close"
    await answer(scope, receive, send)
