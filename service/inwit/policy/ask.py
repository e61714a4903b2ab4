"""When the independent classifier is asked. Pure: the draw for the slice comes from outside."""

from dataclasses import dataclass

from inwit.decisions import AskReason, Explanation, Sampling
from inwit.policy.policy import OnInput, Policy
from inwit.policy.states import State, conscience_state, named, severities
from inwit.types import Fault, ReviewStatus, Verdict


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a candidate before any judge has spoken."""

    tool_calls: bool = False
    rewrite: bool = False
    hidden_text: bool = False
    untrusted_instructions: bool = False
    input_suspect: bool = False  # flagged, or not judged although a classifier was to judge it


def ask_reasons(
    policy: Policy,
    conscience: Verdict,
    explanation: Explanation | None,
    circumstances: Circumstances,
) -> tuple[AskReason, ...]:
    """Every reason to ask, in a fixed order; empty where the policy has no classifier."""
    rule = policy.classifier
    if rule is None:
        return ()
    holds = {
        **_failures(conscience),
        AskReason.DOUBT: conscience_state(policy, conscience, explanation) is State.DOUBT,
        AskReason.SEVERE: any(
            severity.rank >= rule.severe_from.rank
            for severity in severities(policy, named(explanation))
        ),
        AskReason.TOOL_CALL: circumstances.tool_calls,
        AskReason.REWRITE: circumstances.rewrite,
        AskReason.HIDDEN_TEXT: circumstances.hidden_text,
        AskReason.UNTRUSTED_INSTRUCTIONS: circumstances.untrusted_instructions,
        AskReason.INPUT: circumstances.input_suspect and _input_asks(policy),
    }
    return tuple(reason for reason in AskReason if holds.get(reason) and reason in rule.ask)


def sampling(policy: Policy, draw: float) -> Sampling | None:
    """The random slice: `draw`, uniform in [0, 1), is in it when below the policy's rate."""
    if policy.classifier is None:
        return None
    rate = policy.classifier.sample_rate
    return Sampling(rate, draw < rate)


def _input_asks(policy: Policy) -> bool:
    return policy.input is not None and policy.input.on_flag is OnInput.CLASSIFY


def _failures(conscience: Verdict) -> dict[AskReason, bool]:
    low_mass = conscience.fault is Fault.LOW_LABEL_MASS
    unavailable = conscience.status is ReviewStatus.UNAVAILABLE
    return {
        AskReason.LOW_LABEL_MASS: low_mass,
        AskReason.UNAVAILABLE: unavailable and not low_mass,
        AskReason.TRUNCATED: conscience.status is ReviewStatus.TRUNCATED,
    }
