"""The input stage by itself: what it makes of a conversation that somebody else's model answers."""

from dataclasses import dataclass

import structlog

from inwit import telemetry
from inwit.decisions import Reason
from inwit.labels import Text
from inwit.pipeline.tally import count_verdict
from inwit.policy.policy import OnInput, Policy
from inwit.types import Action, Call, Verdict

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What the input stage says, before there is a candidate; `policy` is the policy's name."""

    policy: str
    action: Action
    reasons: tuple[Reason, ...]


def look(call: Call, policy: Policy, verdict: Verdict | None, flagged: bool) -> Look:
    """Decide, count and log. An input that no judge could read is as bad as the policy says."""
    taken = Look(policy.name, *_decide(policy, verdict, flagged))
    telemetry.LOOKS.labels(policy.name, taken.action.value).inc()
    if verdict is not None:
        count_verdict(policy.ref, Text.INPUT, verdict)
    log.info(
        "looked",
        tenant=call.principal.tenant,
        policy=policy.name,
        action=taken.action.value,
        reasons=[reason.value for reason in taken.reasons],
        outcome=verdict.outcome if verdict is not None else None,
    )
    return taken


def _decide(
    policy: Policy, verdict: Verdict | None, flagged: bool
) -> tuple[Action, tuple[Reason, ...]]:
    blocks = policy.input is not None and policy.input.on_flag is OnInput.BLOCK
    if flagged:
        return Action.BLOCK if blocks else Action.ALLOW, (Reason.INPUT_FLAGGED,)
    if verdict is not None and verdict.risk is None:
        return policy.on_review_failure if blocks else Action.ALLOW, (Reason.INPUT_FAILED,)
    return Action.ALLOW, ()
