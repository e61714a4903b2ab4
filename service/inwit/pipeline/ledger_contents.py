"""What the ledger keeps of a response's content, apart from its entry. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from inwit.cases import Output
from inwit.decisions import Explanation, Round
from inwit.types import Call, Candidate


def contents_of(call: Call, rounds: Sequence[Round], output: Output) -> dict[str, bytes]:
    """Each piece as JSON bytes: request, candidate, every rewrite, and what was released."""
    first, *rewrites = rounds
    blobs: dict[str, Any] = {"request": _request(call), "candidate": _round(first)}
    for number, rewrite in enumerate(rewrites, start=1):
        blobs[f"rewrite_{number}"] = _round(rewrite)
    blobs["released"] = {
        "text": output.text,
        "tool_calls": [call.as_openai() for call in output.tool_calls],
    }
    return {kind: json.dumps(blob, ensure_ascii=True).encode() for kind, blob in blobs.items()}


def _request(call: Call) -> dict[str, Any]:
    return {
        "messages": [message.as_openai() for message in call.messages],
        "context": [
            {"id": each.id, "source": each.source, "text": each.text} for each in call.context
        ],
        "tools": [tool.as_openai() for tool in call.tools],
        "end_user": call.end_user,
        "conversation_id": call.conversation_id,
        "metadata": dict(call.metadata),
    }


def _round(each: Round) -> dict[str, Any]:
    return {**_written(each.candidate), "explanation": _explained(each.explanation)}


def _written(candidate: Candidate) -> dict[str, Any]:
    calls = [call.as_openai() for call in candidate.tool_calls]
    return {"text": candidate.text, "reasoning": candidate.reasoning, "tool_calls": calls}


def _explained(explanation: Explanation | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    return {"spans": list(explanation.spans), "reason": explanation.reason}
