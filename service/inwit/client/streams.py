"""A streamed response, blocking and asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Self

import httpx

from inwit.client.answers import Answer
from inwit.client.calls import Call, Calls, checked_id
from inwit.client.connection import (
    AsyncConnection,
    Connection,
    Reply,
    hang_up,
    refuse_compressed,
    translated,
)
from inwit.client.errors import (
    BadAnswer,
    Forked,
    Gone,
    InwitError,
    NotReached,
    StreamBroken,
    TimedOut,
)
from inwit.client.events import Decision, Event
from inwit.client.transcript import Transcript
from inwit.client.tries import Tries


class Reading:
    """What both kinds of stream share: what was said so far, and whether a break can be mended."""

    def __init__(self, calls: Calls, call: Call, tries: Tries, stall: float) -> None:
        self._calls, self._call, self._tries = calls, call, tries
        self._stall = stall
        self._said: Transcript | None = None
        self._resumed = False

    @property
    def id(self) -> str:
        """The response's id."""
        return self._transcript.response_id

    @property
    def text(self) -> str:
        """The text that stands now: what was withdrawn is gone from it."""
        return self._transcript.text

    @property
    def decision(self) -> Decision | None:
        """The decision, once it came."""
        return self._transcript.decision

    @property
    def answer(self) -> Answer:
        """The whole answer, the same as `respond` would have given.

        Raises:
            RuntimeError: the stream was not read to its end.
        """
        return self._transcript.answer

    @property
    def _transcript(self) -> Transcript:
        if self._said is None:
            raise RuntimeError("Open the stream first: `with inwit.stream(…) as stream:`.")
        return self._said

    def _refuse_reopening(self) -> None:
        if self._said is not None:
            raise RuntimeError("A stream can be opened once; call `inwit.stream` again.")

    def _begin(self, response: httpx.Response) -> None:
        """Take up the answer to the first request, or to the one after a break."""
        refuse_compressed(response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise BadAnswer("The gateway's answer is not a stream.")
        if self._said is not None and self._said.begun:
            self._said.reconnected()
            return
        reply = Reply.of(response, self._call)
        response_id = response.headers.get("x-inwit-response", "")
        try:
            checked_id(response_id)
        except ValueError as error:
            raise BadAnswer("The gateway's stream has no usable x-inwit-response.") from error
        self._said = Transcript(response_id, reply.request_id, reply.replayed)

    def _patience(self) -> float:
        """How long the next piece may take, in seconds; a heartbeat is a piece too."""
        return min(self._stall, self._tries.remaining())

    def _after_break(self, cause: NotReached | None) -> Call:
        """The call to make after a break, once in a stream's life: before the first event the
        first one again, under its idempotency key; later the one for what came after the last."""
        last = self._transcript.last_event_id
        if self._resumed or (self._transcript.begun and not last):
            raise _broken() from cause
        self._resumed = True
        return self._calls.events(self.id, last) if self._transcript.begun else self._call

    def _ended_by(self, error: InwitError) -> InwitError:
        """The error to raise: a stream that broke, and that the gateway then gave up, is broken."""
        if self._resumed and isinstance(error, Gone):
            given_up = error
            error = _broken()
            error.__cause__ = given_up
        self._transcript.end_with(error)
        return error


class Stream(Reading):
    """A streamed response: a context manager, and an iterator of events.

    Leaving it early hangs up. It belongs to one thread.
    """

    def __init__(
        self, connection: Connection, calls: Calls, call: Call, tries: Tries, stall: float
    ) -> None:
        super().__init__(calls, call, tries, stall)
        self._connection = connection
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        self._refuse_reopening()
        self._adopt(self._connection.open(self._call, self._tries))
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = self._next()
        if event is None:
            raise StopIteration
        return event

    def texts(self) -> Iterator[str]:
        """The text that stands, each time that it changes. Show it in place of the one before:
        what was withdrawn is then off the screen."""
        before = self.text
        for _ in self:
            if self.text != before:
                before = self.text
                yield before

    def finish(self) -> Answer:
        """Read to the end; the whole answer."""
        for _ in self:
            pass
        return self.answer

    def _next(self) -> Event | None:
        try:
            while (event := self._transcript.take()) is None and not self._transcript.ended:
                self._receive()
        except InwitError as error:
            raise self._ended_by(error)  # noqa: B904  # its cause is its own
        return event

    def _receive(self) -> None:
        try:
            with translated(self._call):
                self._tries.remaining()
                chunk = next(self._chunks, None)
        except NotReached as error:
            self._resume(error)
            return
        if chunk is None:
            self._resume(None)
        else:
            self._transcript.feed(chunk)

    def _resume(self, cause: NotReached | None) -> None:
        self._close()
        call = self._after_break(cause)
        try:
            self._adopt(self._connection.open(call, self._tries.again()))
        except (TimedOut, Forked):
            raise
        except InwitError as error:
            raise _broken() from error

    def _adopt(self, response: httpx.Response) -> None:
        self._response = response
        try:
            self._begin(response)
        except BadAnswer:
            self._close()
            raise
        # From here on a heartbeat is due every few seconds; httpx reads this at the body's start.
        response.request.extensions["timeout"]["read"] = self._patience()
        self._chunks = response.iter_bytes()

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()


class AsyncStream(Reading):
    """The same on asyncio: `async with`, `async for`."""

    def __init__(
        self, connection: AsyncConnection, calls: Calls, call: Call, tries: Tries, stall: float
    ) -> None:
        super().__init__(calls, call, tries, stall)
        self._connection = connection
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._refuse_reopening()
        await self._adopt(await self._connection.open(self._call, self._tries))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def texts(self) -> AsyncIterator[str]:
        """See `Stream.texts`."""
        before = self.text
        async for _ in self:
            if self.text != before:
                before = self.text
                yield before

    async def finish(self) -> Answer:
        """See `Stream.finish`."""
        async for _ in self:
            pass
        return self.answer

    async def _next(self) -> Event | None:
        try:
            while (event := self._transcript.take()) is None and not self._transcript.ended:
                await self._receive()
        except InwitError as error:
            raise self._ended_by(error)  # noqa: B904  # its cause is its own
        return event

    async def _receive(self) -> None:
        try:
            with translated(self._call):
                async with asyncio.timeout(self._patience()):
                    chunk = await anext(self._chunks, None) if self._chunks else None
        except NotReached as error:
            await self._resume(error)
            return
        if chunk is None:
            await self._resume(None)
        else:
            self._transcript.feed(chunk)

    async def _resume(self, cause: NotReached | None) -> None:
        await self._close()
        call = self._after_break(cause)
        try:
            await self._adopt(await self._connection.open(call, self._tries.again()))
        except (TimedOut, Forked):
            raise
        except InwitError as error:
            raise _broken() from error

    async def _adopt(self, response: httpx.Response) -> None:
        self._response, self._chunks = response, response.aiter_bytes()
        try:
            self._begin(response)
        except BadAnswer:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._response is not None and self._chunks is not None:
            await hang_up(self._response, self._chunks)


def _broken() -> StreamBroken:
    return StreamBroken(
        "The stream broke, and could not be taken up again. Where it was decided all the same, "
        "`response` has the answer by its id."
    )
