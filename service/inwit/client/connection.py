"""Calls over HTTP, blocking and asyncio. All that differs between the two clients is I/O."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import httpx

from inwit.client.calls import Call, Calls
from inwit.client.checkpoints import Checkpoint, read_note
from inwit.client.errors import BadAnswer, Forked, InwitError, NotReached, from_problem, seconds
from inwit.client.parsing import Fields, json_object
from inwit.client.tries import Tries
from inwit.client.witness import CHECKPOINT, PROOF_S, Question, Witness

T = TypeVar("T")

CONNECT_S = 5.0
LARGEST = 16 * 2**20  # bytes of an answer
# What fails before a byte of the request has left.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# Shorter than uvicorn's own (5 s), so that no request rides on a connection that is being closed.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=4.0)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of status 200 or 202; `raw` is its body where it was read."""

    request_id: str
    replayed: bool
    raw: bytes = field(default=b"", repr=False)
    retry_after: float | None = None

    @classmethod
    def of(cls, response: httpx.Response, call: Call, raw: bytes = b"") -> "Reply":
        """What the headers say, with the body."""
        replayed = response.headers.get("idempotent-replayed") == "true"
        request_id = response.headers.get("x-request-id", call.request_id)
        return cls(request_id, replayed, raw, seconds(response.headers.get("retry-after")))

    def checkpoint(self) -> Checkpoint:
        """The checkpoint in the body, which is a signed note.

        Raises:
            BadAnswer: it is something else.
        """
        try:
            return read_note(self.raw.decode(errors="surrogateescape"))
        except BadAnswer as error:
            error.request_id = self.request_id
            raise

    def read(self, reader: Callable[[dict[str, Any]], T]) -> T:
        """What `reader` makes of the JSON object in the body.

        Raises:
            BadAnswer: there is none, or the reader cannot read it.
            Forked: the reader is the witness, or asks it.
        """
        try:
            found = json_object(self.raw)
            if found is None:
                raise BadAnswer("The gateway's answer is not a JSON object.")
            return reader(found)
        except (BadAnswer, Forked) as error:
            error.request_id = self.request_id
            raise


class Connection:
    """A pool of connections that block. A pool that was given is not closed here."""

    def __init__(self, http: httpx.Client | None, calls: Calls, witness: Witness) -> None:
        self._http = http or httpx.Client(limits=_LIMITS)
        self._owned = http is None
        self._calls, self._witness = calls, witness

    def fetch(self, call: Call, tries: Tries) -> Reply:
        """Send and read, as often as `tries` allows. Ask for the log's proofs that are due.

        Raises:
            InwitError: as its subclasses say.
        """
        reply = _persist(self._fetch, call, tries)
        limit: Tries | None = None
        for question in self._witness.due():
            try:
                limit = limit or tries.within(PROOF_S)  # for all of them
                self.prove(question, limit)
            except Forked:
                raise
            except InwitError:
                self._witness.put_off(question)
        return reply

    def prove(self, question: Question, tries: Tries) -> None:
        """Ask for a proof, and let the witness have it.

        Raises:
            Forked: it does not hold.
            InwitError: it cannot be had.
        """
        call = self._calls.consistency(question.old.size, question.new.size)
        reply = _persist(self._fetch, call, tries)
        settle = partial(self._witness.settle, question)
        reply.read(lambda found: settle(Fields(found)))

    def open(self, call: Call, tries: Tries) -> httpx.Response:
        """Send as often as `tries` allows; the answer's body is unread.

        Raises:
            InwitError: as its subclasses say.
        """
        return _persist(self._send, call, tries)

    def close(self) -> None:
        """Close the pool."""
        if self._owned:
            self._http.close()

    def _fetch(self, call: Call, tries: Tries) -> Reply:
        response = self._send(call, tries)
        with translated(call):
            raw = _read(response, tries)
        return Reply.of(response, call, raw)

    def _send(self, call: Call, tries: Tries) -> httpx.Response:
        with translated(call):
            limit = _limit(call, tries)
            request = self._http.build_request(
                call.method,
                call.url,
                headers=call.headers,
                content=call.body,
                timeout=httpx.Timeout(limit, connect=min(CONNECT_S, limit)),
            )
            # No auth: neither the pool's nor one in .netrc replaces the key.
            response = self._http.send(request, auth=None, follow_redirects=False, stream=True)
            try:
                self._witness.observe(response.headers.get(CHECKPOINT))
            except InwitError:
                response.close()
                raise
            if _is_answer(response):
                return response
            raise _refusal(response, call, _read(response, tries))


