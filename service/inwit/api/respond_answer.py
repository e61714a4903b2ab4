"""What `POST /v1/respond` answers."""

from typing import Literal

from pydantic import Field

from inwit.api.respond_request import ToolCall
from inwit.api.schemas import Wire, example
from inwit.decisions import (
    AskReason,
    ExplanationStatus,
    Reason,
    Response,
    RewriteOutcome,
    Round,
)
from inwit.types import Action, Category, Fault, Framing, ReviewStatus, Usage, Verdict


class OutputMessage(Wire):
    """The text for the caller: the candidate where it was released, else the fallback text."""

    role: Literal["assistant"] = Field(
        "assistant", description="Always assistant.", examples=["assistant"]
    )
    content: str = Field(description="The text.", examples=["The moon pulls the sea."])
    tool_calls: list[ToolCall] = Field(
        default_factory=list[ToolCall],
        description="Calls that you are to make, each permitted by the policy and reviewed.",
        examples=[[]],
    )
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"] = Field(
        description="Why the text ends: by itself, at max_tokens, for tool calls, or because it "
        "was blocked.",
        examples=["stop"],
    )


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
    enforcement: Literal["full", "windowed", "audit_only"] = Field(
        "full",
        description="When the policy acts. full: on the whole candidate, before any of it leaves.",
        examples=["full"],
    )


class PassageOut(Wire):
    """What became of a passage."""

    id: str = Field(description="Your id for it.", examples=["p1"])
    used: bool = Field(description="Whether the model saw it.", examples=[True])
    why: str | None = Field(description="Why it was dropped, if so.", examples=[None])
    flagged: bool = Field(
        description="Whether it reads like instructions; the response was then classified.",
        examples=[False],
    )


class PolicyOut(Wire):
    """The exact policy that decided."""

    name: str = Field(description="Its name.", examples=["default"])
    version: str = Field(description="Its version, as its owner wrote it.", examples=["1"])
    digest: str = Field(description="SHA-256 of the file.", examples=["9f2c" + "0" * 60])


class UsageOut(Wire):
    """Tokens of one kind of upstream call."""

    prompt_tokens: int = Field(description="Tokens read.", examples=[42])
    completion_tokens: int = Field(description="Tokens written.", examples=[180])
    cached_tokens: int = Field(
        description="Tokens read from the server's prefix cache, where it tells.", examples=[32]
    )


class UsagesOut(Wire):
    """What the response cost, generation and review apart."""

    generation: UsageOut = Field(
        description="Writing the candidate, and rewriting it.", examples=[example(UsageOut)]
    )
    review: UsageOut = Field(
        description="Judging and classifying it.", examples=[example(UsageOut)]
    )


class ReceiptOut(Wire):
    """Where the decision stands in the ledger."""

    entry: str = Field(description="Id of the entry.", examples=["ent_0b5c"])
    sequence: int = Field(description="Its place in the ledger, from 1.", examples=[17])
    hash: str = Field(description="Its SHA-256 leaf hash.", examples=["ab" * 32])
    previous: str = Field(description="The hash of the entry before it.", examples=["cd" * 32])


class RespondResponse(Wire):
    """What `POST /v1/respond` answers."""

    id: str = Field(description="Id of the response.", examples=["resp_5f0c"])
    status: Literal["released", "blocked"] = Field(
        description="What became of it.", examples=["released"]
    )
    action: Action = Field(description="What the policy decided.", examples=["allow"])
    model: str = Field(description="The model that wrote the candidate.", examples=["my-model"])
    output: OutputMessage = Field(
        description="The text for the caller.", examples=[example(OutputMessage)]
    )
    review: ReviewOut = Field(description="What was checked.", examples=[example(ReviewOut)])
    context: list[PassageOut] = Field(description="What became of each passage.", examples=[[]])
    policy: PolicyOut = Field(description="The policy that decided.", examples=[example(PolicyOut)])
    usage: UsagesOut = Field(description="Tokens used.", examples=[example(UsagesOut)])
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage, and in total.",
        examples=[{"generate": 812.4, "judge": 31.0, "record": 1.2, "total": 845.1}],
    )
    receipt: ReceiptOut = Field(
        description="The entry in the ledger.", examples=[example(ReceiptOut)]
    )


def to_wire(response: Response) -> RespondResponse:
    """The answer for a pipeline's response."""
    released = response.decision.action in (Action.ALLOW, Action.REDACT)
    return RespondResponse(
        id=response.id,
        status="released" if released else "blocked",
        action=response.decision.action,
        model=response.model,
        output=OutputMessage(
            role="assistant",
            content=response.output.text,
            tool_calls=[
                ToolCall.model_validate(call.as_openai()) for call in response.output.tool_calls
            ],
            finish_reason=response.output.finish_reason,
        ),
        review=_review(response),
        context=[
            PassageOut(id=each.id, used=each.used, why=each.why, flagged=each.flagged)
            for each in response.passages
        ],
        policy=PolicyOut(
            name=response.policy.name,
            version=response.policy.version,
            digest=response.policy.digest,
        ),
        usage=_usages(response.rounds),
        timings_ms=dict(response.timings_ms),
        receipt=ReceiptOut(
            entry=response.receipt.entry_id,
            sequence=response.receipt.sequence,
            hash=response.receipt.hash,
            previous=response.receipt.previous,
        ),
    )


def _review(response: Response) -> ReviewOut:
    last, decision = response.rounds[-1], response.decision
    conscience, *others = decision.verdicts
    return ReviewOut(
        judge=conscience.status,
        risk=conscience.risk,
        label_mass=conscience.label_mass,
        calibrated=conscience.calibrated,
        fault=conscience.fault,
        framing=conscience.framing,
        classifier=_classifier(others[0], last.asked) if others else None,
        input=_input(response),
        categories=list(decision.categories),
        explanation=last.explanation.status if last.explanation else None,
        reasons=list(decision.reasons),
        rewrites=list(response.rewrites),
        masked=dict(response.output.masked),
        enforcement="full",
    )


def _classifier(verdict: Verdict, asked: tuple[AskReason, ...]) -> ClassifierOut:
    return ClassifierOut(
        name=verdict.judge,
        status=verdict.status,
        risk=verdict.risk,
        categories=list(verdict.categories),
        fault=verdict.fault,
        asked=list(asked),
    )


def _input(response: Response) -> InputOut | None:
    verdict = response.input
    if not response.has_input_stage:
        return None
    return InputOut(
        flagged=response.input_flagged,
        status=verdict.status if verdict else None,
        risk=verdict.risk if verdict else None,
    )


def _usages(rounds: tuple[Round, ...]) -> UsagesOut:
    generation = [each.candidate.usage for each in rounds]
    review = [verdict.usage for each in rounds for verdict in each.decision.verdicts]
    review += [each.explanation.usage for each in rounds if each.explanation]
    return UsagesOut(generation=_sum(generation), review=_sum(review))


def _sum(usages: list[Usage]) -> UsageOut:
    return UsageOut(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
    )
