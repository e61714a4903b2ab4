"""The decision, over its whole table."""

from dataclasses import replace
from itertools import product

import pytest

from inwit.errors import InwitError
from inwit.policy.decide import decide
from inwit.policy.policy import Policy, Thresholds
from inwit.types import Action, Fault, Reason, ReviewStatus, Verdict

BLOCK, ALLOW = Action.BLOCK, Action.ALLOW


def judged(risk: float) -> Verdict:
    return Verdict("conscience", ReviewStatus.JUDGED, risk=risk, label_mass=0.9, covers="digest")


UNAVAILABLE = Verdict("conscience", ReviewStatus.UNAVAILABLE, fault=Fault.TIMEOUT, covers="digest")
TRUNCATED = Verdict("conscience", ReviewStatus.TRUNCATED, fault=Fault.DOES_NOT_FIT, covers="digest")

ROWS = [
    (judged(0.0), Reason.BELOW_LOWER, None),
    (judged(0.299), Reason.BELOW_LOWER, None),
    (judged(0.3), Reason.IN_DOUBT, "on_doubt"),
    (judged(0.699), Reason.IN_DOUBT, "on_doubt"),
    (judged(0.7), Reason.ABOVE_UPPER, None),
    (judged(1.0), Reason.ABOVE_UPPER, None),
    (UNAVAILABLE, Reason.UNAVAILABLE, "on_review_failure"),
    (TRUNCATED, Reason.TRUNCATED, "on_truncated"),
]


@pytest.mark.parametrize(
    ("row", "on_doubt", "on_failure", "on_truncated"),
    list(product(ROWS, (BLOCK, ALLOW), (BLOCK, ALLOW), (BLOCK, ALLOW))),
)
def test_the_whole_table(
    policy: Policy,
    row: tuple[Verdict, Reason, str | None],
    on_doubt: Action,
    on_failure: Action,
    on_truncated: Action,
) -> None:
    verdict, reason, asks = row
    policy = replace(
        policy,
        thresholds=Thresholds(0.3, 0.7),
        on_doubt=on_doubt,
        on_review_failure=on_failure,
        on_truncated=on_truncated,
    )

    decision = decide(policy, (verdict,), "digest")

    own = BLOCK if reason is Reason.ABOVE_UPPER else ALLOW
    assert decision.action is (own if asks is None else getattr(policy, asks))
    assert decision.reasons == (reason,)
    assert decision.reviewed == (verdict.status is ReviewStatus.JUDGED)
    assert decision.covers == "digest"


def test_the_strictest_of_several_verdicts_wins(policy: Policy) -> None:
    decision = decide(policy, (judged(0.0), judged(1.0)), "digest")

    assert decision.action is BLOCK
    assert decision.reasons == (Reason.BELOW_LOWER, Reason.ABOVE_UPPER)


def test_no_verdict_is_no_review(policy: Policy) -> None:
    assert decide(policy, (), "digest").action is policy.on_review_failure
    assert decide(policy, (), "digest").reasons == (Reason.UNAVAILABLE,)


def test_a_verdict_about_another_candidate_is_refused(policy: Policy) -> None:
    with pytest.raises(InwitError, match="does not cover"):
        decide(policy, (judged(0.0),), "another digest")


@pytest.mark.parametrize("risk", [-0.1, 1.1, float("nan"), None])
def test_a_verdict_cannot_be_judged_without_a_risk(risk: float | None) -> None:
    with pytest.raises(ValueError, match="risk"):
        Verdict("conscience", ReviewStatus.JUDGED, risk=risk)
