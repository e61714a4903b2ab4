"""The domain's words (see docs/words.md): frozen values, valid once built, free of I/O."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol


class Action(StrEnum):
    """What a policy makes of the verdicts, from the mildest to the strictest."""

    ALLOW = "allow"
    REDACT = "redact"
    REWRITE = "rewrite"
    ESCALATE = "escalate"
    BLOCK = "block"

    @property
    def strictness(self) -> int:
        """A rank by which the strictest of several actions is found."""
        return list(Action).index(self)


class Severity(StrEnum):
    """How bad a harm is, from the mildest to the worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """From 0, by which severities are compared."""
        return list(Severity).index(self)


class Category(StrEnum):
    """The kinds of harm (policy/taxonomy.py says what each means)."""

    VIOLENT_CRIMES = "violent_crimes"
    SEX_CRIMES = "sex_crimes"
    CHILD_EXPLOITATION = "child_exploitation"
    SELF_HARM = "self_harm"
    WEAPONS = "indiscriminate_weapons"
    NONVIOLENT_CRIMES = "nonviolent_crimes"
    INTELLECTUAL_PROPERTY = "intellectual_property"
    DEFAMATION = "defamation"
    HATE = "hate"
    SEXUAL_CONTENT = "sexual_content"
    PRIVACY_LEAK = "privacy_leak"
    PROFESSIONAL_ADVICE = "unqualified_professional_advice"
    DECEPTION = "deception"
    COERCION = "coercion_and_manipulation"
    OMISSION = "harmful_omission"
    POWER_SEEKING = "power_seeking"
    UNSAFE_TOOL_USE = "unsafe_tool_use"


class ReviewStatus(StrEnum):
    """What a judge managed to do. Only `judged` can ever count as a pass."""

    JUDGED = "judged"
    UNAVAILABLE = "unavailable"
    TRUNCATED = "truncated"


class Fault(StrEnum):
    """Why a verdict is not `judged`."""

    TIMEOUT = "timeout"
    UPSTREAM = "upstream_error"
    NO_LOGPROBS = "no_logprobs"
    MALFORMED = "malformed_logprobs"
    LOW_LABEL_MASS = "low_label_mass"
    DOES_NOT_FIT = "does_not_fit"
    MALFORMED_ANSWER = "malformed_answer"
    REFUSED = "refused"
    BUSY = "busy"
    BREAKER_OPEN = "breaker_open"


class Framing(StrEnum):
    """How the conscience is shown the candidate (docs/decisions/0003)."""

    SAME_THREAD = "same_thread"
    QUOTED = "quoted"
    FRESH = "fresh"


class KeyRole(StrEnum):
    """What an API key may be used for."""

    RESPOND = "respond"
    REVIEW = "review"
    AUDIT = "audit"
    ADMIN = "admin"


