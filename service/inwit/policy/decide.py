"""The decision, as a pure function of the policy and of what was found.

Every finding gives reasons, each with an action; the strictest action wins, and the reasons for it
stand first. docs/decisions-table.md is rendered from this function, and a test enumerates it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from inwit.decisions import AskReason, Decision, Explanation, Reason
from inwit.errors import InwitError
from inwit.policy.policy import Clears, OnDisagreement, OnInput, Policy
from inwit.policy.states import State, classifier_state, conscience_state, named, severities
from inwit.types import Action, Category, ReviewStatus, Severity, Verdict


class ToolFinding(StrEnum):
    """What the policy says of the tool calls in a candidate, the worst of them."""

    NONE = "none"
    PERMITTED = "permitted"
    NEEDS_PERSON = "needs_person"
    PRIVATE_DATA = "private_data"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one candidate. `covers` is its digest, and every verdict's.

    `input` is the verdict on the caller's messages, which covers no candidate, and
    `input_flagged` what the policy's patterns and that verdict make of them together.
    """

    covers: str
    conscience: Verdict
    explanation: Explanation | None = None
    classifier: Verdict | None = None
    asked: tuple[AskReason, ...] = ()
    tools: ToolFinding = ToolFinding.NONE
    input: Verdict | None = None
    input_flagged: bool = False
    masks: bool = False


Finding = tuple[Action, Reason]

_FAILED = (State.UNAVAILABLE, State.TRUNCATED)
_JUDGED = (State.PASS, State.DOUBT, State.FAIL)


def decide(policy: Policy, evidence: Evidence) -> Decision:
    """Decide on the candidate whose digest is `evidence.covers`.

    Raises:
        InwitError: a verdict is about another candidate.
    """
    verdicts = tuple(v for v in (evidence.conscience, evidence.classifier) if v is not None)
    if any(verdict.covers != evidence.covers for verdict in verdicts):
        raise InwitError("A verdict was used for a candidate that it does not cover.")
    conscience = conscience_state(policy, evidence.conscience, evidence.explanation)
    classifier = classifier_state(policy, evidence.classifier)
    findings = [
        *_judged(policy, evidence, conscience, classifier),
        *_classifier_failed(policy, evidence, classifier),
        *_tools(evidence),
        *_input(policy, evidence),
        *([(Action.REDACT, Reason.PRIVATE_DATA)] if evidence.masks else []),
    ]
    findings.sort(key=lambda finding: -finding[0].strictness)
    return Decision(
        action=findings[0][0],
        reasons=tuple(dict.fromkeys(reason for _, reason in findings)),
        verdicts=verdicts,
        covers=evidence.covers,
        reviewed=_reviewed(evidence),
        categories=found_categories(policy, evidence),
        disagreement=_disagreement(conscience, classifier),
    )


def found_categories(policy: Policy, evidence: Evidence) -> tuple[Category, ...]:
    """Those of the policy's categories that a judge named who saw a risk, in its order."""
    found = {*named(evidence.explanation)}
    if classifier_state(policy, evidence.classifier) in (State.DOUBT, State.FAIL):
        found |= {*(evidence.classifier.categories if evidence.classifier else ())}
    return tuple(category for category in policy.categories if category in found)


def harm_action(policy: Policy, categories: tuple[Category, ...]) -> Action:
    """The strictest action of the categories found, or the policy's where none was named."""
    actions = [policy.categories[category].action for category in categories]
    return max(actions, key=lambda action: action.strictness, default=policy.on_harm)


def _judged(
    policy: Policy, evidence: Evidence, conscience: State, classifier: State
) -> Iterator[Finding]:
    """What the two judges' states come to together."""
    categories = found_categories(policy, evidence)
    harm = _harm(policy, evidence, classifier, categories)
    critical = Severity.CRITICAL in severities(policy, categories)
    # More risk never makes the action milder: doubt is capped by what certainty brings, and two
    # flags bring at least what one does.
    split = _on_disagreement(policy, harm)
    sure = _stricter(harm, split) if classifier in _JUDGED else harm
    if critical:  # no judge talks down what the other one saw
        split = sure
    doubt = _milder(policy.on_doubt, split if State.PASS in (conscience, classifier) else sure)
    in_doubt = (sure, Reason.CRITICAL_DOUBT) if critical else (doubt, Reason.IN_DOUBT)
    match conscience, classifier:
        case (State.PASS, State.FAIL):
            yield split, Reason.DISAGREEMENT
            yield Action.ALLOW, Reason.CLASSIFIER_FLAGGED
        case (State.FAIL, State.PASS):
            yield split, Reason.DISAGREEMENT
            yield Action.ALLOW, Reason.ABOVE_UPPER
        case (_, State.FAIL):
            yield sure, Reason.CLASSIFIER_FLAGGED
            yield from _alone(policy, conscience, sure, in_doubt)
        case (State.PASS, State.DOUBT):
            yield doubt, Reason.CLASSIFIER_IN_DOUBT
        case (State.UNAVAILABLE | State.TRUNCATED, State.DOUBT):
            yield doubt, Reason.CLASSIFIER_IN_DOUBT
            yield from _alone(policy, conscience, sure, in_doubt)
        case (State.PASS, State.PASS):
            yield Action.ALLOW, Reason.BELOW_LOWER
            yield Action.ALLOW, Reason.CLASSIFIER_AGREED
        case (State.DOUBT, State.PASS) if not critical and _clears(policy, Clears.DOUBT):
            yield Action.ALLOW, Reason.DOUBT_CLEARED
        case (State.UNAVAILABLE | State.TRUNCATED, State.PASS) if _clears(policy, Clears.FAILURE):
            yield Action.ALLOW, Reason.FAILURE_CLEARED
        case _:
            yield from _alone(policy, conscience, sure, in_doubt)