class AsyncConnection:
    """The same on asyncio."""

    def __init__(self, http: httpx.AsyncClient | None, calls: Calls, witness: Witness) -> None:
        self._http = http or httpx.AsyncClient(limits=_LIMITS)
        self._owned = http is None
        self._calls, self._witness = calls, witness

    async def fetch(self, call: Call, tries: Tries) -> Reply:
        """See `Connection.fetch`."""
        reply = await _persist_async(self._fetch, call, tries)
        limit: Tries | None = None
        for question in self._witness.due():
            try:
                limit = limit or tries.within(PROOF_S)
                await self.prove(question, limit)
            except Forked:
                raise
            except InwitError:
                self._witness.put_off(question)
        return reply

    async def prove(self, question: Question, tries: Tries) -> None:
        """See `Connection.prove`."""
        call = self._calls.consistency(question.old.size, question.new.size)
        reply = await _persist_async(self._fetch, call, tries)
        settle = partial(self._witness.settle, question)
        # In a thread, because it may write a file.
        await asyncio.to_thread(reply.read, lambda found: settle(Fields(found)))

    async def open(self, call: Call, tries: Tries) -> httpx.Response:
        """See `Connection.open`."""
        return await _persist_async(self._send, call, tries)

    async def close(self) -> None:
        """Close the pool."""
        if self._owned:
            await self._http.aclose()

    async def _fetch(self, call: Call, tries: Tries) -> Reply:
        response = await self._send(call, tries)
        with translated(call):
            raw = await _read_async(response, tries)
        return Reply.of(response, call, raw)

    async def _send(self, call: Call, tries: Tries) -> httpx.Response:
        with translated(call):
            limit = _limit(call, tries)
            request = self._http.build_request(
                call.method,
                call.url,
                headers=call.headers,
                content=call.body,
                timeout=httpx.Timeout(limit, connect=min(CONNECT_S, limit)),
            )
            async with asyncio.timeout(limit):
                response = await self._http.send(
                    request, auth=None, follow_redirects=False, stream=True
                )
            try:
                self._witness.observe(response.headers.get(CHECKPOINT))
            except InwitError:
                await response.aclose()
                raise
            if _is_answer(response):
                return response
            raise _refusal(response, call, await _read_async(response, tries))


@contextmanager
def translated(call: Call) -> Generator[None]:
    """Turn what httpx raises into our own, and let each error know its request.

    Raises:
        NotReached: the connection could not be made, broke, or was silent for too long.
    """
    try:
        yield
    except InwitError as error:
        error.request_id = error.request_id or call.request_id
        raise
    except (httpx.RequestError, TimeoutError) as error:
        ours = NotReached(_what_happened(error))
        ours.request_id = call.request_id
        ours.repeatable = call.repeatable or isinstance(error, _NOT_SENT)
        raise ours from error


def _what_happened(error: httpx.RequestError | TimeoutError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        # The operating system's words, such as a name that is unknown; never a header or a body.
        return f"The gateway cannot be reached: {str(error) or 'no connection in time'}."
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "The gateway did not answer in time."
    return "The connection to the gateway broke before its answer was whole."


def _persist(attempt: Callable[[Call, Tries], T], call: Call, tries: Tries) -> T:
    while True:
        try:
            return attempt(call, tries)
        except InwitError as error:
            wait = tries.wait_after(error)
        time.sleep(wait)


async def _persist_async(
    attempt: Callable[[Call, Tries], Awaitable[T]], call: Call, tries: Tries
) -> T:
    while True:
        try:
            return await attempt(call, tries)
        except InwitError as error:
            wait = tries.wait_after(error)
        await asyncio.sleep(wait)


def _read(response: httpx.Response, tries: Tries) -> bytes:
    raw = bytearray()
    try:
        refuse_compressed(response)
        for chunk in response.iter_bytes():
            tries.remaining()
            _grow(raw, chunk)
    finally:
        response.close()
    return bytes(raw)


async def _read_async(response: httpx.Response, tries: Tries) -> bytes:
    raw = bytearray()
    chunks = response.aiter_bytes()
    try:
        refuse_compressed(response)
        async with asyncio.timeout(tries.remaining()):
            async for chunk in chunks:
                _grow(raw, chunk)
    finally:
        await hang_up(response, chunks)
    return bytes(raw)


def refuse_compressed(response: httpx.Response) -> None:
    """What was not asked for: it could be of any size once unpacked.

    Raises:
        BadAnswer: it is compressed.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadAnswer("The gateway's answer is compressed; is a proxy in between?")


async def hang_up(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close an answer, read or not: a generator left half-way would be closed some time later."""
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
    await response.aclose()


def _grow(raw: bytearray, chunk: bytes) -> None:
    raw += chunk
    if len(raw) > LARGEST:
        raise BadAnswer("The gateway's answer is too large.")


def _limit(call: Call, tries: Tries) -> float:
    left = tries.remaining()
    return left if call.patience is None else min(left, call.patience)


def _is_answer(response: httpx.Response) -> bool:
    return response.status_code in (200, 202)


def _refusal(response: httpx.Response, call: Call, raw: bytes) -> InwitError:
    return from_problem(
        response.status_code,
        json_object(raw),
        request_id=Reply.of(response, call).request_id,
        retry_after=response.headers.get("retry-after"),
    )
