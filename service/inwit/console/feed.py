"""What changes while a page is open, as server-sent events: counts, and a case that was closed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from inwit.console.case_sheet import seen
from inwit.console.case_view import ending
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import OutOfSight, Permission, Visitor, require, visitor_of
from inwit.console.work import Work, lanes
from inwit.errors import InwitError, Overloaded

_ASK_AGAIN = 5  # looks between two questions whether the person is still signed in
_LONGEST_S = 600.0  # then the browser comes again

_Watches = Annotated[Visitor, Depends(require(Permission.SEE_QUEUE, used=False))]
_WatchesCase = Annotated[Visitor, Depends(require(Permission.SEE_CASE, used=False))]

Look = Callable[[Visitor], Awaitable[str]]


def router(parts: ConsoleParts, work: Work) -> APIRouter:
    """The two feeds."""
    routes, feeds = APIRouter(), _Feeds(work)

    @routes.get("/feed")
    async def counts(request: Request, visitor: _Watches) -> Response:
        async def look(now: Visitor) -> str:
            found = await lanes(parts.database, work.sweeper, now.account.reviewer)
            return parts.pages.environment.get_template("home_lanes.html").render(lanes=found)

        return feeds.follow(request, visitor, "lanes", look)

    @routes.get("/cases/{case_id}/feed")
    async def one_case(request: Request, visitor: _WatchesCase, case_id: str) -> Response:
        await seen(parts, visitor, case_id)

        async def look(now: Visitor) -> str:
            try:
                case = await seen(parts, now, case_id)
            except OutOfSight:
                return "This case is not yours any more."
            return "" if case.state.open else f"This case was closed meanwhile. {ending(case)}"

        return feeds.follow(request, visitor, "note", look)

    return routes


class _Feeds:
    """Those that are open."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._open = 0

    def follow(self, request: Request, visitor: Visitor, name: str, look: Look) -> Response:
        """A feed of one event, told whenever it changes."""
        return _Feed(self._events(request, visitor, name, look), self)

    @contextmanager
    def place(self) -> Generator[None]:
        """A place among those that are open.

        Raises:
            Overloaded: as many are open as this gateway takes.
        """
        if self._open >= self._work.most_feeds:
            raise Overloaded(f"{self._open} pages follow the queue already.", retry_after=30)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _events(
        self, request: Request, visitor: Visitor, name: str, look: Look
    ) -> AsyncGenerator[str]:
        now: Visitor | None = visitor
        told = ""
        for number in range(int(_LONGEST_S / self._work.feed_every_s)):
            if number and number % _ASK_AGAIN == 0:
                now = await _still(request)
            if now is None or self._work.draining():
                return
            words = told
            with suppress(InwitError):  # the next look may know
                words = await look(now)
            yield _event(name, words) if words != told else ": still here\n\n"
            told = words
            await asyncio.sleep(self._work.feed_every_s)


class _Feed(StreamingResponse):
    """Has its place from the moment it is sent, so that no two take the last one."""

    def __init__(self, events: AsyncGenerator[str], feeds: _Feeds) -> None:
        headers = {"x-accel-buffering": "no"}  # nginx would wait for more
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._feeds = feeds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feeds.place():
            await super().__call__(scope, receive, send)


async def _still(request: Request) -> Visitor | None:
    """Who is signed in there still."""
    try:
        return await visitor_of(request, used=False)
    except InwitError:
        return None


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n"
