"""A caller's webhook endpoint on loopback that behaves as it is told. It lives in tests alone."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from standardwebhooks import Webhook

Behaviour = Literal["answer", "hang", "hang_up", "flood"]


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers with `status`, or does what `behaviour` says."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    behaviour: Behaviour = "answer"
    port: int = 0
    got: list[Got] = field(default_factory=list[Got])
    flooded: int = 0
    open: int = 0
    most_open: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _answering: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(
        self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
    ) -> AsyncGenerator["Receiver"]:
        """Listen while the block runs."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            self._answering.set()
            await runner.cleanup()

    async def came(self, count: int = 1) -> list[Got]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: len(self.got) >= count)
        return self.got

    def answer(self) -> None:
        """Let those go on that hang."""
        self._answering.set()

    def verified(self, secret: str, index: int = 0) -> Any:
        """The payload, as the reference library of Standard Webhooks reads it."""
        got = self.got[index]
        return Webhook(secret).verify(got.body, got.headers)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with self._news:
            self.got.append(Got(request.path_qs, headers, await request.read()))
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            self._news.notify_all()
        try:
            return await self._behave(request)
        finally:
            self.open -= 1

    async def _behave(self, request: web.Request) -> web.StreamResponse:
        match self.behaviour:
            case "hang":
                await self._answering.wait()
            case "hang_up" if request.transport is not None:
                request.transport.abort()
            case "flood":
                return await self._flood(request)
            case _:
                pass
        return web.Response(status=self.status, headers=self.headers)

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            self.flooded += 65_536
