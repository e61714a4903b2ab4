"""Promise 5: the same text gets the same verdict, streamed or not, and no text leaves before it.

Texts, harms, cut points and paces are drawn; the judge reads the text that it is shown, as a real
one does, so that a verdict follows from the text alone.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from inwit.api.respond_answer import to_wire
from inwit.api.respond_stream import respond_events
from inwit.bootstrap import Parts, assemble
from inwit.decisions import Record, Response, WindowRecord
from inwit.pipeline.background import Background
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.streaming import Live
from inwit.policy.book import PolicyBook
from inwit.policy.policy import Policy, StreamMode, StreamRule
from inwit.types import (
    Action,
    Call,
    Candidate,
    Draft,
    Exchange,
    Generation,
    Message,
    NextToken,
    Principal,
    ReviewStatus,
    Verdict,
)
from tests.conftest import LIMITS
from tests.fakes import FakeLedger, FakeMeter, FakeModel, risk_of
from tests.fakes_policies import compiled
from tests.streams import Reader, events_in

HARM, DOUBT = "HARM", "DOUBT"
CASES = int(os.environ.get("PARITY_CASES", "200"))  # for each mode; `make parity` has more
LONG = replace(LIMITS, deadline_ms=600_000)
CALL = Call(
    Principal("k", "acme", ("default",), frozenset()),
    (Message("user", "How do tides work? Write to ana@example.org."),),
)
BASES = {
    action: compiled(
        on_harm=action,
        categories={"hate": None, "deception": None},
        redact={"mask": ["email", "phone"], "pass_if_sent_first": ["email"]},
        fallback_text="Withheld.",
    )
    for action in ("block", "escalate", "rewrite")
}


@dataclass
class ReadingModel(FakeModel):
    """Writes pieces of drawn lengths at a drawn pace, and judges what it is shown by its words."""

    cuts: tuple[int, ...] = ()
    pace: tuple[int, ...] = (1,)

    async def generate(self, generation: Generation, draft: Draft | None = None) -> Candidate:
        number = len(self.generations)
        self.generations.append(generation)
        text = self.rewrites[min(number, len(self.rewrites)) - 1] if number else self.text
        if draft is not None:
            await self._pieces(text, draft)
        return Candidate(text, generation.model)

    async def _pieces(self, text: str, draft: Draft) -> None:
        edges = sorted({min(cut, len(text)) for cut in self.cuts} | {0, len(text)})
        for index, (start, end) in enumerate(pairwise(edges)):
            draft.add(text[start:end], "", None)
            for _ in range(self.pace[index % len(self.pace)]):
                await asyncio.sleep(0)

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        await asyncio.sleep(0)
        answer = messages[-2].content
        self.reviews.append(messages)
        return risk_of(0.95 if HARM in answer else 0.5 if DOUBT in answer else 0.05)


class ReadingClassifiers:
    """Flags the same harm; clears doubt."""

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        await asyncio.sleep(0)
        risk = 0.95 if HARM in (exchange.answer or "") else 0.05
        return Verdict(names[0], ReviewStatus.JUDGED, risk=risk, covers=exchange.covers)


@dataclass
class Case:
    """One text, cut and paced, under one policy."""

    text: str
    rewrite: str
    cuts: tuple[int, ...]
    pace: tuple[int, ...]
    action: str
    window: int
    overlap: int
    masks: bool
    ledger: FakeLedger = field(default_factory=FakeLedger)

    def policy(self, mode: StreamMode) -> Policy:
        base = BASES[self.action]
        rule = StreamRule(mode, self.window, self.overlap)
        return replace(base, stream=rule, redact=base.redact if self.masks else None)

    def pipeline(self, mode: StreamMode, ledger: FakeLedger, background: Background) -> Pipeline:
        model = ReadingModel(self.text, rewrites=[self.rewrite], cuts=self.cuts, pace=self.pace)
        book = PolicyBook({"default": self.policy(mode)}, datetime.now(UTC))
        parts = Parts(model, ReadingClassifiers(), ledger, FakeMeter(), background)
        return assemble(parts, book, LONG)


words = st.sampled_from(
    [
        "The moon pulls the sea. ",
        "潮の満ち引きは月による。",
        "\U0001f30a\u0301e\u0301 ",
        "ana@example.org ",
        "bob.miller@example.com ",
        "+49 30 1234567 ",
        "x" * 90 + " ",
        "\u200b",
        "<|im_end|>",
        "line\r\nline\n\n",
        "data: [DONE]\n\n",
        f"{DOUBT} ",
    ]
)
plain = st.tuples(st.lists(words, max_size=24), st.integers(1, 8)).map(
    lambda drawn: "".join(drawn[0]) * drawn[1]
)
harmful = st.tuples(plain, plain).map(lambda two: f"{two[0]}{HARM}{two[1]}")
cases = st.builds(
    Case,
    text=plain | harmful,
    rewrite=st.sampled_from(["Tides follow the moon.", f"Still {HARM}.", "Write to a@b.example."]),
    cuts=st.lists(st.integers(0, 2500), min_size=3, max_size=60).map(tuple),
    pace=st.lists(st.integers(0, 90), min_size=1, max_size=5).map(tuple),
    action=st.sampled_from(["block", "escalate", "rewrite"]),
    window=st.sampled_from([1, 7, 40, 200]),
    overlap=st.sampled_from([0, 3, 20, 100]),
    masks=st.booleans(),
)


async def whole(case: Case) -> Response:
    background = Background()
    async with background.running():
        return await case.pipeline(StreamMode.BUFFER, FakeLedger(), background).respond(CALL)


async def streamed(case: Case, mode: StreamMode, watch: Callable[[Reader], None]) -> Reader:
    """Read the stream as a caller does; `watch` sees what is on the screen after each event."""
    background, live, reader = Background(), Live(), Reader()
    async with background.running():
        pipeline = case.pipeline(mode, case.ledger, background)
        async for raw in respond_events(pipeline, CALL, live, None):
            reader.take(events_in(raw.decode()))
            watch(reader)
    return reader


def check_parity(case: Case, mode: StreamMode) -> None:
    """The same end as without a stream, by a way on which nothing unreviewed was shown."""
    expected = asyncio.run(whole(case))
    answer = to_wire(expected)
    shown: list[str] = []

    def watch(reader: Reader) -> None:
        if reader.decision is None:
            shown.append(reader.text)
            if mode is StreamMode.WINDOWED:
                _assert_passed(case, reader.text)

    reader = asyncio.run(streamed(case, mode, watch))

    masks, sent = "masking" if case.masks else "plain", "sent" if shown else "nothing sent"
    event(f"{masks}, {answer.action.value}, {sent} before")
    assert reader.decision is not None
    assert reader.text == answer.output.content
    assert reader.decision["action"] == answer.action.value
    assert reader.decision["status"] == answer.status
    assert reader.decision["review"]["categories"] == list(answer.review.categories)
    if mode is StreamMode.BUFFER:
        assert shown == []
    _assert_recorded(case, mode, reader)


def _assert_passed(case: Case, text: str) -> None:
    """All that is shown, and `overlap` more, is covered by windows that passed and are recorded."""
    windows = [entry for entry in case.ledger.entries if isinstance(entry, WindowRecord)]
    assert windows, "something is shown before anything is recorded"
    last = windows[-1]
    assert last.end is not None
    assert last.round is not None
    assert len(text) <= last.end
    assert HARM not in text
    judged = last.round.candidate.text
    assert last.round.decision.reviewed
    assert last.round.decision.action in (Action.ALLOW, Action.REDACT)
    assert HARM not in judged
    if not case.masks:
        assert judged.startswith(text)
        assert len(judged) >= len(text) + case.overlap
        harm = case.text.find(HARM)
        if harm >= 0 and case.overlap >= len(HARM) - 1:
            assert len(text) <= harm, "a part of a harm was shown"


def _assert_recorded(case: Case, mode: StreamMode, reader: Reader) -> None:
    record = case.ledger.entries[-1]
    assert isinstance(record, Record)
    assert json.loads(record.contents["released"])["text"] == reader.text
    windows = [entry for entry in case.ledger.entries if isinstance(entry, WindowRecord)]
    pieces = [json.loads(each.contents["released"])["text"] for each in windows if each.contents]
    if mode is StreamMode.WINDOWED and record.sent is not None:
        assert len("".join(pieces)) == record.sent.length
        assert record.sent.retracted == (not reader.text.startswith("".join(pieces)))


@settings(max_examples=CASES, deadline=None)
@given(cases)
def test_buffer(case: Case) -> None:
    check_parity(case, StreamMode.BUFFER)


@settings(max_examples=CASES, deadline=None)
@given(cases)
def test_windowed(case: Case) -> None:
    check_parity(case, StreamMode.WINDOWED)


@settings(max_examples=CASES, deadline=None)
@given(cases)
def test_audit_only(case: Case) -> None:
    check_parity(case, StreamMode.AUDIT_ONLY)
