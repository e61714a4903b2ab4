"""The gateway as a Python object: `Inwit` blocks, `AsyncInwit` is the same on asyncio."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Self, Unpack

import httpx

from inwit.client.answers import IN_PROGRESS, Answer, Checked, InclusionReceipt
from inwit.client.calls import Calls, CheckOptions, Message, RespondOptions
from inwit.client.checkpoints import Checkpoint
from inwit.client.connection import AsyncConnection, Connection, Reply
from inwit.client.errors import BadAnswer, InwitError
from inwit.client.parsing import Fields
from inwit.client.reading import read_answer, read_checked, read_error, read_inclusion
from inwit.client.streams import AsyncStream, Stream
from inwit.client.tries import Tries
from inwit.client.witness import Witness

TIMEOUT_S = 120.0
RETRIES = 2
STALL_S = 30.0
RECEIPT_S = 30.0


class _Settings:
    """What both clients share; its repr never shows the API key."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        timeout: float,
        retries: int,
        stall: float,
        witness: Witness | None,
    ) -> None:
        self._calls = Calls(base_url, api_key)
        self.witness = Witness() if witness is None else witness
        if retries < 0 or stall <= 0:
            raise ValueError("retries must be 0 or more, and stall a number of seconds above 0")
        self._timeout, self._retries, self._stall = timeout, retries, stall
        self._tries(None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.base_url!r})"

    def _tries(self, timeout: float | None) -> Tries:
        return Tries(self._retries, self._timeout if timeout is None else timeout)


