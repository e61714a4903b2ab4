"""Counts a finished response in the metrics, and writes its one log line. No content in either."""

import structlog

from inwit import telemetry
from inwit.decisions import Response, Round
from inwit.types import Action

log = structlog.get_logger()


def tally(response: Response, tenant: str) -> None:
    """Count and log."""
    policy, decision = response.policy.name, response.decision
    telemetry.RESPONSES.labels(policy, decision.action.value).inc()
    if decision.action in (Action.ALLOW, Action.REDACT) and not decision.reviewed:
        telemetry.UNREVIEWED_RELEASES.labels(policy).inc()
    for each in response.rounds:
        _count_round(policy, each)
    for outcome in response.rewrites:
        telemetry.REWRITES.labels(policy, outcome.value).inc()
    for kind, count in response.output.masked.items():
        telemetry.MASKED.labels(policy, kind).inc(count)
    if response.input is not None:
        telemetry.VERDICTS.labels(policy, "input", response.input.outcome).inc()
    if response.input_flagged:
        telemetry.INPUTS_FLAGGED.labels(policy).inc()
    for passage in response.passages:
        telemetry.PASSAGES.labels(policy, _fate(passage.used, passage.flagged)).inc()
    log.info(
        "responded",
        response=response.id,
        tenant=tenant,
        policy=policy,
        action=decision.action.value,
        reasons=[reason.value for reason in decision.reasons],
        categories=[category.value for category in decision.categories],
        outcomes=[verdict.outcome for verdict in decision.verdicts],
        rewrites=[outcome.value for outcome in response.rewrites],
        sequence=response.receipt.sequence,
        timings_ms=response.timings_ms,
    )


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
