"""Server-sent events out: heartbeats, a bound on slow readers, and an early error as plain HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inwit import telemetry
from inwit.errors import ClientGone, InwitError, Overloaded
from inwit.labels import StreamEnd

log = structlog.get_logger()

Chunks = AsyncGenerator[bytes]

_HEARTBEAT = b": heartbeat\n\n"
_CUT = "This gateway is shutting down, and the stream took longer than it may wait."
_LAST_WORDS_S = 1.0  # what a reader may take to let them be sent
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would wait for more
}


def event(name: str, data: str, event_id: str) -> bytes:
    """One event; `data` is JSON, which holds no line end."""
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()


class _SlowReader(Exception):
    """The caller takes nothing of what is sent."""


class EventStream(Response):
    """Sends `chunks` as they come, and owns them and `held` until the end, however it comes.

    An InwitError before the first chunk and the first heartbeat is raised, and becomes an answer
    of its own; after that `on_error` renders it. A caller that hangs up, or takes nothing for
    `send_s` seconds, ends its own stream. `headers` are asked for when the first byte leaves.
    A stream that is cancelled (a shutdown whose time is up) says so in an error event.
    """

    def __init__(
        self,
        chunks: Chunks,
        held: ExitStack,
        *,
        headers: Callable[[], Mapping[str, str]],
        on_error: Callable[[InwitError], bytes],
        heartbeat_s: float,
        send_s: float,
    ) -> None:
        super().__init__()
        self._chunks = chunks
        self._held = held
        self._headers = headers
        self._on_error = on_error
        self._heartbeat_s = heartbeat_s
        self._send_s = send_s
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the chunks end or the caller is gone."""
        pump = asyncio.create_task(self._pump(send))
        watch = asyncio.create_task(_hung_up(receive))
        end, cut = StreamEnd.ERROR, False
        try:
            await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
            end = pump.result() if pump.done() else StreamEnd.CALLER_GONE
        except asyncio.CancelledError:
            if not self._started:
                raise
            cut = not pump.done()
        finally:
            with self._held:
                pump.cancel()
                watch.cancel()
                await asyncio.gather(pump, watch, return_exceptions=True)
                await self._chunks.aclose()
            if self._started or end is StreamEnd.CALLER_GONE:
                telemetry.STREAMS.labels(end.value).inc()
        if cut:
            await self._last_words(send)
        if end is StreamEnd.CALLER_GONE and not self._started:
            raise ClientGone("The caller hung up; its work was cancelled.")

    async def _last_words(self, send: Send) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await send(_body(self._on_error(Overloaded(_CUT, retry_after=1)), more=True))
                await send(_body(b"", more=False))

    async def _pump(self, send: Send) -> StreamEnd:
        pending = asyncio.ensure_future(anext(self._chunks, None))
        try:
            while True:
                await asyncio.wait({pending}, timeout=self._heartbeat_s)
                chunk, end = _HEARTBEAT, None
                if pending.done():
                    chunk, end = self._take(pending)
                await self._send(send, chunk)
                if end is not None:
                    return await self._finish(send, end)
                if pending.done():
                    pending = asyncio.ensure_future(anext(self._chunks, None))
        except _SlowReader:
            return StreamEnd.SLOW_READER
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)

    def _take(self, pending: asyncio.Future[bytes | None]) -> tuple[bytes, StreamEnd | None]:
        """The next chunk, and what ends the stream with it."""
        try:
            chunk = pending.result()
        except InwitError as error:
            if not self._started:
                raise
            log.warning("stream_failed", kind=error.kind, detail=error.detail)
            return self._on_error(error), StreamEnd.ERROR
        return (b"", StreamEnd.DONE) if chunk is None else (chunk, None)

    async def _send(self, send: Send, chunk: bytes) -> None:
        if not self._started:
            self._started = True
            headers = [*_HEADERS.items(), *self._headers().items()]
            raw = [(name.encode(), value.encode()) for name, value in headers]
            start = {"type": "http.response.start", "status": 200, "headers": raw}
            await self._bounded(send, start)
        if chunk:
            await self._bounded(send, _body(chunk, more=True))

    async def _finish(self, send: Send, end: StreamEnd) -> StreamEnd:
        await self._bounded(send, _body(b"", more=False))
        return end

    async def _bounded(self, send: Send, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._send_s):
                await send(message)
        except TimeoutError as error:
            raise _SlowReader from error


def _body(chunk: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
