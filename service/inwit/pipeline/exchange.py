"""Makes of a conversation and a candidate what judges are shown, and fences what is only data."""

import hashlib
import json
from dataclasses import dataclass

from inwit.pipeline.instructions import addresses_reviewer
from inwit.pipeline.normalise import shown, shown_turn
from inwit.types import Candidate, Exchange, Harm, Message, ToolCall


@dataclass(frozen=True, slots=True)
class Shown:
    """The exchange as judges see it, and whether the candidate hid something or addressed them."""

    exchange: Exchange
    hidden_text: bool


def exchange_for(
    conversation: tuple[Message, ...],
    candidate: Candidate,
    tenant: str,
    harms: tuple[Harm, ...] = (),
) -> Exchange:
    """What judges are shown of a candidate; see `show`."""
    return show(conversation, candidate, tenant, harms).exchange


def show(
    conversation: tuple[Message, ...], candidate: Candidate, tenant: str, harms: tuple[Harm, ...]
) -> Shown:
    """Normalise everything a judge reads. What is released is never touched by this."""
    answer, reasoning = shown(reviewed_text(candidate)), shown(candidate.reasoning)
    exchange = Exchange(
        conversation=tuple(map(shown_turn, conversation)),
        answer=answer.text,
        covers=candidate.digest,
        tenant=tenant,
        harms=harms,
        reasoning=reasoning.text,
    )
    hidden = bool(answer.marks or reasoning.marks)
    addressed = any(map(addresses_reviewer, (answer.text, reasoning.text)))
    return Shown(exchange, hidden or addressed)


def input_exchange(
    conversation: tuple[Message, ...], tenant: str, harms: tuple[Harm, ...]
) -> Exchange:
    """The caller's own messages, for judges of inputs; `covers` is their digest."""
    turns = json.dumps([turn.as_openai() for turn in conversation], sort_keys=True)
    covers = hashlib.sha256(turns.encode()).hexdigest()
    return Exchange(tuple(map(shown_turn, conversation)), None, covers, tenant, harms)


def reviewed_text(candidate: Candidate) -> str:
    """The candidate's text, and below it each tool call as canonical JSON on a line of its own."""
    calls = [f"(tool call) {canonical(call)}" for call in candidate.tool_calls]
    return "\n".join([candidate.text, *calls] if candidate.text or not calls else calls)


def canonical(call: ToolCall) -> str:
    """A tool call as JSON with sorted keys; arguments that are no JSON stand as text."""
    try:
        return _dumped(call.name, json.loads(call.arguments))
    except (ValueError, RecursionError):
        return _dumped(call.name, call.arguments)


def _dumped(name: str, arguments: object) -> str:
    facts = {"name": name, "arguments": arguments}
    return json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fence_for(covers: str, conversation: tuple[Message, ...]) -> str:
    """A line that the quoted text does not contain: it would have to hold its own hash.

    Derived, not drawn, so that the same text always gets the same verdict (docs/decisions/0004).
    """
    turns = json.dumps([message.as_openai() for message in conversation], sort_keys=True)
    return "=====" + hashlib.sha256((turns + covers).encode()).hexdigest()[:32]
