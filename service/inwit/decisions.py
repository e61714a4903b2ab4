"""What is made of verdicts, and what is kept of it: frozen values, free of I/O.

Beside `types.py`, which has the words of one conversation and one verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from inwit.cases import Hold, Output, Settlement
from inwit.types import (
    Action,
    Candidate,
    Category,
    Claim,
    Enforcement,
    FinishReason,
    PolicyRef,
    Principal,
    Usage,
    Verdict,
)


class Reason(StrEnum):
    """Why a decision is what it is."""

    BELOW_LOWER = "risk_below_lower_threshold"
    IN_DOUBT = "risk_in_doubt"
    ABOVE_UPPER = "risk_above_upper_threshold"
    CRITICAL_DOUBT = "critical_category_in_doubt"
    UNAVAILABLE = "review_unavailable"
    TRUNCATED = "review_truncated"
    DOUBT_CLEARED = "doubt_cleared_by_classifier"
    FAILURE_CLEARED = "failed_review_cleared_by_classifier"
    CLASSIFIER_AGREED = "classifier_agreed"
    CLASSIFIER_IN_DOUBT = "classifier_in_doubt"
    CLASSIFIER_FLAGGED = "classifier_flagged"
    CLASSIFIER_FAILED = "classifier_failed"
    SAMPLE_FAILED = "random_slice_not_classified"
    DISAGREEMENT = "judges_disagree"
    TOOL_OUTSIDE = "tool_call_outside_policy"
    TOOL_NEEDS_PERSON = "tool_call_needs_a_person"
    TOOL_PRIVATE_DATA = "private_data_in_tool_call"
    INPUT_FLAGGED = "input_flagged"
    INPUT_FAILED = "input_not_judged"
    PRIVATE_DATA = "private_data_masked"
    REWRITE_FAILED = "rewrite_failed"
    REWRITE_COSMETIC = "rewrite_cosmetic"
    QUEUE_DOWN = "nobody_could_be_asked"


class AskReason(StrEnum):
    """Why the independent classifier was asked."""

    DOUBT = "doubt"
    UNAVAILABLE = "unavailable"
    TRUNCATED = "truncated"
    LOW_LABEL_MASS = "low_label_mass"
    SEVERE = "severe"
    TOOL_CALL = "tool_call"
    REWRITE = "rewrite"
    HIDDEN_TEXT = "hidden_text"
    UNTRUSTED_INSTRUCTIONS = "untrusted_instructions"
    INPUT = "input"
    SAMPLE = "sample"


class ExplanationStatus(StrEnum):
    """What became of the call that asks which categories were found. Only `named` counts."""

    NAMED = "named"
    ILL_FORMED = "ill_formed"
    CONTRADICTING = "contradicting"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the conscience sees a risk: categories, quotes from the answer, a sentence.

    `spans` and `reason` are content: they go to the rewriter and to the ledger's contents, never
    to the caller.
    """

    status: ExplanationStatus
    categories: tuple[Category, ...] = ()
    spans: tuple[str, ...] = ()
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Sampling:
    """The random slice: the probability with which this response was to be in it, and the draw."""

    rate: float
    drawn: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy makes of the verdicts. It covers the one candidate with that digest.

    `reasons` begin with those that made the action what it is. `disagreement` names the two
    judges' outcomes where one passed what the other flagged ("pass_fail", "fail_pass"). `reviewed`:
    the conscience, and the classifier where it was needed, each judged the whole candidate.
    """

    action: Action
    reasons: tuple[Reason, ...]
    verdicts: tuple[Verdict, ...]
    covers: str
    reviewed: bool
    categories: tuple[Category, ...] = ()
    disagreement: str | None = None


class RewriteOutcome(StrEnum):
    """What became of one round of rewriting."""

    PASSED = "passed"
    COSMETIC = "cosmetic"
    REFUSAL = "refusal"
    FLAGGED = "flagged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Round:
    """One candidate, reviewed. The first is the original; the others are rewrites of it."""

    candidate: Candidate
    decision: Decision
    asked: tuple[AskReason, ...] = ()
    explanation: Explanation | None = None
    sampling: Sampling | None = None

    @property
    def review_usage(self) -> Usage:
        """Tokens that reviewing it took."""
        usages = [verdict.usage for verdict in self.decision.verdicts]
        usages += [self.explanation.usage] if self.explanation else []
        return sum(usages, Usage())


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrieved passage and what became of it; `why` where it was dropped."""

    id: str
    used: bool
    why: str | None
    flagged: bool