def _harm(
    policy: Policy, evidence: Evidence, classifier: State, categories: tuple[Category, ...]
) -> Action:
    harm = harm_action(policy, categories)
    if classifier is State.FAIL and evidence.classifier and evidence.classifier.unnamed:
        # A mild category must not speak for something else that was found beside it.
        return _stricter(harm, policy.on_harm)
    return harm


def _alone(policy: Policy, conscience: State, sure: Action, in_doubt: Finding) -> Iterator[Finding]:
    """What the conscience's state comes to where the classifier does not settle it."""
    match conscience:
        case State.FAIL:
            yield sure, Reason.ABOVE_UPPER
        case State.DOUBT:
            yield in_doubt
        case State.TRUNCATED:
            yield policy.on_truncated, Reason.TRUNCATED
        case State.UNAVAILABLE:
            yield policy.on_review_failure, Reason.UNAVAILABLE
        case _:
            yield Action.ALLOW, Reason.BELOW_LOWER


def _classifier_failed(policy: Policy, evidence: Evidence, classifier: State) -> Iterator[Finding]:
    if classifier not in _FAILED or policy.classifier is None:
        return
    if _only_measured(evidence):
        yield Action.ALLOW, Reason.SAMPLE_FAILED
    else:
        yield policy.classifier.on_failure, Reason.CLASSIFIER_FAILED


def _tools(evidence: Evidence) -> Iterator[Finding]:
    if evidence.tools is ToolFinding.OUTSIDE:
        yield Action.BLOCK, Reason.TOOL_OUTSIDE
    if evidence.tools is ToolFinding.PRIVATE_DATA:
        yield Action.BLOCK, Reason.TOOL_PRIVATE_DATA
    if evidence.tools is ToolFinding.NEEDS_PERSON:
        yield Action.ESCALATE, Reason.TOOL_NEEDS_PERSON


def _input(policy: Policy, evidence: Evidence) -> Iterator[Finding]:
    if policy.input is None:
        return
    blocks = policy.input.on_flag is OnInput.BLOCK
    if evidence.input_flagged:
        yield Action.BLOCK if blocks else Action.ALLOW, Reason.INPUT_FLAGGED
    if evidence.input is not None and evidence.input.risk is None:
        yield policy.on_review_failure if blocks else Action.ALLOW, Reason.INPUT_FAILED


def _on_disagreement(policy: Policy, harm: Action) -> Action:
    match policy.on_disagreement:
        case OnDisagreement.REWRITE:
            return Action.REWRITE
        case OnDisagreement.ESCALATE:
            return Action.ESCALATE
        case OnDisagreement.STRICTER:
            return harm


def _stricter(one: Action, other: Action) -> Action:
    return max(one, other, key=lambda action: action.strictness)


def _milder(one: Action, other: Action) -> Action:
    return min(one, other, key=lambda action: action.strictness)


def _reviewed(evidence: Evidence) -> bool:
    needed = [evidence.conscience]
    if evidence.classifier is not None and not _only_measured(evidence):
        needed.append(evidence.classifier)
    return all(verdict.status is ReviewStatus.JUDGED for verdict in needed)


def _only_measured(evidence: Evidence) -> bool:
    """Whether the classifier was asked for the random slice alone: nothing hangs on it then."""
    return set(evidence.asked) <= {AskReason.SAMPLE}


def _disagreement(conscience: State, classifier: State) -> str | None:
    pair = {conscience, classifier}
    return f"{conscience}_{classifier}" if pair == {State.PASS, State.FAIL} else None


def _clears(policy: Policy, what: Clears) -> bool:
    return policy.classifier is not None and what in policy.classifier.clears
