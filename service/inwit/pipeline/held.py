"""What a person is given to rule on, frozen when the policy says `escalate`."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from inwit.cases import Hold, Offer, Output, RulingKind
from inwit.decisions import Decision, Reason, Round
from inwit.pipeline.admission import Job
from inwit.pipeline.fallback import expired_text, language_asked
from inwit.pipeline.redaction import masked, private_spans
from inwit.policy.policy import EscalationRule, Policy
from inwit.policy.states import severities
from inwit.types import Action, Candidate, Message, Severity

# Of a case for which no judge named a category.
_UNNAMED = Severity.MEDIUM


def hold_of(job: Job, rounds: Sequence[Round]) -> Hold:
    """The escalation of a response: what may be released, who must rule, and until when."""
    rule, messages = job.policy.escalation, job.call.messages
    severity = _severity(job.policy, rounds)
    required, drawn = _required(rule, severity)
    return Hold(
        id=job.id.replace("resp_", "esc_", 1),
        severity=severity,
        language=language_asked(messages),
        required=required,
        drawn=drawn,
        claim_within=rule.claim_within,
        rule_within=rule.rule_within,
        on_expiry=rule.on_expiry,
        expired=Output(expired_text(job.policy, messages), "content_filter"),
        offers=_offers(job.policy, rounds, messages),
        waits=timedelta(seconds=job.call.waits_s),
        callback_url=job.call.callback_url,
    )


def without_queue(policy: Policy, decision: Decision) -> Decision:
    """The decision while there is no queue: held all the same, or blocked, as the policy says."""
    if decision.action is not Action.ESCALATE or not policy.escalation.blocks_without_queue:
        return decision
    reasons = (Reason.QUEUE_DOWN, *decision.reasons)
    return replace(decision, action=Action.BLOCK, reasons=reasons)


def masked_output(policy: Policy, candidate: Candidate, messages: tuple[Message, ...]) -> Output:
    """The candidate as it would leave."""
    text, counts = masked(candidate.text, private_spans(policy, candidate.text, messages))
    return Output(text, candidate.finish_reason, candidate.tool_calls, counts)


def held_content(hold: Hold) -> bytes:
    """The texts of a hold, for the ledger's contents."""
    offers = {offer.kind.value: output_content(offer.output) for offer in hold.offers}
    return json.dumps({"offers": offers, "expired": output_content(hold.expired)}).encode()


def output_content(output: Output) -> dict[str, object]:
    """An output as JSON."""
    return {
        "text": output.text,
        "finish_reason": output.finish_reason,
        "tool_calls": [call.as_openai() for call in output.tool_calls],
        "masked": dict(output.masked),
    }


def _offers(
    policy: Policy, rounds: Sequence[Round], messages: tuple[Message, ...]
) -> tuple[Offer, ...]:
    first, *rewrites = (masked_output(policy, each.candidate, messages) for each in rounds)
    offers = [Offer(RulingKind.APPROVE, first)]
    if rewrites:
        offers.append(Offer(RulingKind.APPROVE_REWRITE, rewrites[-1]))
    return tuple(offers)


def _severity(policy: Policy, rounds: Sequence[Round]) -> Severity:
    found = [each for one in rounds for each in severities(policy, one.decision.categories)]
    return max(found, key=lambda severity: severity.rank, default=_UNNAMED)


def _required(rule: EscalationRule, severity: Severity) -> tuple[int, bool]:
    """How many people must rule, and whether the random share says so."""
    if rule.second_from is not None and severity.rank >= rule.second_from.rank:
        return 2, False
    drawn = random.random() < rule.second_share  # noqa: S311  # a sample, not a secret
    return (2 if drawn else 1), drawn