class CutReason(StrEnum):
    """Why a stream ended before its decision."""

    CALLER_GONE = "caller_gone"
    UPSTREAM = "upstream"
    LEDGER = "ledger"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a streaming caller was sent before the decision.

    `length` in code points; `windows` judged on the way, and the tokens that this took;
    `retracted` says that all of it was withdrawn again.
    """

    length: int
    windows: int
    usage: Usage
    retracted: bool


@dataclass(frozen=True, slots=True)
class Usages:
    """Tokens of one response: for writing it (rewrites too), and for reviewing it."""

    generation: Usage
    review: Usage

    @property
    def tokens(self) -> int:
        """All of them, read and written."""
        both = self.generation + self.review
        return both.prompt_tokens + both.completion_tokens


@dataclass(frozen=True, slots=True)
class Origin:
    """What every entry about one response says of it. `request_id` is the HTTP exchange's.

    `end_user` stands in no entry: it says by whose key the content is sealed.
    """

    response_id: str
    principal: Principal
    policy: PolicyRef
    model: str
    enforcement: Enforcement
    request_id: str
    end_user: str | None = None


class Outcome(StrEnum):
    """How a request ended; `held` is no end yet: a person's ruling, or its clock, makes one."""

    RELEASED = "released"
    BLOCKED = "blocked"
    HELD = "held"
    CHECKED = "checked"
    FAILED = "failed"


class Asked(StrEnum):
    """What a request wanted."""

    RESPONSE = "response"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class AcceptedRecord:
    """A request that was admitted, before anything of it was judged."""

    origin: Origin
    time: datetime
    asked: Asked
    contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A request that ended without a decision, and of which nothing had left; `reason` is a kind
    of error (docs/errors.md), or `caller_gone`.
    """

    origin: Origin
    time: datetime
    reason: str
    contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """The text [`start`, `end`) of a stream, about to leave; `round` reviewed all up to it.

    In code points of the text as sent. `audit_only` has one at its start, without an end or a
    round: what follows leaves unreviewed.
    """

    origin: Origin
    time: datetime
    start: int
    end: int | None
    round: Round | None
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class CutRecord:
    """A stream that ended before its decision, after `length` code points had left.

    `round` reviewed what had left, where it had left unreviewed.
    """

    origin: Origin
    time: datetime
    reason: CutReason
    length: int
    round: Round | None
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Record:
    """All that the ledger keeps of one response: facts for the entry, contents apart from them.

    `checked` says that the candidate came from the caller, and nothing was generated. `redacted`
    counts private data, by kind, that was taken out of `contents`; None where nobody looked for it.
    """

    origin: Origin
    time: datetime
    decision: Decision
    rounds: tuple[Round, ...]
    rewrites: tuple[RewriteOutcome, ...]
    has_input_stage: bool
    input: Verdict | None
    input_flagged: bool
    passages: tuple[Passage, ...]
    finish_reason: FinishReason
    masked: Mapping[str, int]
    usage: Usages
    sent: Sent | None
    hold: Hold | None
    timings_ms: Mapping[str, float]
    contents: Mapping[str, bytes]
    checked: bool = False
    claim: Claim | None = None
    redacted: Mapping[str, int] | None = None

    @property
    def outcome(self) -> Outcome:
        """What became of the request, as far as this decision goes."""
        if self.checked:
            return Outcome.CHECKED
        if self.hold is not None:
            return Outcome.HELD
        released = self.decision.action in (Action.ALLOW, Action.REDACT)
        return Outcome.RELEASED if released else Outcome.BLOCKED


AnyRecord = Record | WindowRecord | CutRecord | AcceptedRecord | FailedRecord


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a record stands in the ledger; hashes are hexadecimal SHA-256."""

    sequence: int
    entry_id: str
    hash: str
    previous: str


@dataclass(frozen=True, slots=True)
class Response:
    """The end of the pipeline: what the caller gets, and where that is recorded.

    `settlement` is what became of a held one, once that is known: its output takes the place of
    `output`.
    """

    record: Record
    output: Output
    timings_ms: Mapping[str, float]
    receipt: Receipt
    settlement: Settlement | None = None

    @property
    def held(self) -> bool:
        """Whether it waits for a person."""
        return self.record.hold is not None and self.settlement is None
