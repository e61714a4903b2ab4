"""What `POST /v1/respond` answers."""

from typing import Literal

from pydantic import Field

from inwit.api.respond_request import ToolCall
from inwit.api.review_answer import ReviewOut, review_out
from inwit.api.schemas import Wire, example
from inwit.cases import RulingKind, Settled
from inwit.decisions import Receipt, Record, Response, Usages
from inwit.types import Action, Usage


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


class EscalationOut(Wire):
    """A response that a person is to rule on."""

    id: str = Field(description="Id of the escalation.", examples=["esc_5f0c"])
    state: Literal["pending", "resolved", "expired"] = Field(
        description="pending: nobody has ruled yet. resolved: a person did. expired: nobody did "
        "in time, so it is blocked.",
        examples=["pending"],
    )
    ruling: RulingKind | None = Field(None, description="What the person said.", examples=[None])
    poll: str = Field(description="Where to ask again.", examples=["/v1/responses/resp_5f0c"])
    until: str = Field(
        description="When it is settled at the latest, in ISO 8601.",
        examples=["2026-11-23T12:00:00+00:00"],
    )


Status = Literal["released", "blocked", "held"]


class RespondResponse(Wire):
    """What `POST /v1/respond` answers."""

    id: str = Field(description="Id of the response.", examples=["resp_5f0c"])
    status: Status = Field(description="What became of it.", examples=["released"])
    action: Action = Field(description="What the policy decided.", examples=["allow"])
    model: str = Field(description="The model that wrote the candidate.", examples=["my-model"])
    output: OutputMessage = Field(
        description="The text for the caller.", examples=[example(OutputMessage)]
    )
    review: ReviewOut = Field(description="What was checked.", examples=[example(ReviewOut)])
    context: list[PassageOut] = Field(description="What became of each passage.", examples=[[]])
    escalation: EscalationOut | None = Field(
        description="Where it waits for a person, and what became of that.", examples=[None]
    )
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
    record, settlement = response.record, response.settlement
    output = settlement.output if settlement else response.output
    return RespondResponse(
        id=record.origin.response_id,
        status=status_of(response),
        action=record.decision.action,
        model=record.origin.model,
        output=OutputMessage(
            role="assistant",
            content=output.text,
            tool_calls=[ToolCall.model_validate(call.as_openai()) for call in output.tool_calls],
            finish_reason=output.finish_reason,
        ),
        review=review_out(record),
        context=[
            PassageOut(id=each.id, used=each.used, why=each.why, flagged=each.flagged)
            for each in record.passages
        ],
        escalation=_escalation(response),
        policy=policy_out(record),
        usage=usages_out(record.usage),
        timings_ms=dict(response.timings_ms),
        receipt=receipt_out(response.receipt),
    )


def status_of(response: Response) -> Status:
    """What became of a response."""
    record = response.record
    if response.settlement is not None:
        return "released" if response.settlement.released else "blocked"
    if record.hold is not None:
        return "held"
    return "released" if record.decision.action in (Action.ALLOW, Action.REDACT) else "blocked"


def policy_out(record: Record) -> PolicyOut:
    """The policy of a recorded response."""
    policy = record.origin.policy
    return PolicyOut(name=policy.name, version=policy.version, digest=policy.digest)


def usages_out(usages: Usages) -> UsagesOut:
    """The tokens of a response."""
    return UsagesOut(generation=_usage(usages.generation), review=_usage(usages.review))


def receipt_out(receipt: Receipt) -> ReceiptOut:
    """Where a response is recorded."""
    return ReceiptOut(
        entry=receipt.entry_id,
        sequence=receipt.sequence,
        hash=receipt.hash,
        previous=receipt.previous,
    )


def _escalation(response: Response) -> EscalationOut | None:
    record, settlement = response.record, response.settlement
    if record.hold is None:
        return None
    state: Literal["pending", "resolved", "expired"] = "pending"
    if settlement is not None:
        state = "resolved" if settlement.ending is Settled.RULED else "expired"
    return EscalationOut(
        id=record.hold.id,
        state=state,
        ruling=settlement.ruling if settlement else None,
        poll=f"/v1/responses/{record.origin.response_id}",
        until=(record.time + record.hold.longest).isoformat(),
    )


def _usage(usage: Usage) -> UsageOut:
    return UsageOut(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
    )
