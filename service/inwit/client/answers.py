"""What the gateway answers, as frozen values. Fields that this version does not know are in `raw`.

No `repr` here holds content: an answer may be logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from inwit.client.errors import InwitError

RELEASED = "released"
HELD = "held"
IN_PROGRESS = "in_progress"
MAY_LEAVE = ("passed", "changed", "unreviewed")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that you are to make; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClassifierVerdict:
    """The independent classifier's verdict; `risk` is None unless `status` is `judged`."""

    name: str
    status: str
    risk: float | None
    categories: tuple[str, ...]
    fault: str | None
    asked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputVerdict:
    """What the input stage made of your messages."""

    flagged: bool
    status: str | None
    risk: float | None


@dataclass(frozen=True, slots=True)
class Review:
    """What was checked, and what was not: `judge` is `judged`, `unavailable` or `truncated`."""

    judge: str
    risk: float | None
    label_mass: float | None
    calibrated: bool
    fault: str | None
    framing: str | None
    classifier: ClassifierVerdict | None
    input: InputVerdict | None
    categories: tuple[str, ...]
    explanation: str | None
    reasons: tuple[str, ...]
    rewrites: tuple[str, ...]
    masked: Mapping[str, int]
    enforcement: str


@dataclass(frozen=True, slots=True)
class PolicyUsed:
    """The exact policy that decided."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one kind of upstream call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a response cost: writing it, and reviewing it."""

    generation: Tokens
    review: Tokens


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where the decision stands in the ledger. Keep it beside what you show."""

    entry: str
    sequence: int
    hash: str
    previous: str


@dataclass(frozen=True, slots=True)
class InclusionReceipt:
    """The proof that an entry stands in the log. It was checked, but for the signature of
    `checkpoint`. Store `json`: whoever has the log's key can check it without the gateway.

    `entry` is the entry as text, `hash` its hash in hexadecimal, `index` its place from 0, `proof`
    the hashes from it up to the root.
    """

    origin: str
    entry: str = field(repr=False)
    hash: str
    index: int
    proof: tuple[bytes, ...] = field(repr=False)
    checkpoint: str = field(repr=False)
    json: str = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Escalation:
    """A case that waits, or waited, for a person; `until` is an ISO time.

    `ruling` is what the person said, once one has.
    """

    id: str
    state: str
    poll: str | None
    until: str | None
    ruling: str | None = None


class NotReleased(InwitError):
    """The answer was blocked, or is held for a person; `answer` is it."""

    kind = "not-released"

    def __init__(self, detail: str, answer: "Answer | None" = None) -> None:
        super().__init__(detail)
        self.answer = answer
        if answer is not None:
            self.request_id, self.response_id = answer.request_id, answer.id


@dataclass(frozen=True, slots=True)
class Decided:
    """What an answer and a checked candidate have in common. Neither is true or false:
    `if answer:` is an error."""

    id: str
    status: str
    action: str
    model: str | None
    content: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = field(repr=False)
    review: Review
    policy: PolicyUsed
    usage: Usage
    timings_ms: Mapping[str, float]
    receipt: Receipt
    request_id: str | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    def __bool__(self) -> NoReturn:
        raise TypeError("Neither true nor false: ask `answer.released`, or `checked.may_leave`.")


@dataclass(frozen=True, slots=True)
class Checked(Decided):
    """What became of a candidate that you brought.

    `may_leave` is the question to ask. `content` and `tool_calls` are what may leave, masked or
    rewritten as the policy says; both are empty where nothing may. `status` is `passed`,
    `changed`, `unreviewed` or `withheld`.
    """

    @property
    def may_leave(self) -> bool:
        """Whether content and calls may leave. `unreviewed` ones may where the policy says so."""
        return self.status in MAY_LEAVE


@dataclass(frozen=True, slots=True)
class Answer(Decided):
    """A decided response.

    `released` is the question to ask. `content` is the text for the person who asked: the model's
    own only where `released`, else the policy's fallback text. `tool_calls` is empty unless
    `released`.
    """

    finish_reason: str | None
    escalation: Escalation | None
    replayed: bool

    @property
    def released(self) -> bool:
        """Whether the content is the model's, under a decision that lets it leave."""
        return self.status == RELEASED

    @property
    def held(self) -> bool:
        """Whether it waits for a person; `wait_for` waits with it."""
        return self.status == HELD

    def require_released(self) -> "Answer":
        """The answer itself, for code that can do nothing with a fallback text.

        Raises:
            NotReleased: it was blocked, or is held.
        """
        if not self.released:
            reasons = ", ".join(self.review.reasons) or "no reason given"
            raise NotReleased(f"{self.id} is {self.status} ({self.action}): {reasons}.", self)
        return self

    def as_message(self) -> dict[str, Any]:
        """The assistant turn to append to `messages`, in OpenAI's shape."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content or None}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        return message
