"""The bytes of an entry and how they hold together. Pure: no clock, no randomness, no I/O.

`leaf_hash` is RFC 9162 section 2.1.1, `SHA-256(0x00 || body)`; each body names the hash of the
entry before it, so that an edit, a removal or a swap shows in every later entry.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from inwit.cases import ActRecord, Hold
from inwit.decisions import (
    AcceptedRecord,
    AnyRecord,
    CutRecord,
    Decision,
    FailedRecord,
    Origin,
    Outcome,
    Passage,
    Record,
    Round,
    Sent,
    WindowRecord,
)
from inwit.types import Usage, Verdict

GENESIS = bytes(32)
SCHEMA = 5  # 4 had no `accepted`, `failed` and `outcome`


def leaf_hash(body: bytes) -> bytes:
    """The 32-byte hash of one entry's exact bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def commitment(salt: bytes, content: bytes) -> str:
    """Bind an entry to content without telling it: HMAC-SHA256 under a 32-byte random salt."""
    return hmac.new(salt, content, hashlib.sha256).hexdigest()


def entry_facts(
    record: AnyRecord | ActRecord, entry_id: str, salts: Mapping[str, bytes]
) -> dict[str, Any]:
    """Everything in an entry but its place in the chain. No content, and nothing that grows."""
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "id": entry_id,
        "time": record.time.isoformat(),
        "commitments": {
            kind: commitment(salts[kind], content) for kind, content in record.contents.items()
        },
    }
    if isinstance(record, ActRecord):
        return facts | _act(record)
    facts |= _origin(record.origin)
    match record:
        case AcceptedRecord():
            return facts | {"type": "accepted", "asked": record.asked.value}
        case FailedRecord():
            ended = {"outcome": Outcome.FAILED.value, "reason": record.reason}
            return facts | {"type": "failed", **ended}
        case WindowRecord():
            return facts | _window(record)
        case CutRecord():
            return facts | _cut(record)
        case Record():
            return facts | _decision(record)


def entry_body(facts: Mapping[str, Any], sequence: int, previous: bytes) -> bytes:
    """The exact bytes of an entry: JSON, keys sorted, no spaces, ASCII."""
    placed = {**facts, "sequence": sequence, "previous": previous.hex()}
    return json.dumps(placed, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "response": origin.response_id,
        "request": origin.request_id,
        "tenant": origin.principal.tenant,
        "key": origin.principal.key_id,
        "policy": {
            "name": origin.policy.name,
            "version": origin.policy.version,
            "digest": origin.policy.digest,
        },
        "model": origin.model,
        "enforcement": origin.enforcement.value,
    }


def _act(record: ActRecord) -> dict[str, Any]:
    return {
        "type": record.kind.value,
        "response": record.response_id,
        "tenant": record.tenant,
        "case": record.case_id,
        "actor": record.actor,
        "facts": dict(record.facts),
    }


def _window(record: WindowRecord) -> dict[str, Any]:
    return {
        "type": "window",
        "start": record.start,
        "end": record.end,
        "rounds": [_round(record.round)] if record.round else [],
    }


def _cut(record: CutRecord) -> dict[str, Any]:
    return {
        "type": "cut",
        "outcome": Outcome.FAILED.value,
        "reason": record.reason.value,
        "length": record.length,
        "rounds": [_round(record.round)] if record.round else [],
    }


def _decision(record: Record) -> dict[str, Any]:
    decision = record.decision
    return {
        "type": "check" if record.checked else "decision",
        "outcome": record.outcome.value,
        "action": decision.action.value,
        "reasons": [reason.value for reason in decision.reasons],
        "reviewed": decision.reviewed,
        "categories": [category.value for category in decision.categories],
        "rounds": [_round(each) for each in record.rounds],
        "rewrites": [outcome.value for outcome in record.rewrites],
        "input": _input(record),
        "passages": [_passage(each) for each in record.passages],
        "finish_reason": record.finish_reason,
        "masked": dict(record.masked),
        "usage": {
            "generation": _usage(record.usage.generation),
            "review": _usage(record.usage.review),
        },
        "sent": _sent(record.sent) if record.sent else None,
        "hold": _hold(record.hold) if record.hold else None,
        "timings_ms": dict(record.timings_ms),
        **({} if record.redacted is None else {"redacted": dict(record.redacted)}),
    }


def _input(record: Record) -> dict[str, Any] | None:
    if not record.has_input_stage:
        return None
    verdict = _verdict(record.input) if record.input else None
    return {"flagged": record.input_flagged, "verdict": verdict}


def _sent(sent: Sent) -> dict[str, Any]:
    return {
        "length": sent.length,
        "windows": sent.windows,
        "usage": _usage(sent.usage),
        "retracted": sent.retracted,
    }


def _hold(hold: Hold) -> dict[str, Any]:
    """All but its offers' texts, which are content, and where the caller is told."""
    return {
        "id": hold.id,
        "severity": hold.severity.value,
        "language": hold.language,
        "required": hold.required,
        "drawn": hold.drawn,
        "claim_within_s": hold.claim_within.total_seconds(),
        "rule_within_s": hold.rule_within.total_seconds(),
        "on_expiry": hold.on_expiry.value,
        "offers": {offer.kind.value: offer.digest for offer in hold.offers},
        "called_back": hold.callback_url is not None,
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
    }


def _round(each: Round) -> dict[str, Any]:
    """One candidate's review. `sampling` lets the miss rate be estimated from entries alone."""
    decision, slice_ = each.decision, each.sampling
    return {
        "action": decision.action.value,
        "reasons": [reason.value for reason in decision.reasons],
        "verdicts": [_verdict(verdict) for verdict in decision.verdicts],
        "asked": [reason.value for reason in each.asked],
        "explanation": each.explanation.status.value if each.explanation else None,
        "disagreement": decision.disagreement,
        "sampling": {"rate": slice_.rate, "drawn": slice_.drawn} if slice_ else None,
        **_categories(decision),
    }


def _categories(decision: Decision) -> dict[str, Any]:
    """Of one candidate; left out where they are just what its verdicts name."""
    named = {category for verdict in decision.verdicts for category in verdict.categories}
    found = [category.value for category in decision.categories]
    return {} if named == set(decision.categories) else {"categories": found}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    always = {
        "judge": verdict.judge,
        "status": verdict.status.value,
        "risk": _rounded(verdict.risk),
        "calibrated": verdict.calibrated,
    }
    where_known = {
        "fault": verdict.fault.value if verdict.fault else None,
        "raw_risk": _rounded(verdict.raw_risk),
        "label_mass": _rounded(verdict.label_mass),
        "calibration": verdict.calibration,
        "model": verdict.model,
        "framing": verdict.framing.value if verdict.framing else None,
        "question": verdict.question_digest,
        "categories": [category.value for category in verdict.categories],
        "labels": list(verdict.labels),
    }
    return always | _known(where_known)


def _passage(passage: Passage) -> dict[str, Any]:
    found = {"why": passage.why, "flagged": passage.flagged or None}
    return {"used": passage.used} | _known(found)


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known or empty: entries are small."""
    return {name: value for name, value in facts.items() if value not in (None, [])}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
