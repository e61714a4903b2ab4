"""A streamed response taken apart: every step of all who are in it is drawn, on a stepped loop.

The model writes, stalls, thinks, breaks off; judges answer or do not; the ledger confirms, fails,
or writes and never says so; the caller reads, stops reading, hangs up; time passes. After each
step the promises of streaming must hold, and at the end everything must end.
"""

import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inwit.api.live import live_pieces
from inwit.decisions import (
    AcceptedRecord,
    CutRecord,
    FailedRecord,
    Record,
    WindowRecord,
)
from inwit.errors import (
    ConversationTooLong,
    InwitError,
    UpstreamError,
    UpstreamUnavailable,
)
from inwit.policy.policy import StreamMode, StreamRule
from inwit.types import (
    FinishReason,
    ToolCall,
)
from tests.pipeline.stream_world import (
    CALL,
    POLICIES,
    RELEASED,
    Answer,
    Streamed,
    texts,
)

R = TypeVar("R")

EXAMPLES = int(os.environ.get("STREAM_EXAMPLES", "100"))
STEPS = int(os.environ.get("STREAM_STEPS", "40"))


class StreamMachine(Streamed):
    """One streamed response, from its admission to its end."""

    @initialize(
        mode=st.sampled_from([*StreamMode, StreamMode.WINDOWED, StreamMode.AUDIT_ONLY]),
        window=st.sampled_from([1, 5, 40]),
        overlap=st.sampled_from([0, 3, 20]),
        action=st.sampled_from(["block", "escalate", "rewrite"]),
        looks=st.booleans(),
        masks=st.booleans(),
        opening=st.lists(texts, max_size=5),
        calm=st.sampled_from([0, 0, 0, 12, 60]),
    )
    def begin(
        self,
        mode: StreamMode,
        window: int,
        overlap: int,
        action: str,
        looks: bool,
        masks: bool,
        opening: list[str],
        calm: int,
    ) -> None:
        base = POLICIES[action, looks]
        self.policy = replace(
            base,
            stream=StreamRule(mode, window, overlap),
            redact=base.redact if masks else None,
        )
        self.pieces = live_pieces(self.assembled(), CALL, self.live, None)
        self.read()
        for text in opening:  # all goes well at first, or nothing ever gets far
            self.write(text, 4)
        self.calm = self.steps + calm  # so many steps before the first mishap

    # What may happen.

    @precondition(lambda self: self.author.pen is not None)
    @rule(text=texts, well=st.integers(0, 2))
    def write(self, text: str, well: int) -> None:
        self.open_pen().write(text, "")
        self._step()
        for _ in range(well):
            self.go_on()

    @precondition(lambda self: self.author.pen is not None)
    @rule(reasoning=texts)
    def think(self, reasoning: str) -> None:
        self.open_pen().write("", reasoning)
        self._step()

    @rule()
    def go_on(self) -> None:
        """What is waited for first goes well."""
        if self.book.pending:
            self.book.commit("confirm")
        elif self.judges.questions:
            self.judges.questions[0].answered.set_result("pass")
        self._step()

    @precondition(lambda self: not self.over() and not self.reading)
    @rule()
    def read(self) -> None:
        self.reading = self.loop.create_task(self.next_piece())
        self._step()

    @precondition(lambda self: self._rough() and self.author.pen is not None)
    @rule(finish=st.sampled_from(["stop", "stop", "length", "tool_calls"]), last=texts)
    def finish(self, finish: FinishReason, last: str) -> None:
        pen = self.open_pen()
        pen.write(last, "")
        called = finish == "tool_calls" and bool(pen.generation.tools)
        calls = (ToolCall("call_1", "look_up", "{}"),) if called else ()
        pen.ended.set_result((finish, calls))
        self._step()

    @precondition(lambda self: self._rough() and self.judges.questions)
    @rule(answer=st.sampled_from(["fail", "fail", "doubt", "doubt", "unavailable", "truncated"]))
    def answer(self, answer: Answer) -> None:
        self.judges.questions[0].answered.set_result(answer)
        self._step()

    @precondition(lambda self: self._rough() and self.author.pen is not None)
    @rule(error=st.sampled_from([UpstreamError, UpstreamUnavailable, None]))
    def break_off(self, error: type[InwitError] | None) -> None:
        raised = error("failed") if error else ConversationTooLong(5000, 4096)
        self.open_pen().ended.set_exception(raised)
        self._step()

    @precondition(lambda self: self._rough() and self.book.pending)
    @rule(how=st.sampled_from(["fail", "lose"]))
    def spoil_the_ledger(self, how: Literal["fail", "lose"]) -> None:
        self.book.commit(how)
        self._step()

    @precondition(lambda self: self._rough())
    @rule(seconds=st.sampled_from([0.5, 4.5, 5.5, 10.5, 16.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.now += seconds
        self._step()

    @precondition(lambda self: self._rough() and not self.over())
    @rule()
    def hang_up(self) -> None:
        self.gone = True
        self.loop.create_task(self.hang_up_now())
        self._step()

    def _step(self) -> None:
        self.steps += 1
        self.loop.settle()

    def _rough(self) -> bool:
        return self.steps >= self.calm

    # What must hold after each step.

    @invariant()
    def take(self) -> None:
        """Take what was read; not a promise, but what the others look at."""
        if self.reading is None or not self.reading.done():
            return
        reading, self.reading = self.reading, None
        if reading.cancelled():
            return
        self.error = reading.exception()
        if self.error is not None:
            return
        match reading.result():
            case str() as piece:
                self.shown += piece
            case None:
                raise AssertionError("the pieces ended without a response")
            case response:
                self.response = response

    @invariant()
    def what_is_read_was_sent(self) -> None:
        assert self.live.sent.startswith(self.shown)
        assert self.live.length == len(self.live.sent)

    @invariant()
    def what_is_sent_was_written(self) -> None:
        if self.live.sent:
            assert self.as_masked(self.author.pens[0].text).startswith(self.live.sent)

    @invariant()
    def what_is_sent_was_recorded_and_had_passed(self) -> None:
        windows = [each for each in self.book.confirmed if isinstance(each, WindowRecord)]
        if not hasattr(self, "policy") or self.policy.stream.mode is StreamMode.BUFFER:
            assert not windows
            assert not self.live.sent
            return
        if self.policy.stream.mode is StreamMode.AUDIT_ONLY:
            assert windows or not self.live.sent
            assert [each.end for each in windows] in ([], [None])
            return
        recorded = "".join(json.loads(each.contents["released"])["text"] for each in windows)
        assert recorded == self.live.sent
        done = 0
        for each in windows:
            assert each.start == done
            assert each.end is not None
            assert each.round is not None
            done = each.end
            judged = each.round.candidate
            assert self.author.pens[0].text.startswith(judged.text)
            assert self.as_masked(judged.text).startswith(recorded[:done])
            if self.policy.redact is None:
                assert len(judged.text) >= done + self.policy.stream.overlap

    @invariant()
    def only_what_passed_is_recorded_as_released(self) -> None:
        """Seen as it comes to the ledger: a later review of the same words may say otherwise."""
        for commit in self.book.waiting:
            match commit.record:
                case WindowRecord(round=round_) if round_ is not None:
                    assert self.judges.passed(round_.candidate.digest)
                    assert round_.decision.reviewed
                case Record() as record if record.decision.action in RELEASED:
                    assert self.judges.passed(record.rounds[-1].candidate.digest)
                case _:
                    pass

    @invariant()
    def nothing_is_sent_after_a_flag(self) -> None:
        if self.frozen is None and self.judges.flagged:
            self.frozen = self.live.sent
        if self.frozen is not None:
            assert self.live.sent == self.frozen

    @invariant()
    def a_suspect_question_gets_nothing_early(self) -> None:
        asked = [answers for (kind, _), answers in self.judges.said.items() if kind == "input"]
        if any(answer not in ("pass", "doubt") for answers in asked for answer in answers):
            assert not self.live.sent

    @invariant()
    def a_caller_that_goes_stops_everything(self) -> None:
        if not self.gone:
            return
        for pen in self.author.pens:
            assert pen.cancelled or pen.ended.done()
        left = {task.get_name() for task in asyncio.all_tasks(self.loop)}
        assert left <= {"cut", "failed", "spend"}

    @invariant()
    def nothing_is_judged_before_it_was_accepted(self) -> None:
        if self.judges.questions or self.judges.said:
            assert any(isinstance(each, AcceptedRecord) for each in self.book.confirmed)

    @invariant()
    def a_response_is_recorded_and_whole(self) -> None:
        if self.response is None:
            return
        record, output = self.response.record, self.response.output
        assert record in self.book.confirmed
        assert json.loads(record.contents["released"])["text"] == output.text
        assert self.final_text(self.response) == output.text
        assert self.shown == self.live.sent
        if record.decision.action in RELEASED:
            assert output.text == self.as_masked(record.rounds[-1].candidate.text)
        else:
            assert output.text == "Withheld."
            assert output.tool_calls == ()

    # And at the end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "pieces"):
                self._let_it_end()
                self._check_the_end()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _let_it_end(self) -> None:
        """Everyone does what is waited for: then everything ends, in a bounded number of steps."""
        for _ in range(200):
            self.take()
            pen = self.author.pen
            if self.book.pending or self.judges.questions:
                self.go_on()
            elif self.book.waiting:
                self.pass_time(5.5)  # it was written, and nobody will ever say so
            elif pen is not None and not pen.cancelled:
                self.finish("stop", "")
            elif not self.over() and self.reading is None:
                self.read()
            elif self.over() and not asyncio.all_tasks(self.loop):
                return
            else:
                self.loop.settle()
            self._check_all()
        raise AssertionError("it does not end")

    def _check_all(self) -> None:
        self.take()
        self.what_is_read_was_sent()
        self.what_is_sent_was_written()
        self.what_is_sent_was_recorded_and_had_passed()
        self.nothing_is_sent_after_a_flag()
        self.nothing_is_judged_before_it_was_accepted()
        self.a_caller_that_goes_stops_everything()
        self.a_response_is_recorded_and_whole()

    def _check_the_end(self) -> None:
        assert [self.gone, self.error is not None, self.response is not None].count(True) == 1
        assert self.error is None or isinstance(self.error, InwitError)
        tried = [*self.book.durable, *self.book.given_up]
        cuts = _each_once(each for each in tried if isinstance(each, CutRecord))
        failed = _each_once(each for each in tried if isinstance(each, FailedRecord))
        assert len(self.book.decided) <= 1
        if self.book.decided:
            # The ledger may have written a decision and been heard no more: it stands, alone.
            confirmed = self.book.decided[0] in self.book.confirmed
            assert (self.response is not None or self.gone) if confirmed else not self.response
            assert not [each for each in (*cuts, *failed) if each in self.book.durable]
            return
        assert self.response is None
        assert len(cuts) + len(failed) == 1
        if self.live.announced:
            assert cuts[0].length == len(self.live.sent)
            assert json.loads(cuts[0].contents["released"])["text"] == self.live.sent
        else:
            assert failed


def _each_once(records: Iterable[R]) -> list[R]:
    """By themselves: those that are equal may be two."""
    return list({id(each): each for each in records}.values())


def test_streams_keep_their_promises_whatever_happens_when() -> None:
    run_state_machine_as_test(
        StreamMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
