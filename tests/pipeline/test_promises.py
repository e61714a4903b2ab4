"""Promises 1 and 2 as properties: whatever fails, nothing unreviewed or unrecorded leaves."""

import asyncio
import contextlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.errors import InwitError, LedgerError
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.pipeline import Limits, Pipeline, act
from inwit.policy.decide import decide
from inwit.policy.loader import PACKAGED, load_policy
from inwit.policy.policy import Policy, Thresholds
from inwit.types import (
    Action,
    Call,
    Candidate,
    Message,
    NextToken,
    Principal,
    Response,
    TokenScore,
)
from tests.fakes import MODEL, UPSTREAM_ERRORS, FakeLedger, FakeModel

SECRET = "CANDIDATE-7f3a"
DEFAULT = load_policy(PACKAGED / "default.yaml")
LIMITS = Limits(
    max_in_flight=1, deadline_ms=30, generate_ms=10, judge_ms=10, record_ms=10, max_tokens=8
)
CALL = Call(
    Principal("k", "acme", "default", frozenset()), (Message("user", "How do tides work?"),)
)

scores = st.builds(
    TokenScore,
    st.sampled_from(["Yes", " yes", "No", "no", "\u2581No", "The", ""]),
    st.floats(allow_nan=True, allow_infinity=True) | st.floats(-6, 0),
)
answers = st.builds(NextToken, st.lists(scores, max_size=8).map(tuple), st.just(MODEL))
errors = st.none() | st.sampled_from([*UPSTREAM_ERRORS, InwitError("bug"), ValueError("bug")])
models = st.builds(
    FakeModel,
    text=st.just(SECRET),
    reasoning=st.sampled_from(["", SECRET]),
    answer=answers,
    generate_error=errors,
    review_error=errors,
    hang=st.sampled_from([None, None, None, "generate", "review"]),
)
ledgers = st.builds(
    FakeLedger,
    error=st.none() | st.just(LedgerError("disk full")),
    hang=st.sampled_from([False, False, False, True]),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lower, upper = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    return replace(
        DEFAULT,
        on_review_failure=draw(st.sampled_from(Action)),
        on_doubt=draw(st.sampled_from(Action)),
        thresholds=Thresholds(lower, upper),
        review=replace(DEFAULT.review, label_mass_floor=draw(st.floats(0, 1))),
    )


@settings(max_examples=600, deadline=None)
@given(models, ledgers, policies())
def test_no_text_leaves_without_a_covering_recorded_decision(
    model: FakeModel, ledger: FakeLedger, policy: Policy
) -> None:
    pipeline = Pipeline(
        model=model,
        judge=Conscience(model),
        ledger=ledger,
        policies={"default": policy},
        limits=LIMITS,
    )
    try:
        response = asyncio.run(pipeline.respond(CALL))
    except Exception as error:  # noqa: BLE001  # any failure at all: what counts is what it tells
        told = str(error)
    else:
        _assert_covered(response, model, ledger, policy)
        return
    assert SECRET not in told
    assert ledger.records == []


def _assert_covered(
    response: Response, model: FakeModel, ledger: FakeLedger, policy: Policy
) -> None:
    (record,) = ledger.records
    assert record.decision == response.decision
    if SECRET in response.output:
        decision = response.decision
        assert decision.action is Action.ALLOW
        assert decision.covers == Candidate(SECRET, MODEL, model.reasoning).digest
        _assert_allowed(policy, response.decision.verdicts[0].risk)
    else:
        assert response.output == policy.fallback_text


def _assert_allowed(policy: Policy, risk: float | None) -> None:
    if risk is None:
        assert policy.on_review_failure is Action.ALLOW
    elif risk >= policy.thresholds.lower:
        assert risk < policy.thresholds.upper
        assert policy.on_doubt is Action.ALLOW


@given(st.text(), st.text(), st.text(), st.text())
def test_a_decision_releases_no_candidate_but_its_own(
    text: str, reasoning: str, other_text: str, other_reasoning: str
) -> None:
    judged = Candidate(text, MODEL, reasoning)
    other = Candidate(other_text, MODEL, other_reasoning)
    trusting = replace(DEFAULT, on_review_failure=Action.ALLOW)
    decision = decide(trusting, (), judged.digest)

    assert act(trusting, decision, judged) == text
    if (text, reasoning) != (other_text, other_reasoning):
        try:
            released = act(trusting, decision, other)
        except InwitError:
            return
        raise AssertionError(f"released {len(released)} characters under another's decision")


def test_the_deadline_bounds_the_whole() -> None:
    """A model that hangs in both stages cannot hold a request beyond its deadline."""

    async def run() -> float:
        model = FakeModel(hang="generate")
        pipeline = Pipeline(
            model=model,
            judge=Conscience(model),
            ledger=FakeLedger(),
            policies={"default": DEFAULT},
            limits=replace(LIMITS, generate_ms=60_000, judge_ms=60_000),
        )
        loop = asyncio.get_running_loop()
        start = loop.time()
        with contextlib.suppress(InwitError):
            await pipeline.respond(replace(CALL, deadline_ms=20))
        return loop.time() - start

    assert asyncio.run(run()) < 10  # it would be a minute without
