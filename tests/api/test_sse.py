"""`EventStream` alone, as an ASGI application: what it sends, and that whatever ends it, ends all.

Times are either so long that they never pass, or so short that they always do.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.api.live import live_pieces
from inwit.api.middleware import RequestContext
from inwit.api.sse import EventStream, event
from inwit.bootstrap import Parts, assemble
from inwit.decisions import CutRecord, Response
from inwit.errors import ClientGone, InwitError, UpstreamError
from inwit.pipeline.background import Background
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.streaming import Live
from inwit.policy.book import PolicyBook
from inwit.types import Call, Message, Principal
from tests.conftest import LIMITS
from tests.fakes import FakeClassifiers, FakeLedger, FakeMeter, FakeModel
from tests.fakes_policies import compiled

NEVER, AT_ONCE = 60.0, 0.001  # seconds
SECRET = "a word that the model wrote"
SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": []}
HEARTBEAT = b": heartbeat\n\n"


@dataclass
class Reader:
    """The caller's end of a connection. From message `stuck_at` on it takes nothing more."""

    stuck_at: int | None = None
    sent: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    got: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.stuck_at is not None and len(self.sent) >= self.stuck_at:
            await asyncio.Event().wait()
        self.sent.append(message)
        async with self.got:
            self.got.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.got:
            await self.got.wait_for(is_so)

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


@dataclass
class Source:
    """Chunks: each as it stands, an exception is raised, an event is waited for."""

    steps: list[bytes | asyncio.Event | BaseException] = field(
        default_factory=list[bytes | asyncio.Event | BaseException]
    )
    closed: list[str] = field(default_factory=list[str])

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            for step in self.steps:
                match step:
                    case bytes():
                        yield step
                    case asyncio.Event():
                        await step.wait()
                    case error:
                        raise error
        finally:
            await asyncio.sleep(0)  # closing takes its time, and is waited for
            self.closed.append("chunks")

    def stream(self, heartbeat_s: float = NEVER, send_s: float = NEVER) -> EventStream:
        held = ExitStack()
        held.callback(self.closed.append, "held")
        return EventStream(
            self.chunks(),
            held,
            headers=lambda: {"x-inwit-response": "resp_1"},
            on_error=lambda error: event("error", f'"{error.kind}"', "resp_1/error"),
            heartbeat_s=heartbeat_s,
            send_s=send_s,
        )


@dataclass
class Ends:
    """How often streams ended in each way, since this was made."""

    before: dict[str, float] = field(default_factory=lambda: _ends())

    def counted(self) -> dict[str, float]:
        after = _ends()
        grown = {end: after[end] - self.before.get(end, 0.0) for end in after}
        return {end: count for end, count in grown.items() if count}


def _ends() -> dict[str, float]:
    metrics = [each for each in REGISTRY.collect() if each.name == "inwit_streams"]
    samples = [sample for metric in metrics for sample in metric.samples]
    return {s.labels["end"]: s.value for s in samples if s.name == "inwit_streams_total"}


@pytest.fixture
def ends() -> Ends:
    return Ends()


async def test_chunks_leave_in_their_order_as_an_event_stream(ends: Ends) -> None:
    source, reader = Source([b"one", b"two"]), Reader()

    await source.stream()(SCOPE, reader.receive, reader.send)

    start, *bodies = reader.sent
    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-cache, no-transform",
        b"x-accel-buffering": b"no",
        b"x-inwit-response": b"resp_1",
    }
    assert [body["body"] for body in bodies] == [b"one", b"two", b""]
    assert [body["more_body"] for body in bodies] == [True, True, False]
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {"done": 1.0}


async def test_without_chunks_there_is_an_empty_answer() -> None:
    source, reader = Source(), Reader()

    await source.stream()(SCOPE, reader.receive, reader.send)

    assert (reader.text, reader.complete) == (b"", True)


