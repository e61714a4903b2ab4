"""What a verdict comes to under a policy's thresholds, and what was named. Pure."""

from enum import StrEnum

from inwit.decisions import Explanation, ExplanationStatus
from inwit.policy.policy import Band, Policy, Thresholds
from inwit.types import Category, ReviewStatus, Severity, Verdict


class State(StrEnum):
    """What a judge's verdict comes to."""

    NOT_ASKED = "not_asked"
    PASS = "pass"  # noqa: S105  # not a password
    DOUBT = "doubt"
    FAIL = "fail"
    UNAVAILABLE = "unavailable"
    TRUNCATED = "truncated"


_BANDS = {Band.PASS: State.PASS, Band.DOUBT: State.DOUBT, Band.FAIL: State.FAIL}


def conscience_state(policy: Policy, verdict: Verdict, explanation: Explanation | None) -> State:
    """The conscience's state, under the strictest thresholds of the categories that it named.

    Where it was asked for categories and named none that count, the harm may be any of them: from
    the least of all lower thresholds on there is doubt.
    """
    if verdict.risk is None:
        return _failure(verdict)
    rules = [policy.categories.get(category) for category in named(explanation)]
    every = [policy.thresholds, *(rule.thresholds for rule in rules if rule is not None)]
    each = [thresholds.for_risk(verdict.calibrated) for thresholds in every]
    lower, upper = min(t.lower for t in each), min(t.upper for t in each)
    if explanation is not None and not named(explanation):
        lower = min(lower, policy.lowest(verdict.calibrated))
    strictest = Thresholds(lower, upper)
    return _BANDS[strictest.band(verdict.risk)]


def classifier_state(policy: Policy, verdict: Verdict | None) -> State:
    """The classifier's state."""
    if verdict is None or policy.classifier is None:
        return State.NOT_ASKED
    if verdict.risk is None:
        return _failure(verdict)
    return _BANDS[policy.classifier.thresholds.band(verdict.risk)]


def named(explanation: Explanation | None) -> tuple[Category, ...]:
    """The categories of a well-formed explanation; any other one changes nothing."""
    if explanation is None or explanation.status is not ExplanationStatus.NAMED:
        return ()
    return explanation.categories


def severities(policy: Policy, categories: tuple[Category, ...]) -> list[Severity]:
    """This policy's severities of those categories that it has."""
    rules = (policy.categories.get(category) for category in categories)
    return [rule.harm.severity for rule in rules if rule is not None]


def _failure(verdict: Verdict) -> State:
    truncated = verdict.status is ReviewStatus.TRUNCATED
    return State.TRUNCATED if truncated else State.UNAVAILABLE