class Inwit(_Settings):
    """A gateway, for blocking code. Make one and share it: it is safe to use from many threads.

    `timeout`: seconds that a call may take in all, its retries included. `retries`: tries after the
    first. `stall`: seconds without a heartbeat after which a stream counts as broken. `http`: a
    pool of your own (certificates, proxies); it is yours to close. `witness`: one that is shared,
    or that keeps a file; else there is one in memory. Every method raises the errors of
    docs/client.md.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        stall: float = STALL_S,
        http: httpx.Client | None = None,
        witness: Witness | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout, retries, stall, witness)
        self._connection = Connection(http, self._calls, self.witness)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def respond(
        self,
        messages: Sequence[Message],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        **options: Unpack[RespondOptions],
    ) -> Answer:
        """Get an answer that was reviewed, decided and recorded. It may be blocked or held.

        `idempotency_key`: your own id of this question, so that your own repeats (after a crash,
        say) are answered once; a new one for each call when missing.
        """
        call = self._calls.respond(messages, options, stream=False, idempotency_key=idempotency_key)
        return _answer(self._connection.fetch(call, self._tries(timeout)))

    def stream(
        self,
        messages: Sequence[Message],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        **options: Unpack[RespondOptions],
    ) -> Stream:
        """The same as a stream, to be opened with `with`; `timeout` is for the whole of it."""
        call = self._calls.respond(messages, options, stream=True, idempotency_key=idempotency_key)
        return Stream(self._connection, self._calls, call, self._tries(timeout), self._stall)

    def check(
        self,
        messages: Sequence[Message],
        candidate: str | Message,
        *,
        timeout: float | None = None,
        **options: Unpack[CheckOptions],
    ) -> Checked:
        """Review a text, or an assistant message, that your own model wrote. `content` is what may
        leave, masked or rewritten where the policy says so: never show the candidate itself."""
        what = {"messages": messages, "candidate": candidate}
        call = self._calls.check(what, options)
        return _checked(self._connection.fetch(call, self._tries(timeout)))

    def check_many(
        self,
        messages: Sequence[Message],
        candidates: Sequence[str | Message],
        *,
        timeout: float | None = None,
        **options: Unpack[CheckOptions],
    ) -> tuple[Checked | InwitError, ...]:
        """Review several candidates for the same conversation: one result for each, in order,
        which is an error (not raised) where nothing was decided on that one."""
        what = {"messages": messages, "candidates": candidates}
        call = self._calls.check(what, options)
        reply = self._connection.fetch(call, self._tries(timeout))
        return _results(reply, len(candidates))

    def response(
        self, response_id: str, *, wait: float | None = None, timeout: float | None = None
    ) -> Answer | None:
        """The state of a response; None while it is being written. `wait`: seconds, up to 60, that
        the gateway may wait for a change."""
        call = self._calls.response(response_id, wait)
        return _state(self._connection.fetch(call, self._tries(timeout)))

    def wait_for(self, response: Answer | str, timeout: float) -> Answer:
        """Wait until a held response (or the response of that id) is decided, through failures of
        the connection. At once where it is.

        Raises:
            TimedOut: it is not, after `timeout` seconds.
        """
        if isinstance(response, Answer) and not response.held:
            return response
        tries, response_id = Tries(None, timeout), _id(response)
        while True:
            call = self._calls.response(response_id, tries.poll())
            answer = _state(self._connection.fetch(call, tries))
            if answer is not None and not answer.held:
                return answer
            time.sleep(tries.pause())

    def receipt(
        self, response: Answer | Checked | str, *, wait: float = RECEIPT_S
    ) -> InclusionReceipt:
        """Prove that the entry which settled a response (or the entry of that id) is in the log:
        checked, for you to store. It takes a moment, until a checkpoint covers it.

        Raises:
            TimedOut: none does, after `wait` seconds.
            BadAnswer: what came proves nothing, or is the proof of something else.
            Forked: its checkpoint is that of another log.
            InwitError: the proof that its checkpoint is of the same log cannot be had.
        """
        asked, tries = _id(response), Tries(None, wait)
        call = self._calls.receipt(asked)
        while True:
            reply = self._connection.fetch(call, tries)
            if (found := _receipt(reply, asked, self.witness)) is not None:
                break
            time.sleep(tries.pause(reply.retry_after))
        receipt, checkpoint = found
        for question in self.witness.about(checkpoint):
            self._connection.prove(question, tries.again())
        return receipt

    def prove_log(self, *, timeout: float | None = None) -> None:
        """Get the newest checkpoint, and the proofs that the log has only grown to it and through
        all that was shown before. Calls do so by themselves, but for streams: where you only
        stream, call this every few minutes.

        Raises:
            Forked: a proof does not hold.
            NotFound: no checkpoint was signed yet.
        """
        tries = self._tries(timeout)
        reply = self._connection.fetch(self._calls.checkpoint(), tries)
        self.witness.observe_note(reply.checkpoint())
        for question in self.witness.questions():
            self._connection.prove(question, tries.again())


class AsyncInwit(_Settings):
    """A gateway, for asyncio. See `Inwit`: the names and what they mean are the same."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        stall: float = STALL_S,
        http: httpx.AsyncClient | None = None,
        witness: Witness | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout, retries, stall, witness)
        self._connection = AsyncConnection(http, self._calls, self.witness)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def respond(
        self,
        messages: Sequence[Message],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # of the whole call, retries included
        **options: Unpack[RespondOptions],
    ) -> Answer:
        """See `Inwit.respond`."""
        call = self._calls.respond(messages, options, stream=False, idempotency_key=idempotency_key)
        return _answer(await self._connection.fetch(call, self._tries(timeout)))

    def stream(
        self,
        messages: Sequence[Message],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        **options: Unpack[RespondOptions],
    ) -> AsyncStream:
        """See `Inwit.stream`."""
        call = self._calls.respond(messages, options, stream=True, idempotency_key=idempotency_key)
        return AsyncStream(self._connection, self._calls, call, self._tries(timeout), self._stall)

    async def check(
        self,
        messages: Sequence[Message],
        candidate: str | Message,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of the whole call, retries included
        **options: Unpack[CheckOptions],
    ) -> Checked:
        """See `Inwit.check`."""
        what = {"messages": messages, "candidate": candidate}
        call = self._calls.check(what, options)
        return _checked(await self._connection.fetch(call, self._tries(timeout)))

    async def check_many(
        self,
        messages: Sequence[Message],
        candidates: Sequence[str | Message],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of the whole call, retries included
        **options: Unpack[CheckOptions],
    ) -> tuple[Checked | InwitError, ...]:
        """See `Inwit.check_many`."""
        what = {"messages": messages, "candidates": candidates}
        call = self._calls.check(what, options)
        reply = await self._connection.fetch(call, self._tries(timeout))
        return _results(reply, len(candidates))

    async def response(
        self,
        response_id: str,
        *,
        wait: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # of the whole call, retries included
    ) -> Answer | None:
        """See `Inwit.response`."""
        call = self._calls.response(response_id, wait)
        return _state(await self._connection.fetch(call, self._tries(timeout)))

    async def wait_for(
        self,
        response: Answer | str,
        timeout: float,  # noqa: ASYNC109  # of all looks together
    ) -> Answer:
        """See `Inwit.wait_for`."""
        if isinstance(response, Answer) and not response.held:
            return response
        tries, response_id = Tries(None, timeout), _id(response)
        while True:
            call = self._calls.response(response_id, tries.poll())
            answer = _state(await self._connection.fetch(call, tries))
            if answer is not None and not answer.held:
                return answer
            await asyncio.sleep(tries.pause())

    async def receipt(
        self, response: Answer | Checked | str, *, wait: float = RECEIPT_S
    ) -> InclusionReceipt:
        """See `Inwit.receipt`."""
        asked, tries = _id(response), Tries(None, wait)
        call = self._calls.receipt(asked)
        while True:
            reply = await self._connection.fetch(call, tries)
            if (found := _receipt(reply, asked, self.witness)) is not None:
                break
            await asyncio.sleep(tries.pause(reply.retry_after))
        receipt, checkpoint = found
        for question in self.witness.about(checkpoint):
            await self._connection.prove(question, tries.again())
        return receipt

    async def prove_log(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of all its requests together
    ) -> None:
        """See `Inwit.prove_log`."""
        tries = self._tries(timeout)
        reply = await self._connection.fetch(self._calls.checkpoint(), tries)
        self.witness.observe_note(reply.checkpoint())
        for question in self.witness.questions():
            await self._connection.prove(question, tries.again())


