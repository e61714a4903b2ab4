"""A compiled policy: frozen values, ready to be applied to any number of responses."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from inwit.cases import OnExpiry, RulingKind
from inwit.decisions import AskReason
from inwit.redaction.kinds import Kind
from inwit.types import Action, Category, Enforcement, Framing, Harm, PolicyRef, Severity


class Band(StrEnum):
    """Where a risk lies between the two thresholds."""

    PASS = "pass"  # noqa: S105  # a band, not a password
    DOUBT = "doubt"
    FAIL = "fail"


class OnDisagreement(StrEnum):
    """What happens where one judge passes what the other flags."""

    STRICTER = "stricter"
    REWRITE = "rewrite"
    ESCALATE = "escalate"


class Clears(StrEnum):
    """What a classifier's pass may settle by itself."""

    DOUBT = "doubt"
    FAILURE = "failure"


class OnOther(StrEnum):
    """What happens to a passage from a source that is not listed."""

    REFUSE = "refuse"
    DROP = "drop"


class OnInput(StrEnum):
    """What a flagged input leads to."""

    BLOCK = "block"
    CLASSIFY = "classify"
    RECORD = "record"


class ToolReview(StrEnum):
    """Who must look at a call of this tool."""

    CLASSIFIER = "classifier"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Risk below `lower` passes, at or above `upper` fails; between them lies doubt."""

    lower: float
    upper: float

    def band(self, risk: float) -> Band:
        """Where `risk`, in [0, 1], lies."""
        if risk >= self.upper:
            return Band.FAIL
        return Band.DOUBT if risk >= self.lower else Band.PASS


@dataclass(frozen=True, slots=True)
class JudgeThresholds:
    """The conscience's thresholds: the stricter ones hold while its risk is not calibrated."""

    calibrated: Thresholds
    uncalibrated: Thresholds

    def for_risk(self, calibrated: bool) -> Thresholds:
        """Those that hold for a risk that is, or is not, calibrated."""
        return self.calibrated if calibrated else self.uncalibrated


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """How this policy treats one category; `harm` carries the policy's own severity."""

    harm: Harm
    action: Action
    thresholds: JudgeThresholds


@dataclass(frozen=True, slots=True)
class ReviewSpec:
    """What the conscience is asked, how it is shown the candidate, and when its answer counts."""

    framing: Framing
    question: str
    label_mass_floor: float

    @property
    def question_digest(self) -> str:
        """Identifies the wording, so that scores are only ever compared under one wording."""
        return hashlib.sha256(self.question.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ClassifierRule:
    """Which classifiers are asked, in fallback order, when, and what their answer can do."""

    use: tuple[str, ...]
    thresholds: Thresholds
    ask: frozenset[AskReason]
    severe_from: Severity
    sample_rate: float
    on_failure: Action
    clears: frozenset[Clears]


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """How often a candidate may be rewritten, and what happens when that did not help."""

    max_rounds: int
    on_failure: Action


@dataclass(frozen=True, slots=True)
class RetrievalRule:
    """Which sources passages may come from (`*` stands for any run of characters)."""

    globs: tuple[str, ...]
    sources: tuple[re.Pattern[str], ...]
    on_other: OnOther

    def allows(self, source: str) -> bool:
        """Whether a passage from `source` may be used."""
        return any(pattern.fullmatch(source) for pattern in self.sources)


@dataclass(frozen=True, slots=True)
class ToolRule:
    """One tool that may be offered and called. `wrong` says why arguments are not allowed."""

    name: str
    schema: Mapping[str, Any]
    wrong: Callable[[object], str | None]
    review: ToolReview


@dataclass(frozen=True, slots=True)
class InputRule:
    """What looks at the caller's own messages, and what a find leads to."""

    use: tuple[str, ...]
    patterns: Mapping[str, Callable[[str], bool]]
    instructions: bool
    thresholds: Thresholds
    on_flag: OnInput


@dataclass(frozen=True, slots=True)
class RedactRule:
    """Which kinds of private data are masked, and which may pass if the caller sent them first."""

    mask: frozenset[Kind]
    pass_if_sent_first: frozenset[Kind]
    phone_regions: tuple[str, ...]


class StreamMode(StrEnum):
    """What a streaming caller is sent before the whole response is decided."""

    BUFFER = "buffer"
    WINDOWED = "windowed"
    AUDIT_ONLY = "audit_only"


@dataclass(frozen=True, slots=True)
class StreamRule:
    """How responses are streamed; `window` and `overlap` in characters (docs/streaming.md)."""

    mode: StreamMode
    window: int
    overlap: int

    @property
    def enforcement(self) -> Enforcement:
        """What is told of a response that was streamed so."""
        match self.mode:
            case StreamMode.BUFFER:
                return Enforcement.FULL
            case StreamMode.WINDOWED:
                return Enforcement.WINDOWED
            case StreamMode.AUDIT_ONLY:
                return Enforcement.AUDIT_ONLY


@dataclass(frozen=True, slots=True)
class EscalationRule:
    """When and how people rule. A second one from a severity on, and for a random share.

    `expired_texts` by language is empty where the fallback text is for expired cases too.
    """

    claim_within: timedelta
    rule_within: timedelta
    on_expiry: OnExpiry
    expired_texts: Mapping[str, str]
    second_from: Severity | None
    second_share: float
    blocks_without_queue: bool
    reason_for: frozenset[RulingKind]
    clause_for: frozenset[RulingKind]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file, compiled. `ref.digest` is the SHA-256 of the file's exact bytes."""

    ref: PolicyRef
    description: str
    thresholds: JudgeThresholds
    categories: Mapping[Category, CategoryRule]
    on_harm: Action
    on_doubt: Action
    on_disagreement: OnDisagreement
    on_review_failure: Action
    on_truncated: Action
    review: ReviewSpec
    classifier: ClassifierRule | None
    rewrite: RewriteRule
    retrieval: RetrievalRule | None
    tools: Mapping[str, ToolRule]
    input: InputRule | None
    redact: RedactRule | None
    fallback_texts: Mapping[str, str]
    shadow: str | None
    stream: StreamRule
    escalation: EscalationRule

    @property
    def name(self) -> str:
        """The word that keys, requests and metrics use for this policy."""
        return self.ref.name

    @property
    def fallback_text(self) -> str:
        """The fallback text where the conversation's language is unknown: the first one."""
        return next(iter(self.fallback_texts.values()))

    @property
    def harms(self) -> tuple[Harm, ...]:
        """The categories as judges are told of them."""
        return tuple(rule.harm for rule in self.categories.values())

    def lowest(self, calibrated: bool) -> float:
        """The least risk from which any category of this policy lies in doubt."""
        every = [self.thresholds, *(rule.thresholds for rule in self.categories.values())]
        return min(thresholds.for_risk(calibrated).lower for thresholds in every)

    def classifiers(self) -> frozenset[str]:
        """Every classifier that this policy may ask."""
        asked = self.classifier.use if self.classifier else ()
        return frozenset(asked) | frozenset(self.input.use if self.input else ())
