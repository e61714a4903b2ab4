"""The decision, as a pure function of policy and verdicts."""

from inwit.errors import InwitError
from inwit.policy.policy import Policy, Thresholds
from inwit.types import Action, Decision, Reason, ReviewStatus, Verdict

_FAILURES = {
    ReviewStatus.UNAVAILABLE: Reason.UNAVAILABLE,
    ReviewStatus.TRUNCATED: Reason.TRUNCATED,
}


def decide(policy: Policy, verdicts: tuple[Verdict, ...], covers: str) -> Decision:
    """Decide on the candidate whose digest is `covers`.

    Every verdict gives one reason and one action; the strictest action wins. With no verdict at
    all nothing was reviewed, and the policy's `on_review_failure` holds.

    Raises:
        InwitError: a verdict is about another candidate.
    """
    if any(verdict.covers != covers for verdict in verdicts):
        raise InwitError("A verdict was used for a candidate that it does not cover.")
    if not verdicts:
        return Decision(policy.on_review_failure, (Reason.UNAVAILABLE,), (), covers)
    reasons = tuple(dict.fromkeys(_reason(policy.thresholds, verdict) for verdict in verdicts))
    blocked = any(_action(policy, reason) is Action.BLOCK for reason in reasons)
    return Decision(Action.BLOCK if blocked else Action.ALLOW, reasons, verdicts, covers)


def _reason(thresholds: Thresholds, verdict: Verdict) -> Reason:
    if verdict.risk is None:
        return _FAILURES[verdict.status]
    if verdict.risk >= thresholds.upper:
        return Reason.ABOVE_UPPER
    if verdict.risk >= thresholds.lower:
        return Reason.IN_DOUBT
    return Reason.BELOW_LOWER


def _action(policy: Policy, reason: Reason) -> Action:
    match reason:
        case Reason.BELOW_LOWER:
            return Action.ALLOW
        case Reason.ABOVE_UPPER:
            return Action.BLOCK
        case Reason.IN_DOUBT:
            return policy.on_doubt
        case Reason.UNAVAILABLE:
            return policy.on_review_failure
        case Reason.TRUNCATED:
            return policy.on_truncated
