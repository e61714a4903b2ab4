"""Named stand-ins for classifiers: an HTTP server, a member of the panel, a clock."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from inwit.types import Exchange, Harm, Message, ReviewStatus, Verdict

ASKED = "How do tides work?"
ANSWER = "The moon pulls the sea."
COVERS = "ab" * 32


def exchange(
    answer: str | None = ANSWER, *, covers: str = COVERS, harms: tuple[Harm, ...] = ()
) -> Exchange:
    """A harmless exchange."""
    turns = (Message("system", "Be kind."), Message("user", ASKED))
    return Exchange(turns, answer, covers, "acme", harms)


@dataclass
class Clock:
    """Seconds that pass only when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


Manner = Literal["answer", "hang", "hang_up", "cut", "endless"]


@dataclass
class FakeHttp:
    """A server on loopback that answers everything in one manner. `answer` is JSON, or bytes."""

    answer: Any = field(default_factory=lambda: {"risk": 0.25})
    status: int = 200
    answer_headers: dict[str, str] = field(default_factory=dict[str, str])
    manner: Manner = "answer"
    base_url: str = ""
    bodies: list[Any] = field(default_factory=list[Any])
    paths: list[str] = field(default_factory=list[str])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["FakeHttp"]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._any)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _any(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json() if request.can_read_body else None)
        match self.manner:
            case "hang":
                return await self._hang()
            case "hang_up" | "cut":
                return await self._break_off(request, headers_first=self.manner == "cut")
            case "endless":
                return await self._endless(request)
            case "answer":
                given = self.answer
                raw = given if isinstance(given, bytes) else json.dumps(given).encode()
                return web.Response(body=raw, status=self.status, headers=self.answer_headers)

    async def _hang(self) -> web.Response:
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError("unreachable")

    async def _break_off(self, request: web.Request, *, headers_first: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "4000"})
        if headers_first:
            await response.prepare(request)
            await response.write(b'{"risk"')
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 4096)


@dataclass
class FakeMember:
    """A panel's `Member`, in memory. It gives what it is told to, and raises exceptions."""

    name: str
    given: Verdict | BaseException | None = None
    judges_input: bool = True
    open_error: Exception | None = None
    opened: bool = False
    asked: int = 0

    async def open(self) -> None:
        if self.open_error is not None:
            raise self.open_error
        self.opened = True

    async def close(self) -> None:
        self.opened = False

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        self.asked += 1
        if isinstance(self.given, BaseException):
            raise self.given
        if self.given is not None:
            return self.given
        return Verdict(self.name, ReviewStatus.JUDGED, risk=0.5, covers=exchange.covers)