@pytest.mark.parametrize("before", [[], [b"one"]])
async def test_a_silence_is_filled_with_heartbeats(before: list[bytes]) -> None:
    more = asyncio.Event()
    source, reader = Source([*before, more, b"last"]), Reader()
    running = asyncio.create_task(
        source.stream(heartbeat_s=AT_ONCE)(SCOPE, reader.receive, reader.send)
    )

    await reader.until(lambda: reader.text.count(HEARTBEAT) == 3)
    more.set()
    await running

    first, last = b"".join(before), reader.text.removesuffix(b"last")
    assert reader.text.endswith(b"last")
    assert last == first + HEARTBEAT * (len(last[len(first) :]) // len(HEARTBEAT))
    assert reader.complete


async def test_an_error_before_the_first_byte_is_raised(ends: Ends) -> None:
    source, reader = Source([UpstreamError("failed")]), Reader()

    with pytest.raises(UpstreamError):
        await source.stream()(SCOPE, reader.receive, reader.send)

    assert reader.sent == []
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {}


async def test_an_error_after_the_first_byte_is_an_event(ends: Ends) -> None:
    source, reader = Source([b"one", UpstreamError(SECRET)]), Reader()

    await source.stream()(SCOPE, reader.receive, reader.send)

    assert reader.text == b'oneevent: error\nid: resp_1/error\ndata: "upstream-error"\n\n'
    assert reader.complete
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {"error": 1.0}


async def test_a_heartbeat_is_a_first_byte(ends: Ends) -> None:
    fail = asyncio.Event()
    source, reader = Source([fail, InwitError()]), Reader()
    running = asyncio.create_task(
        source.stream(heartbeat_s=AT_ONCE)(SCOPE, reader.receive, reader.send)
    )

    await reader.until(lambda: HEARTBEAT in reader.text)
    fail.set()
    await running

    assert b"event: error" in reader.text
    assert ends.counted() == {"error": 1.0}


@pytest.mark.parametrize("stuck_at", [0, 1, 2, 3])
async def test_a_reader_that_takes_nothing_ends_its_stream(ends: Ends, stuck_at: int) -> None:
    source, reader = Source([b"one", b"two"]), Reader(stuck_at)

    await source.stream(send_s=AT_ONCE)(SCOPE, reader.receive, reader.send)

    assert not reader.complete
    assert len(reader.sent) == stuck_at
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {"slow_reader": 1.0}


async def test_a_caller_that_goes_before_the_first_byte(ends: Ends) -> None:
    source, reader = Source([asyncio.Event()]), Reader()
    running = asyncio.create_task(source.stream()(SCOPE, reader.receive, reader.send))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    reader.gone.set()

    with pytest.raises(ClientGone):
        await running
    assert reader.sent == []
    assert source.closed[-1] == "held"
    assert ends.counted() == {"caller_gone": 1.0}


@pytest.mark.parametrize("stuck_at", [None, 2])
async def test_a_caller_that_goes_half_way(ends: Ends, stuck_at: int | None) -> None:
    source, reader = Source([b"one", b"two", asyncio.Event()]), Reader(stuck_at)
    running = asyncio.create_task(source.stream()(SCOPE, reader.receive, reader.send))
    seen = 3 if stuck_at is None else stuck_at
    await reader.until(lambda: len(reader.sent) == seen)

    reader.gone.set()
    await running

    assert not reader.complete
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {"caller_gone": 1.0}


async def test_a_caller_that_is_gone_already_costs_nothing(ends: Ends) -> None:
    source, reader = Source([b"one", asyncio.Event()]), Reader(stuck_at=0)
    reader.gone.set()

    with contextlib.suppress(ClientGone):
        await source.stream()(SCOPE, reader.receive, reader.send)

    assert reader.sent == []
    assert source.closed[-1] == "held"
    assert ends.counted() == {"caller_gone": 1.0}


async def test_a_bug_half_way_breaks_the_answer_off_and_is_not_quoted(ends: Ends) -> None:
    source, reader = Source([b"one", RuntimeError(SECRET)]), Reader()
    app = RequestContext(source.stream())

    with capture_logs() as logs:
        await app(dict(SCOPE), reader.receive, reader.send)

    assert reader.text == b"one"
    assert not reader.complete  # from which the server knows that it has to cut the connection
    assert source.closed == ["chunks", "held"]
    assert ends.counted() == {"error": 1.0}
    (bug,) = [line for line in logs if line["log_level"] == "error"]
    assert bug["error"] == "RuntimeError"
    assert SECRET not in str(logs)


async def test_a_bug_while_closing_frees_the_place_all_the_same() -> None:
    freed: list[str] = []

    async def chunks() -> AsyncGenerator[bytes]:
        try:
            yield b"one"
        finally:
            raise RuntimeError(SECRET)

    stream = Source().stream(send_s=AT_ONCE)
    held = ExitStack()
    held.callback(freed.append, "held")
    stream = EventStream(
        chunks(),
        held,
        headers=dict[str, str],
        on_error=lambda error: error.detail.encode(),
        heartbeat_s=NEVER,
        send_s=AT_ONCE,
    )
    reader = Reader(stuck_at=1)

    with pytest.raises(RuntimeError):
        await stream(SCOPE, reader.receive, reader.send)

    assert freed == ["held"]


async def test_a_forced_shutdown_says_so_and_closes_everything() -> None:
    source, reader = Source([b"one", asyncio.Event()]), Reader()
    running = asyncio.create_task(source.stream()(SCOPE, reader.receive, reader.send))
    await reader.until(lambda: reader.text == b"one")

    running.cancel()

    await running
    assert source.closed == ["chunks", "held"]
    assert reader.text.startswith(b"one")
    assert b"overloaded" in reader.text


# The pieces of a response under it.

TEXT = "The moon pulls the sea. " * 20
CALL = Call(Principal("k", "acme", ("default",), frozenset()), (Message("user", "Tides?"),))


def pipeline(model: FakeModel, ledger: FakeLedger, background: Background) -> Pipeline:
    policy = compiled(stream={"mode": "audit_only"}, redact=None)
    book = PolicyBook({"default": policy}, policy_time())
    parts = Parts(model, FakeClassifiers(), ledger, FakeMeter(), background)
    return assemble(parts, book, LIMITS)


def policy_time() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


class Stuck(FakeModel):
    """Writes its text, and then never ends."""

    async def _write(self, text: str, draft: Any) -> None:
        draft.add(text, "", None)
        self.hang = "generate"
        await self._maybe_hang("generate")


async def test_pieces_closed_early_cancel_the_work_at_once() -> None:
    model, ledger, background = Stuck(TEXT), FakeLedger(), Background()
    async with background.running():
        live = Live()
        pieces = live_pieces(pipeline(model, ledger, background), CALL, live, None)
        tasks = asyncio.all_tasks()
        assert await anext(pieces) == TEXT

        await pieces.aclose()

        assert model.cancelled == ["generate"]
        left = {task.get_name() for task in asyncio.all_tasks() - tasks}
        assert left <= {"cut", "spend"}
        await background.idle()
    assert isinstance(ledger.entries[-1], CutRecord)


async def test_pieces_end_with_the_response() -> None:
    model, ledger, background = FakeModel(TEXT), FakeLedger(), Background()
    async with background.running():
        chain = pipeline(model, ledger, background)

        pieces = [piece async for piece in live_pieces(chain, CALL, Live(), None)]

    *texts, response = pieces
    assert isinstance(response, Response)
    assert all(texts)
    assert TEXT.startswith("".join(str(text) for text in texts))
