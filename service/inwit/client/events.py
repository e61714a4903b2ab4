"""What a stream says, event by event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from inwit.client.answers import (
    RELEASED,
    Escalation,
    PolicyUsed,
    Receipt,
    Review,
    ToolCall,
    Usage,
)
from inwit.client.parsing import Fields
from inwit.client.reading import (
    read_error,
    read_escalation,
    read_policy,
    read_receipt,
    read_review,
    read_tool_calls,
    read_usage,
)


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to append, or whole tool calls. Text may still be withdrawn."""

    content: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Retract:
    """The text from `offset` (in code points) on is withdrawn; `replacement` stands there now.

    Take it off the screen, not only out of the record: `stream.text` is what stands.
    """

    offset: int
    replacement: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy decided on the whole response; text may still follow."""

    id: str
    status: str
    action: str
    model: str | None
    review: Review
    policy: PolicyUsed
    escalation: Escalation | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def released(self) -> bool:
        """Whether the text is the model's, under a decision that lets it leave."""
        return self.status == RELEASED


@dataclass(frozen=True, slots=True)
class Done:
    """The end: `stream.answer` is complete."""

    finish_reason: str | None
    usage: Usage
    timings_ms: Mapping[str, float]
    receipt: Receipt
    raw: Mapping[str, Any] = field(repr=False, compare=False)


Event: TypeAlias = Delta | Retract | Decision | Done

_KNOWN = frozenset({"delta", "retract", "decision", "done", "error"})


def read_event(name: str, data: object) -> Event | None:
    """The event in a server-sent event; None for a name that this version does not know.

    Raises:
        InwitError: the event is `error`; this is the error that it tells of.
        BadAnswer: a field is missing, or of another type.
    """
    if name not in _KNOWN:
        return None
    fields = Fields(data, name)
    match name:
        case "delta":
            return Delta(fields.maybe_text("content") or "", read_tool_calls(fields))
        case "retract":
            return Retract(fields.number("offset"), fields.text("replacement"))
        case "decision":
            return _decision(fields)
        case "done":
            return Done(
                finish_reason=fields.maybe_text("finish_reason"),
                usage=read_usage(fields),
                timings_ms=fields.numbers("timings_ms"),
                receipt=read_receipt(fields),
                raw=fields.data,
            )
        case _:
            raise read_error(fields)


def _decision(fields: Fields) -> Decision:
    return Decision(
        id=fields.text("id"),
        status=fields.text("status"),
        action=fields.text("action"),
        model=fields.maybe_text("model"),
        review=read_review(fields),
        policy=read_policy(fields),
        escalation=read_escalation(fields),
        raw=fields.data,
    )