class Enforcement(StrEnum):
    """How a response was kept back until it was reviewed (docs/streaming.md)."""

    FULL = "full"
    WINDOWED = "windowed"
    AUDIT_ONLY = "audit_only"


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
MessageRole = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, in OpenAI's shape."""

    role: MessageRole
    content: str
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()

    def as_openai(self) -> dict[str, Any]:
        """The JSON object that an OpenAI-compatible server takes."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.name is not None:
            message["name"] = self.name
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            message["tool_calls"] = [dict(call) for call in self.tool_calls]
        return message


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of upstream calls; `cached_tokens` are prompt tokens that were not recomputed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks the caller to make. `arguments` is JSON text as it came."""

    id: str
    name: str
    arguments: str

    def as_openai(self) -> dict[str, Any]:
        """The call in OpenAI's shape."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the model wrote, before a decision. `reasoning` is reviewed too, and never released."""

    text: str
    model: str
    reasoning: str = ""
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over everything that a decision on this candidate must have covered."""
        calls = [part for call in self.tool_calls for part in (call.id, call.name, call.arguments)]
        return digest_of(self.text, self.reasoning, *calls)


@dataclass(frozen=True, slots=True)
class Harm:
    """One category as a judge is told of it; `words` fits after "harmful means"."""

    category: Category
    title: str
    description: str
    words: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Exchange:
    """What judges are shown: the conversation, and the answer with nothing hidden in it.

    `answer` is the candidate's text and tool calls as judges shall read them (normalised, control
    tokens broken); None where the caller's own messages are judged, before there is an answer.
    `covers` is the digest of what was really written.
    """

    conversation: tuple[Message, ...]
    answer: str | None
    covers: str
    tenant: str
    harms: tuple[Harm, ...] = ()
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One of the most likely next tokens, with its natural-log probability (at most 0)."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class NextToken:
    """The distribution that a model gives for one next token, cut to its top entries."""

    top: tuple[TokenScore, ...]
    model: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one judge says of one candidate.

    `risk`, `raw_risk` (before calibration) and `label_mass` lie in [0, 1]. `risk` is known exactly
    when the status is `judged`; `label_mass` also where a low one is the reason for `unavailable`.
    `covers` is the digest of the candidate that the judge was shown, `calibration` that of the map
    by which the risk was calibrated, where one was. `labels` are the judge's own names for what it
    found, `categories` those that were asked about, and
    `unnamed` says that it found something for which no such category stands.

    Raises:
        ValueError: a risk outside [0, 1] or not a number, or one that does not go with the status.
    """

    judge: str
    status: ReviewStatus
    risk: float | None = None
    label_mass: float | None = None
    fault: Fault | None = None
    calibrated: bool = False
    calibration: str | None = None
    model: str | None = None
    framing: Framing | None = None
    question_digest: str | None = None
    usage: Usage = Usage()
    covers: str = ""
    raw_risk: float | None = None
    categories: tuple[Category, ...] = ()
    labels: tuple[str, ...] = ()
    unnamed: bool = False

    def __post_init__(self) -> None:
        judged = self.status is ReviewStatus.JUDGED
        if judged != (self.risk is not None) or judged != (self.fault is None):
            raise ValueError("a verdict has a risk, and no fault, exactly when it is judged")
        for name, value in (
            ("risk", self.risk),
            ("raw_risk", self.raw_risk),
            ("label_mass", self.label_mass),
        ):
            if value is not None and not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise ValueError(f"{name} must lie in [0, 1]")

    @property
    def outcome(self) -> str:
        """The closed set that metrics use: the status, or the fault that explains it."""
        return self.status.value if self.fault is None else self.fault.value


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: an API key, resolved. `policies` are those it may name, its default first."""

    key_id: str
    tenant: str
    policies: tuple[str, ...]
    roles: frozenset[KeyRole]

    @property
    def default_policy(self) -> str:
        """What decides where the caller names no policy."""
        return self.policies[0]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the caller offers the model. `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_openai(self) -> dict[str, Any]:
        """The tool in OpenAI's shape."""
        function: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ContextPassage:
    """A passage that the caller retrieved for the model to read."""

    id: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key, held by one request until its decision is recorded."""

    tenant: str
    key_digest: str
    owner: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request to respond, converted from the wire and not yet admitted.

    `extra` are parameters of the generation that go to the model server as they came. `waits_s` is
    how long its caller waits in line, should a person have to rule.
    """

    principal: Principal
    messages: tuple[Message, ...]
    policy: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    deadline_ms: int | None = None
    end_user: str | None = None
    conversation_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    tools: tuple[Tool, ...] = ()
    context: tuple[ContextPassage, ...] = ()
    request_id: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    claim: Claim | None = None
    waits_s: float = 0.0
    callback_url: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What the served model is asked to write."""

    messages: tuple[Message, ...]
    model: str
    max_tokens: int
    tenant: str
    temperature: float | None = None
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Draft(Protocol):
    """Is told what a model writes while it writes it."""

    def add(self, text: str, reasoning: str, usage: Usage | None) -> None:
        """The next piece of each, and the tokens used so far where the server says them."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """The exact policy under which something was decided."""

    name: str
    version: str
    digest: str


def digest_of(*parts: str) -> str:
    """SHA-256 over the parts, each after its length, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