def _id(response: Answer | Checked | str) -> str:
    return response if isinstance(response, str) else response.id


def _receipt(
    reply: Reply, asked: str, witness: Witness
) -> tuple[InclusionReceipt, Checkpoint] | None:
    def read(found: dict[str, Any]) -> tuple[InclusionReceipt, Checkpoint] | None:
        receipt = read_inclusion(found, asked)
        if receipt is not None:
            witness.observe_note(receipt[1])
        return receipt

    return reply.read(read)


def _answer(reply: Reply) -> Answer:
    return reply.read(lambda found: read_answer(found, reply.request_id, reply.replayed))


def _state(reply: Reply) -> Answer | None:
    return reply.read(
        lambda found: (
            None
            if found.get("status") == IN_PROGRESS
            else read_answer(found, reply.request_id, reply.replayed)
        )
    )


def _checked(reply: Reply) -> Checked:
    return reply.read(lambda found: read_checked(found, reply.request_id))


def _results(reply: Reply, asked: int) -> tuple[Checked | InwitError, ...]:
    return reply.read(lambda found: _in_order(found, asked, reply.request_id))


def _in_order(
    found: dict[str, Any], asked: int, request_id: str
) -> tuple[Checked | InwitError, ...]:
    results = Fields(found).inners("results")
    if len(results) != asked:
        raise BadAnswer("The gateway's answer has not one result for each candidate.")
    return tuple(_result(each, request_id) for each in results)


def _result(result: Fields, request_id: str) -> Checked | InwitError:
    error = result.maybe_inner("error")
    return read_checked(result.data, request_id) if error is None else read_error(error)
