"""Counts a finished response in the metrics, and writes its one log line. No content in either."""

import structlog

from inwit import telemetry
from inwit.decisions import Decision, Reason, Record, Response, Round
from inwit.labels import Guard, Purpose, Text
from inwit.pipeline.conscience import JUDGE
from inwit.types import Action, PolicyRef, Usage, Verdict

log = structlog.get_logger()

# What made an action what it is, by the first of a decision's reasons.
_GUARDS = {
    Reason.IN_DOUBT: Guard.CONSCIENCE,
    Reason.ABOVE_UPPER: Guard.CONSCIENCE,
    Reason.CRITICAL_DOUBT: Guard.CONSCIENCE,
    Reason.UNAVAILABLE: Guard.FAILURE,
    Reason.TRUNCATED: Guard.FAILURE,
    Reason.CLASSIFIER_IN_DOUBT: Guard.CLASSIFIER,
    Reason.CLASSIFIER_FLAGGED: Guard.CLASSIFIER,
    Reason.CLASSIFIER_FAILED: Guard.FAILURE,
    Reason.SAMPLE_FAILED: Guard.FAILURE,
    Reason.DISAGREEMENT: Guard.CLASSIFIER,
    Reason.TOOL_OUTSIDE: Guard.TOOLS,
    Reason.TOOL_NEEDS_PERSON: Guard.TOOLS,
    Reason.TOOL_PRIVATE_DATA: Guard.TOOLS,
    Reason.INPUT_FLAGGED: Guard.INPUT,
    Reason.INPUT_FAILED: Guard.FAILURE,
    Reason.PRIVATE_DATA: Guard.REDACTION,
    Reason.REWRITE_FAILED: Guard.REWRITE,
    Reason.REWRITE_COSMETIC: Guard.REWRITE,
    Reason.QUEUE_DOWN: Guard.FAILURE,
}


def tally(response: Response) -> None:
    """Count and log."""
    record = response.record
    policy, decision = record.origin.policy.name, record.decision
    _count_release(record)
    _count_rounds(record)
    _count_tokens(policy, Purpose.GENERATION, record.usage.generation)
    _count_tokens(policy, Purpose.REVIEW, record.usage.review)
    for outcome in record.rewrites:
        telemetry.REWRITES.labels(policy, outcome.value).inc()
    for kind, count in record.masked.items():
        telemetry.MASKED.labels(policy, kind).inc(count)
    if record.input is not None:
        count_verdict(record.origin.policy, Text.INPUT, record.input)
    if record.input_flagged:
        telemetry.INPUTS_FLAGGED.labels(policy).inc()
    for passage in record.passages:
        telemetry.PASSAGES.labels(policy, _fate(passage.used, passage.flagged)).inc()
    log.info(
        "checked" if record.checked else "responded",
        response=record.origin.response_id,
        tenant=record.origin.principal.tenant,
        policy=policy,
        action=decision.action.value,
        enforcement=record.origin.enforcement.value,
        reasons=[reason.value for reason in decision.reasons],
        categories=[category.value for category in decision.categories],
        outcomes=[verdict.outcome for verdict in decision.verdicts],
        rewrites=[outcome.value for outcome in record.rewrites],
        sequence=response.receipt.sequence,
        timings_ms=response.timings_ms,
    )


def count_verdict(policy: PolicyRef, text: Text, verdict: Verdict) -> None:
    """Count what one judge said of one text."""
    telemetry.VERDICTS.labels(
        policy.name, policy.version, text.value, verdict.judge, verdict.outcome
    ).inc()
    if verdict.risk is not None and text in (Text.CANDIDATE, Text.REWRITE):
        telemetry.RISK.labels(policy.name, verdict.judge).observe(verdict.risk)
    if verdict.label_mass is not None and verdict.judge == JUDGE:
        telemetry.LABEL_MASS.labels(policy.name).observe(verdict.label_mass)


def _count_release(record: Record) -> None:
    action, enforcement = record.decision.action, record.origin.enforcement
    policy = record.origin.policy
    if action in (Action.ALLOW, Action.REDACT) and not record.decision.reviewed:
        telemetry.UNREVIEWED_RELEASES.labels(policy.name, policy.version).inc()
    if record.checked:
        telemetry.CHECKS.labels(policy.name, action.value).inc()
        return
    telemetry.RESPONSES.labels(policy.name, action.value, enforcement.value).inc()
    if record.sent is not None and record.sent.retracted:
        telemetry.RETRACTIONS.labels(policy.name, enforcement.value).inc()


def _count_rounds(record: Record) -> None:
    policy = record.origin.policy
    for number, each in enumerate(record.rounds):
        _count_round(policy, each, Text.REWRITE if number else Text.CANDIDATE)
    if record.decision is not record.rounds[-1].decision:
        # What rewriting, or the lack of a queue, made of it.
        text = Text.REWRITE if record.rewrites else Text.CANDIDATE
        _count_intervention(policy, text, record.decision)


def _count_round(policy: PolicyRef, each: Round, text: Text) -> None:
    decision = each.decision
    for verdict in decision.verdicts:
        count_verdict(policy, text, verdict)
    _count_intervention(policy, text, decision)
    for category in decision.categories:
        telemetry.TRIGGERS.labels(policy.name, category.value, decision.action.value).inc()
    for reason in each.asked:
        telemetry.CLASSIFIER_ASKED.labels(policy.name, reason.value).inc()
    if each.explanation is not None:
        telemetry.EXPLANATIONS.labels(policy.name, each.explanation.status.value).inc()
    if decision.disagreement is not None:
        telemetry.DISAGREEMENTS.labels(policy.name, decision.disagreement).inc()


def _count_intervention(policy: PolicyRef, text: Text, decision: Decision) -> None:
    if decision.action is Action.ALLOW:
        return
    guard = _GUARDS.get(decision.reasons[0], Guard.CONSCIENCE)
    shown = Text.INPUT if guard is Guard.INPUT else text
    telemetry.INTERVENTIONS.labels(
        policy.name, policy.version, shown.value, guard.value, decision.action.value
    ).inc()


def _count_tokens(policy: str, purpose: Purpose, usage: Usage) -> None:
    telemetry.TOKENS.labels(policy, purpose.value, "prompt").inc(usage.prompt_tokens)
    telemetry.TOKENS.labels(policy, purpose.value, "completion").inc(usage.completion_tokens)


def _fate(used: bool, flagged: bool) -> str:
    if not used:
        return "dropped"
    return "flagged" if flagged else "used"
