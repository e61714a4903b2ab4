"""Responses told to those who ask, from the ledger alone: any gateway can."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta

from inwit.api.problems import problem_json
from inwit.api.sse import event
from inwit.api.stored_answer import Place, delta, events_after, no_such_event
from inwit.bootstrap import Gateway
from inwit.decisions import CutReason, Response
from inwit.errors import CutShort, LedgerError, NotFound, Overloaded, QueueDown
from inwit.ledger.escalations import hung_up
from inwit.ledger.stored import Stored

Rank = Callable[[Response | None], Awaitable[None]]

_FOLLOW_S = 0.25  # between two looks at a stream in progress
_PAUSES_S = (0.25, 1.0)  # between two looks at a response that is waited for, growing

_ENDED = {
    CutReason.CALLER_GONE: "its caller hung up",
    CutReason.UPSTREAM: "the model server failed",
    CutReason.LEDGER: "the ledger did not answer",
    CutReason.INTERNAL: "something failed inside Inwit",
}


class Told:
    """What the ledger tells of responses, now or once there is something to tell."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting = 0

    @contextmanager
    def waiting(self) -> Generator[None]:
        """One of the places for requests that wait: as many as may be in flight, beside those.

        Raises:
            Overloaded: all are taken.
        """
        if self._waiting >= self._gateway.settings.max_in_flight:
            raise Overloaded(
                f"{self._waiting} requests wait for responses, as many as this gateway takes.",
                retry_after=5,
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def about(self, tenant: str, response_id: str) -> Stored:
        """What the ledger has.

        Raises:
            NotFound: nothing, for this tenant.
            Gone: nothing that can be told any more.
        """
        stored = await self._gateway.responses.about(tenant, response_id)
        if stored is None or (stored.response and stored.response.record.checked):
            raise no_such_response()
        return stored

    async def settled(self, tenant: str, response_id: str, wait_s: float) -> Response | None:
        """The response once it waits for nobody, or as it is after `wait_s` seconds.

        None while it is not decided.

        Raises:
            NotFound: this tenant has no such response.
            CutShort: there will be no answer.
            Gone: it cannot be told any more.
        """
        ends = _clock() + wait_s
        pause_s, longest_pause_s = _PAUSES_S
        async with self._in_rank(wait_s) as rank:
            while True:
                stored = await self.about(tenant, response_id)
                if stored.response is None and (error := self._ended(stored)):
                    raise error
                left_s = ends - _clock()
                settled = stored.response is not None and not stored.response.held
                if settled or left_s <= 0 or self._gateway.health.draining:
                    return stored.response
                await rank(stored.response)
                await asyncio.sleep(min(pause_s, left_s))
                pause_s = min(pause_s * 1.5, longest_pause_s)

    @asynccontextmanager
    async def _in_rank(self, wait_s: float) -> AsyncGenerator[Rank]:
        """Tell the queue, once, of a held response that its caller waits; and if they go early."""
        until, told = _now() + timedelta(seconds=wait_s), list[Response]()

        async def rank(response: Response | None) -> None:
            if response is not None and not told:
                told.append(response)
                await self._waits(response, until)

        try:
            yield rank
        except asyncio.CancelledError:
            for response in told:
                await self._waits(response, _now())
            raise

    async def _hung_up(self, response: Response) -> None:
        """Nobody waits in line any more, so that a ruling can be undone."""
        hold = response.record.hold
        if hold is not None:
            with suppress(LedgerError):  # then a ruling takes effect at once, as if they waited
                await self._gateway.ledger.write(lambda each: hung_up(each, hold.id))

    async def _waits(self, response: Response, until: datetime) -> None:
        tenant, hold = response.record.origin.principal.tenant, response.record.hold
        if hold is not None:
            with suppress(QueueDown):  # it ranks as if nobody waited
                await self._gateway.escalation.queue.waiting(tenant, hold.id, until)

    async def in_line(self, response: Response, wait_s: float) -> Response:
        """A held response whose caller waits: once it is settled, or still held in the end.

        Where as many wait as this gateway takes, or the ledger is away, it does not wait.
        """
        origin = response.record.origin
        try:
            with self.waiting():
                told = await self.settled(origin.principal.tenant, origin.response_id, wait_s)
        except (Overloaded, LedgerError):
            return response
        except asyncio.CancelledError:
            await self._hung_up(response)
            raise
        return told or response

    async def rest(
        self, tenant: str, response_id: str, place: Place, request: str
    ) -> AsyncGenerator[bytes]:
        """The events after `place`; those of a stream in progress as the ledger gets to know them.

        Raises:
            NotFound: this tenant has no such response.
            InvalidField: its stream has no such place.
            Gone: it cannot be told any more.
        """
        sent = place.sent
        while not self._gateway.health.draining:
            stored = await self.about(tenant, response_id)
            if stored.response is not None:
                for each in events_after(stored.response, Place(sent, place.step)):
                    yield each
                return
            if place.step is not None:
                raise no_such_event("this response is not decided")
            if fresh := stored.left[sent:]:
                sent += len(fresh)
                yield delta(response_id, fresh, sent)
            if error := self._ended(stored):
                yield event("error", problem_json(error, request), f"{response_id}/error")
                return
            await asyncio.sleep(_FOLLOW_S)

    def _ended(self, stored: Stored) -> CutShort | None:
        """Why a response that is not decided never will be, if so."""
        why = _ENDED[stored.cut] if stored.cut else None
        if why is None and _now() - stored.begun > timedelta(seconds=self._gateway.longest_s):
            why = "the gateway that worked on it stopped"
        return CutShort(f"This response ended before its decision: {why}.") if why else None


def no_such_response() -> NotFound:
    """The error for a response that is not there, or another tenant's."""
    return NotFound("Your tenant has no response with this id.")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _now() -> datetime:
    return datetime.now(UTC)
