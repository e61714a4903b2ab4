"""A compiled policy: frozen values, ready to be applied to any number of responses."""

import hashlib
from dataclasses import dataclass

from inwit.types import Action, Framing, PolicyRef


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Risk below `lower` passes, at or above `upper` fails; between them lies doubt."""

    lower: float
    upper: float


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
class Policy:
    """One policy file, compiled. `ref.digest` is the SHA-256 of the file's exact bytes."""

    ref: PolicyRef
    description: str
    thresholds: Thresholds
    on_doubt: Action
    on_review_failure: Action
    on_truncated: Action
    review: ReviewSpec
    fallback_text: str

    @property
    def name(self) -> str:
        """The word that keys, requests and metrics use for this policy."""
        return self.ref.name
