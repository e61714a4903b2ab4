"""What a check tells its caller, as properties: over every model, judge, ledger and policy."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.api.check_answer import CheckFailed, CheckResponse, check_out
from inwit.api.check_batch import CheckBatch
from inwit.api.litellm_guardrail import Changes, answer_of
from inwit.bootstrap import Parts, assemble
from inwit.decisions import Response
from inwit.errors import InwitError
from inwit.pipeline.background import Background
from inwit.policy.book import PolicyBook
from inwit.types import Action, Candidate
from tests.fakes import FakeMeter
from tests.pipeline.test_promises import LIMITS, SECRET, World, worlds

Results = list[Response | InwitError]


async def _check(world: World, candidates: tuple[Candidate, ...], rewrite: bool) -> Results:
    book = PolicyBook({"default": world.policy}, datetime.now(UTC))
    background = Background()
    limits = replace(LIMITS, max_in_flight=8)
    parts = Parts(world.model, world.classifiers, world.ledger, FakeMeter(), background)
    pipeline = assemble(parts, book, limits)
    batch = CheckBatch(pipeline, max_in_flight=8, deadline_ms=limits.deadline_ms)
    async with background.running():
        return await batch.check(world.call, candidates, rewrite=rewrite)


def brought(world: World) -> Candidate:
    """The candidate that the world's model would have written."""
    model = world.model
    return Candidate(model.text, "", model.reasoning, tool_calls=model.tool_calls)


def check(world: World, candidates: tuple[Candidate, ...], rewrite: bool) -> Results:
    """The results; none where the whole request failed, with an error that tells nothing."""
    try:
        return asyncio.run(_check(world, candidates, rewrite))
    except Exception as error:  # noqa: BLE001  # any failure at all: what counts is what it tells
        told = repr(error)
    assert SECRET not in told
    return []


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(1, 3), st.booleans())
def test_what_a_check_calls_passed_was_reviewed_whole_recorded_and_is_unchanged(
    world: World, count: int, rewrite: bool
) -> None:
    candidate = brought(world)
    results = check(world, (candidate,) * count, rewrite)

    assert len(results) in (0, count)
    for result in results:
        told = check_out(result, "req_1")
        if isinstance(told, CheckResponse) and isinstance(result, Response):
            assert result.record in world.ledger.records
            assert result.record.checked
            _assert_honest(told, result, candidate)
        else:
            assert isinstance(told, CheckFailed)
            assert SECRET not in told.model_dump_json()


def _assert_honest(told: CheckResponse, result: Response, candidate: Candidate) -> None:
    decision = result.record.decision
    allowed = decision.action in (Action.ALLOW, Action.REDACT)
    assert (told.output is not None) == allowed == (told.status != "withheld")
    if told.output is None:
        assert SECRET not in told.model_dump_json()
        return
    assert decision.covers == result.record.rounds[-1].candidate.digest
    if told.status in ("passed", "changed"):
        assert decision.reviewed
        assert told.review.judge == "judged"
    if told.status == "passed":
        calls = [call.model_dump() for call in told.output.tool_calls]
        assert told.output.content == candidate.text
        assert calls == [call.as_openai() for call in candidate.tool_calls]


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(1, 3), st.sampled_from(["return", "block"]))
def test_litellm_may_let_leave_only_what_the_policy_does(
    world: World, count: int, changes: Changes
) -> None:
    candidates = (brought(world),) * count
    results = check(world, candidates, changes == "return")
    if len(results) < count or any(isinstance(each, InwitError) for each in results):
        return
    responses = [each for each in results if isinstance(each, Response)]

    told = answer_of(candidates, results, count, changes)

    if told.action == "BLOCKED":
        assert SECRET not in json.dumps(told.model_dump())
        return
    assert all(each.record.decision.action in (Action.ALLOW, Action.REDACT) for each in responses)
    leaving = told.texts or [candidate.text for candidate in candidates]
    assert leaving == [each.output.text for each in responses]
    assert [each.output.tool_calls for each in responses] == [
        candidate.tool_calls for candidate in candidates
    ]
    assert told.action == "NONE" or changes == "return"
