"""Counts a finished response in the metrics, and writes its one log line. No content in either."""

import structlog

from inwit import telemetry
from inwit.decisions import Record, Response, Round
from inwit.types import Action

log = structlog.get_logger()


def tally(response: Response) -> None:
    """Count and log."""
    record = response.record
    policy, decision = record.origin.policy.name, record.decision
    _count_release(record, policy)
    for each in record.rounds:
        _count_round(policy, each)
    for outcome in record.rewrites:
        telemetry.REWRITES.labels(policy, outcome.value).inc()
    for kind, count in record.masked.items():
        telemetry.MASKED.labels(policy, kind).inc(count)
    if record.input is not None:
        telemetry.VERDICTS.labels(policy, "input", record.input.outcome).inc()
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


def _count_release(record: Record, policy: str) -> None:
    action, enforcement = record.decision.action, record.origin.enforcement
    if record.checked:
        telemetry.CHECKS.labels(policy, action.value).inc()
        return
    telemetry.RESPONSES.labels(policy, action.value, enforcement.value).inc()
    if action in (Action.ALLOW, Action.REDACT) and not record.decision.reviewed:
        telemetry.UNREVIEWED_RELEASES.labels(policy).inc()
    if record.sent is not None and record.sent.retracted:
        telemetry.RETRACTIONS.labels(policy, enforcement.value).inc()


def _count_round(policy: str, each: Round) -> None:
    decision = each.decision
    for verdict in decision.verdicts:
        telemetry.VERDICTS.labels(policy, verdict.judge, verdict.outcome).inc()
    for category in decision.categories:
        telemetry.TRIGGERS.labels(policy, category.value, decision.action.value).inc()
    for reason in each.asked:
        telemetry.CLASSIFIER_ASKED.labels(policy, reason.value).inc()
    if each.explanation is not None:
        telemetry.EXPLANATIONS.labels(policy, each.explanation.status.value).inc()
    if decision.disagreement is not None:
        telemetry.DISAGREEMENTS.labels(policy, decision.disagreement).inc()


def _fate(used: bool, flagged: bool) -> str:
    if not used:
        return "dropped"
    return "flagged" if flagged else "used"
