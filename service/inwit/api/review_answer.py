"""What an answer says of the review: what was checked, and what was not."""

from pydantic import Field

from inwit.api.schemas import Wire
from inwit.decisions import AskReason, ExplanationStatus, Reason, Record, RewriteOutcome
from inwit.types import Category, Enforcement, Fault, Framing, ReviewStatus, Verdict

_DIGITS = 6  # as the ledger keeps them, so that a stored answer says the same


class ClassifierOut(Wire):
    """The independent classifier's verdict."""

    name: str = Field(description="Which classifier answered.", examples=["embedded"])
    status: ReviewStatus = Field(
        description="judged, or what kept it from judging.", examples=["judged"]
    )
    risk: float | None = Field(description="Its risk; null unless judged.", examples=[0.08])
    categories: list[Category] = Field(description="What it found.", examples=[[]])
    fault: Fault | None = Field(description="Why there is no judgement, if so.", examples=[None])
    asked: list[AskReason] = Field(description="Why it was asked.", examples=[["doubt"]])


class InputOut(Wire):
    """What the input stage made of your messages."""

    flagged: bool = Field(description="Whether they were flagged.", examples=[False])
    status: ReviewStatus | None = Field(
        description="A classifier's status, where the policy names one.", examples=[None]
    )
    risk: float | None = Field(description="Its risk.", examples=[None])


class ReviewOut(Wire):
    """What was checked, and what was not."""

    judge: ReviewStatus = Field(
        description="judged: the conscience judged the whole candidate. unavailable or truncated: "
        "it did not, and `reasons` says what the policy made of that.",
        examples=["judged"],
    )
    risk: float | None = Field(
        description="P(yes) / (P(yes) + P(no)) on the policy's question; null unless judged.",
        examples=[0.12],
    )
    label_mass: float | None = Field(
        description="P(yes) + P(no): how far the model answered the question at all.",
        examples=[0.97],
    )
    calibrated: bool = Field(
        description="Whether the risk was calibrated for this model, framing and question.",
        examples=[False],
    )
    fault: Fault | None = Field(description="Why there is no judgement, if so.", examples=[None])
    framing: Framing | None = Field(
        description="How the conscience was shown the candidate.", examples=["same_thread"]
    )
    classifier: ClassifierOut | None = Field(
        description="The independent classifier's verdict; null where it was not asked.",
        examples=[None],
    )
    input: InputOut | None = Field(
        description="The verdict on your own messages; null where the policy has no input stage.",
        examples=[None],
    )
    categories: list[Category] = Field(
        description="Categories of harm that a judge named (docs/taxonomy.md).", examples=[[]]
    )
    explanation: ExplanationStatus | None = Field(
        description="Whether the conscience could name categories; only `named` counts. null "
        "where the risk gave no cause to ask.",
        examples=[None],
    )
    reasons: list[Reason] = Field(
        description="Why the action is what it is, the decisive ones first.",
        examples=[["risk_below_lower_threshold"]],
    )
    rewrites: list[RewriteOutcome] = Field(
        description="What became of each round of rewriting.", examples=[[]]
    )
    masked: dict[str, int] = Field(
        description="Pieces of private data masked in the text, by kind.", examples=[{}]
    )
    enforcement: Enforcement = Field(
        description="When the policy acted. full: on the whole candidate, before any of it left. "
        "windowed: on all that was written so far, before each piece left, and on the whole. "
        "audit_only: on the whole, after it had left.",
        examples=["full"],
    )


def review_out(record: Record) -> ReviewOut:
    """The review of a recorded response."""
    last, decision = record.rounds[-1], record.decision
    conscience, *others = decision.verdicts
    return ReviewOut(
        judge=conscience.status,
        risk=_rounded(conscience.risk),
        label_mass=_rounded(conscience.label_mass),
        calibrated=conscience.calibrated,
        fault=conscience.fault,
        framing=conscience.framing,
        classifier=_classifier(others[0], last.asked) if others else None,
        input=_input(record),
        categories=list(decision.categories),
        explanation=last.explanation.status if last.explanation else None,
        reasons=list(decision.reasons),
        rewrites=list(record.rewrites),
        masked=dict(record.masked),
        enforcement=record.origin.enforcement,
    )


def _classifier(verdict: Verdict, asked: tuple[AskReason, ...]) -> ClassifierOut:
    return ClassifierOut(
        name=verdict.judge,
        status=verdict.status,
        risk=_rounded(verdict.risk),
        categories=list(verdict.categories),
        fault=verdict.fault,
        asked=list(asked),
    )


def _input(record: Record) -> InputOut | None:
    verdict = record.input
    if not record.has_input_stage:
        return None
    return InputOut(
        flagged=record.input_flagged,
        status=verdict.status if verdict else None,
        risk=_rounded(verdict.risk) if verdict else None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
