"""When the independent classifier is asked: a pure function of what is known."""

from dataclasses import fields, replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.decisions import AskReason, Explanation, ExplanationStatus
from inwit.policy.ask import Circumstances, ask_reasons, sampling
from inwit.policy.policy import ClassifierRule, OnInput, Policy
from inwit.policy.schema import ALWAYS_ASKED
from inwit.types import Category, Fault, ReviewStatus, Severity, Verdict
from tests.fakes_policies import compiled

POLICY = compiled(input={"instructions": True, "on_flag": "classify"})
QUIET = Verdict("conscience", ReviewStatus.JUDGED, risk=0.1)
DOUBT = replace(QUIET, risk=0.5)


def failed(fault: Fault, status: ReviewStatus = ReviewStatus.UNAVAILABLE) -> Verdict:
    return Verdict("conscience", status, fault=fault)


def asking(*reasons: AskReason, **changes: object) -> Policy:
    rule = POLICY.classifier
    assert rule is not None
    ask = frozenset(reasons) or frozenset(AskReason)
    return replace(POLICY, classifier=replace(rule, ask=ask, **changes))


FAULTS = {
    Fault.LOW_LABEL_MASS: AskReason.LOW_LABEL_MASS,
    **dict.fromkeys(set(Fault) - {Fault.LOW_LABEL_MASS, Fault.DOES_NOT_FIT}, AskReason.UNAVAILABLE),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_review_that_failed_asks_for_what_failed(fault: Fault) -> None:
    assert ask_reasons(POLICY, failed(fault), None, Circumstances()) == (FAULTS[fault],)


def test_a_review_that_did_not_fit_asks_for_that() -> None:
    verdict = failed(Fault.DOES_NOT_FIT, ReviewStatus.TRUNCATED)

    assert ask_reasons(POLICY, verdict, None, Circumstances()) == (AskReason.TRUNCATED,)


BY_CIRCUMSTANCE = {
    "tool_calls": AskReason.TOOL_CALL,
    "rewrite": AskReason.REWRITE,
    "hidden_text": AskReason.HIDDEN_TEXT,
    "untrusted_instructions": AskReason.UNTRUSTED_INSTRUCTIONS,
    "input_suspect": AskReason.INPUT,
}


def test_every_circumstance_is_a_reason() -> None:
    assert {each.name for each in fields(Circumstances)} == BY_CIRCUMSTANCE.keys()


@given(
    st.sampled_from([QUIET, DOUBT, failed(Fault.TIMEOUT), failed(Fault.LOW_LABEL_MASS)]),
    st.frozensets(st.sampled_from(sorted(BY_CIRCUMSTANCE))),
    st.frozensets(st.sampled_from(AskReason)),
)
def test_each_reason_holds_by_itself_and_only_where_the_policy_names_it(
    verdict: Verdict, circumstances: frozenset[str], ask: frozenset[AskReason]
) -> None:
    holds = {BY_CIRCUMSTANCE[name] for name in circumstances}
    if verdict.fault is not None:
        holds.add(FAULTS[verdict.fault])
    if verdict is DOUBT:
        holds.add(AskReason.DOUBT)

    policy = asking(*ask, AskReason.SAMPLE)  # never empty
    given_ = Circumstances(**dict.fromkeys(circumstances, True))
    reasons = ask_reasons(policy, verdict, None, given_)

    assert set(reasons) == holds & (ask | {AskReason.SAMPLE})
    assert list(reasons) == sorted(reasons, key=list(AskReason).index)


@pytest.mark.parametrize(("from_", "severity"), list(product(Severity, Severity)))
def test_severe_begins_where_the_policy_says(from_: Severity, severity: Severity) -> None:
    policy = asking(severe_from=from_)
    rule = policy.categories[Category.HATE]
    policy = replace(
        policy,
        categories={Category.HATE: replace(rule, harm=replace(rule.harm, severity=severity))},
    )
    verdict = replace(QUIET, risk=0.99)
    order = list(Severity)

    for status in ExplanationStatus:
        explanation = Explanation(status, (Category.HATE,))
        reasons = ask_reasons(policy, verdict, explanation, Circumstances())
        severe = order.index(severity) >= order.index(from_)
        counts = severe and status is ExplanationStatus.NAMED
        assert reasons == ((AskReason.SEVERE,) if counts else ())


@pytest.mark.parametrize("on_flag", OnInput)
def test_an_input_asks_only_where_the_policy_says_classify(on_flag: OnInput) -> None:
    rule = POLICY.input
    assert rule is not None
    policy = replace(POLICY, input=replace(rule, on_flag=on_flag))

    reasons = ask_reasons(policy, QUIET, None, Circumstances(input_suspect=True))

    assert bool(reasons) == (on_flag is OnInput.CLASSIFY)


def test_a_policy_without_a_classifier_asks_nobody() -> None:
    policy = replace(POLICY, classifier=None)
    everything = Circumstances(**dict.fromkeys(BY_CIRCUMSTANCE, True))

    assert ask_reasons(policy, failed(Fault.TIMEOUT), None, everything) == ()
    assert sampling(policy, 0.0) is None


@pytest.mark.parametrize("ask", [[], ["doubt"]])
def test_some_reasons_cannot_be_left_out(ask: list[str]) -> None:
    rule = compiled(classifier={"ask": ask}).classifier

    assert isinstance(rule, ClassifierRule)
    assert rule.ask == ALWAYS_ASKED | {AskReason(each) for each in ask}


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_draw_below_the_rate_is_in_the_slice(rate: float, draw: float) -> None:
    slice_ = sampling(asking(sample_rate=rate), draw)

    assert slice_ is not None
    assert (slice_.rate, slice_.drawn) == (rate, draw < rate)
    assert slice_.drawn or rate < 1
    assert not slice_.drawn or rate > 0
