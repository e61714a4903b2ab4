"""Answers out of the gateway's JSON."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from inwit.client.answers import (
    MAY_LEAVE,
    RELEASED,
    Answer,
    Checked,
    ClassifierVerdict,
    Escalation,
    InclusionReceipt,
    InputVerdict,
    PolicyUsed,
    Receipt,
    Review,
    Tokens,
    ToolCall,
    Usage,
)
from inwit.client.checkpoints import Checkpoint, is_entry, leaf_hash, read_hashes, read_note
from inwit.client.errors import BadAnswer, InwitError, ServerFailed, from_problem
from inwit.client.parsing import Fields, json_object


class _Common(TypedDict):
    """The arguments of `Decided`, but for what depends on what was decided."""

    id: str
    status: str
    action: str
    model: str | None
    review: Review
    policy: PolicyUsed
    usage: Usage
    timings_ms: Mapping[str, float]
    receipt: Receipt
    request_id: str | None
    raw: Mapping[str, Any]


def read_answer(data: object, request_id: str | None = None, replayed: bool = False) -> Answer:
    """The answer in a JSON object.

    Raises:
        BadAnswer: a field that an answer must have is missing, or of another type.
    """
    fields = Fields(data)
    output = fields.inner("output")
    common = _common(fields, request_id)
    return Answer(
        **common,
        content=output.maybe_text("content") or "",
        tool_calls=read_tool_calls(output) if common["status"] == RELEASED else (),
        finish_reason=output.maybe_text("finish_reason"),
        escalation=read_escalation(fields),
        replayed=replayed,
    )


def read_checked(data: object, request_id: str | None = None) -> Checked:
    """The result of a check in a JSON object.

    Raises:
        BadAnswer: a field that a result must have is missing, or of another type.
    """
    fields = Fields(data)
    common = _common(fields, request_id)
    output = fields.inner("output") if common["status"] in MAY_LEAVE else None
    return Checked(
        **common,
        content=(output.maybe_text("content") or "") if output else "",
        tool_calls=read_tool_calls(output) if output else (),
    )


def _common(fields: Fields, request_id: str | None) -> _Common:
    return _Common(
        id=fields.text("id"),
        status=fields.text("status"),
        action=fields.text("action"),
        model=fields.maybe_text("model"),
        review=read_review(fields),
        policy=read_policy(fields),
        usage=read_usage(fields),
        timings_ms=fields.numbers("timings_ms"),
        receipt=read_receipt(fields),
        request_id=request_id,
        raw=fields.data,
    )


def read_error(problem: Fields) -> InwitError:
    """The error in a problem that came inside an answer or a stream."""
    status = problem.number("status")
    if status < 400:
        return ServerFailed("The gateway tells of an error that has no status.")
    return from_problem(status, problem.data)


def read_tool_calls(fields: Fields) -> tuple[ToolCall, ...]:
    """The field `tool_calls`."""
    calls = fields.inners("tool_calls")
    functions = [call.inner("function") for call in calls]
    return tuple(
        ToolCall(call.text("id"), function.text("name"), function.text("arguments"))
        for call, function in zip(calls, functions, strict=True)
    )


def read_review(fields: Fields) -> Review:
    """The field `review`."""
    review = fields.inner("review")
    return Review(
        judge=review.text("judge"),
        risk=review.maybe_risk("risk"),
        label_mass=review.maybe_risk("label_mass"),
        calibrated=review.flag("calibrated"),
        fault=review.maybe_text("fault"),
        framing=review.maybe_text("framing"),
        classifier=_classifier(review.maybe_inner("classifier")),
        input=_input(review.maybe_inner("input")),
        categories=review.texts("categories"),
        explanation=review.maybe_text("explanation"),
        reasons=review.texts("reasons"),
        rewrites=review.texts("rewrites"),
        masked=review.counts("masked"),
        enforcement=review.maybe_text("enforcement") or "",
    )


def _classifier(verdict: Fields | None) -> ClassifierVerdict | None:
    if verdict is None:
        return None
    return ClassifierVerdict(
        name=verdict.text("name"),
        status=verdict.text("status"),
        risk=verdict.maybe_risk("risk"),
        categories=verdict.texts("categories"),
        fault=verdict.maybe_text("fault"),
        asked=verdict.texts("asked"),
    )


def _input(verdict: Fields | None) -> InputVerdict | None:
    if verdict is None:
        return None
    return InputVerdict(
        verdict.flag("flagged"), verdict.maybe_text("status"), verdict.maybe_risk("risk")
    )


def read_policy(fields: Fields) -> PolicyUsed:
    """The field `policy`."""
    policy = fields.inner("policy")
    return PolicyUsed(policy.text("name"), policy.text("version"), policy.text("digest"))


def read_usage(fields: Fields) -> Usage:
    """The field `usage`."""
    usage = fields.maybe_inner("usage")
    return Usage(_tokens(usage, "generation"), _tokens(usage, "review"))


def _tokens(usage: Fields | None, kind: str) -> Tokens:
    tokens = usage.maybe_inner(kind) if usage else None
    if tokens is None:
        return Tokens()
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return Tokens(*(tokens.maybe_number(name) for name in names))


def read_receipt(fields: Fields) -> Receipt:
    """The field `receipt`."""
    receipt = fields.inner("receipt")
    return Receipt(
        receipt.text("entry"),
        receipt.number("sequence"),
        receipt.text("hash"),
        receipt.text("previous"),
    )


def read_inclusion(data: object, asked: str) -> tuple[InclusionReceipt, Checkpoint] | None:
    """The receipt in a JSON object, and its checkpoint; None where no checkpoint covers it yet.

    `asked` is the id of the response, or of the entry, that it was asked for.

    Raises:
        BadAnswer: it is no receipt, its proof does not hold, or its entry is another one.
    """
    fields = Fields(data)
    if fields.data.get("status") == "pending":
        return None
    entry, index, note = fields.text("entry"), fields.number("index"), fields.text("checkpoint")
    proof, checkpoint = read_hashes(fields.texts("proof")), read_note(note)
    leaf = leaf_hash(entry.encode("utf-8", "replace"))
    if not entry.isascii() or not is_entry(leaf, index, checkpoint, proof):
        raise BadAnswer("The gateway's receipt does not prove that its entry is in the log.")
    facts = Fields(json_object(entry), "entry")
    if asked not in (facts.data.get("response"), facts.data.get("id")):
        raise BadAnswer("The gateway's receipt is that of another entry.")
    if facts.number("sequence") != index + 1:
        raise BadAnswer("The gateway's receipt has its entry at another place than it names.")
    whole = json.dumps(fields.data)
    origin = checkpoint.origin
    return InclusionReceipt(origin, entry, leaf.hex(), index, proof, note, whole), checkpoint


def read_escalation(fields: Fields) -> Escalation | None:
    """The field `escalation`."""
    escalation = fields.maybe_inner("escalation")
    if escalation is None:
        return None
    return Escalation(
        escalation.text("id"),
        escalation.text("state"),
        escalation.maybe_text("poll"),
        escalation.maybe_text("until"),
        escalation.maybe_text("ruling"),
    )
