"""What is made of verdicts, and what is kept of it: frozen values, free of I/O.

Beside `types.py`, which has the words of one conversation and one verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from inwit.types import (
    Action,
    Candidate,
    Category,
    FinishReason,
    PolicyRef,
    Principal,
    ToolCall,
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
    NOT_HELD = "no_queue_yet_so_blocked"


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


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrieved passage and what became of it; `why` where it was dropped."""

    id: str
    used: bool
    why: str | None
    flagged: bool


@dataclass(frozen=True, slots=True)
class Output:
    """What leaves: the text, the tool calls, why it ends, and what was masked in it."""

    text: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    masked: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Record:
    """All that the ledger keeps of one response: facts for the entry, contents apart from them."""

    response_id: str
    time: datetime
    principal: Principal
    policy: PolicyRef
    model: str
    decision: Decision
    rounds: tuple[Round, ...]
    rewrites: tuple[RewriteOutcome, ...]
    input: Verdict | None
    input_flagged: bool
    masked: Mapping[str, int]
    timings_ms: Mapping[str, float]
    request_id: str
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a record stands in the ledger; hashes are hexadecimal SHA-256."""

    sequence: int
    entry_id: str
    hash: str
    previous: str


@dataclass(frozen=True, slots=True)
class Response:
    """The end of the pipeline: what the caller gets, and under which decision and entry."""

    id: str
    decision: Decision
    rounds: tuple[Round, ...]
    rewrites: tuple[RewriteOutcome, ...]
    output: Output
    has_input_stage: bool
    input: Verdict | None
    input_flagged: bool
    passages: tuple[Passage, ...]
    policy: PolicyRef
    timings_ms: Mapping[str, float]
    receipt: Receipt
    model: str
