"""The wire: what callers send and get. Converted to domain values at this edge, nowhere else."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from inwit.types import Action, Call, Framing, Message, Principal, Response, ReviewStatus, Usage

_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class Wire(BaseModel):
    """What every wire type has in common: no unknown fields, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _example(model: type[BaseModel]) -> dict[str, Any]:
    """An example of a whole object, from the examples of its fields."""
    return {name: (field.examples or [None])[0] for name, field in model.model_fields.items()}


class TextPart(Wire):
    """One part of a message's content. Inwit takes text parts only."""

    type: Literal["text"] = Field(description="The kind of part.", examples=["text"])
    text: _Text = Field(description="The text itself.", examples=["How do tides work?"])


class FunctionCall(Wire):
    """The function of a tool call."""

    name: _Name = Field(description="Its name.", examples=["look_up_order"])
    arguments: str = Field(description="Its arguments, as JSON text.", examples=['{"id": 7}'])


class ToolCall(Wire):
    """A tool call that an assistant made earlier in the conversation."""

    id: _Name = Field(description="Its id, which the tool turn repeats.", examples=["call_1"])
    type: Literal["function"] = Field(description="Always function.", examples=["function"])
    function: FunctionCall = Field(
        description="What was called.", examples=[{"name": "look_up_order", "arguments": "{}"}]
    )


def _kind_of_content(value: Any) -> str:
    return "(parts)" if isinstance(value, list) else "(text)"


_Content = Annotated[
    Annotated[_Text, Tag("(text)")]
    | Annotated[list[TextPart], Field(min_length=1), Tag("(parts)")],
    Discriminator(_kind_of_content),
]


class MessageIn(Wire):
    """One turn of the conversation, in OpenAI's shape."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="Who speaks.", examples=["user"]
    )
    content: _Content | None = Field(
        None,
        description="What is said: a text, or a list of text parts. May be missing only on an "
        "assistant turn with tool calls.",
        examples=["How do tides work?"],
    )
    name: _Name | None = Field(None, description="A name for the speaker.", examples=["ana"])
    tool_call_id: _Name | None = Field(
        None, description="On a tool turn: the call that it answers.", examples=["call_1"]
    )
    tool_calls: list[ToolCall] | None = Field(
        None,
        description="On an assistant turn: the calls it made, in OpenAI's shape.",
        examples=[[_example(ToolCall)]],
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is missing or null")
        if self.content is not None and not self._text().strip():
            raise ValueError("content is blank")
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError("tool_calls belongs on an assistant turn")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("tool_call_id belongs on a tool turn, and must be there")
        return self

    def to_domain(self) -> Message:
        """The domain's message; parts are joined as they stand."""
        calls = tuple(call.model_dump() for call in self.tool_calls or ())
        return Message(self.role, self._text(), self.name, self.tool_call_id, calls)

    def _text(self) -> str:
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class RespondRequest(Wire):
    """What `POST /v1/respond` takes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [{"role": "user", "content": "How do tides work?"}],
                    "max_tokens": 120,
                    "temperature": 0,
                }
            ]
        }
    )

    messages: Annotated[list[MessageIn], Field(min_length=1)] = Field(
        description="The conversation so far, oldest first.",
        examples=[[{"role": "user", "content": "How do tides work?"}]],
    )
    policy: _Name | None = Field(
        None,
        description="The policy to decide by; the API key's when missing.",
        examples=["default"],
    )
    model: _Name | None = Field(
        None,
        description="The served model to use; the gateway's when missing.",
        examples=["my-model"],
    )
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="Most tokens to generate; the gateway has a limit of its own.",
        examples=[200],
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None,
        description="Randomness of the generation; the model's default when missing.",
        examples=[0.7],
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Seed for the generation, where the server honours one.", examples=[7]
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        None,
        description="Longest time for generation and review together, in milliseconds; can only "
        "shorten the gateway's. Recording comes on top.",
        examples=[20_000],
    )
    end_user: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None,
        description="Opaque id of the person who asked; kept with the content.",
        examples=["u-4711"],
    )
    conversation_id: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="Opaque id of the conversation; kept with the content.", examples=["c-42"]
    )
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
        Field(max_length=16),
    ] = Field(
        default_factory=dict,
        description="Up to 16 pairs of your own, kept with the content.",
        examples=[{"product": "help-desk"}],
    )
    stream: bool = Field(
        False,
        description="Answer as server-sent events. Not yet: true answers 501.",
        examples=[False],
    )
    tools: list[dict[str, Any]] | None = Field(
        None,
        description="Tools for the model. Not yet: anything but an empty list answers 501.",
        examples=[[]],
    )
    context: list[dict[str, Any]] | None = Field(
        None,
        description="Retrieved passages. Not yet: anything but an empty list answers 501.",
        examples=[[]],
    )
    callback_url: str | None = Field(
        None,
        description="Where to send a held response's outcome. Not yet: any value answers 501.",
        examples=[None],
    )

    def not_supported(self) -> list[str]:
        """The fields set here that this version does not serve."""
        later = {
            "stream": self.stream,
            "tools": self.tools,
            "context": self.context,
            "callback_url": self.callback_url,
        }
        return [name for name, value in later.items() if value]

    def to_domain(self, principal: Principal, request_id: str) -> Call:
        """The domain's call."""
        return Call(
            principal=principal,
            messages=tuple(message.to_domain() for message in self.messages),
            policy=self.policy,
            model=self.model,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
            deadline_ms=self.deadline_ms,
            end_user=self.end_user,
            conversation_id=self.conversation_id,
            metadata=self.metadata,
            request_id=request_id,
        )


class OutputMessage(Wire):
    """The text for the caller: the candidate where it was released, else the fallback text."""

    role: Literal["assistant"] = Field(
        "assistant", description="Always assistant.", examples=["assistant"]
    )
    content: str = Field(description="The text.", examples=["The moon pulls the sea."])
    tool_calls: list[dict[str, Any]] = Field(
        default_factory=list[dict[str, Any]],
        description="Always empty in this version.",
        examples=[[]],
    )
    finish_reason: Literal["stop", "length", "content_filter"] = Field(
        description="Why the text ends: by itself, at max_tokens, or because it was blocked.",
        examples=["stop"],
    )


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
    fault: str | None = Field(description="Why there is no judgement, if so.", examples=[None])
    framing: Framing | None = Field(
        description="How the conscience was shown the candidate.", examples=["same_thread"]
    )
    classifier: None = Field(
        None,
        description="The independent classifier's verdict: null, none is asked yet.",
        examples=[None],
    )
    categories: list[str] = Field(
        default_factory=list[str],
        description="Categories of harm found; empty in this version.",
        examples=[[]],
    )
    reasons: list[str] = Field(
        description="Why the action is what it is.", examples=[["risk_below_lower_threshold"]]
    )
    rewrites: int = Field(0, description="Rounds of rewriting; 0 in this version.", examples=[0])
    enforcement: Literal["full", "windowed", "audit_only"] = Field(
        "full",
        description="When the policy acts. full: on the whole candidate, before any of it leaves.",
        examples=["full"],
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
        description="Writing the candidate.", examples=[_example(UsageOut)]
    )
    review: UsageOut = Field(description="Judging it.", examples=[_example(UsageOut)])


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
        description="The text for the caller.", examples=[_example(OutputMessage)]
    )
    review: ReviewOut = Field(description="What was checked.", examples=[_example(ReviewOut)])
    policy: PolicyOut = Field(
        description="The policy that decided.", examples=[_example(PolicyOut)]
    )
    usage: UsagesOut = Field(description="Tokens used.", examples=[_example(UsagesOut)])
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage, and in total.",
        examples=[{"generate": 812.4, "judge": 31.0, "record": 1.2, "total": 845.1}],
    )
    receipt: ReceiptOut = Field(
        description="The entry in the ledger.", examples=[_example(ReceiptOut)]
    )


def to_wire(response: Response) -> RespondResponse:
    """The answer for a pipeline's response."""
    verdict = response.decision.verdicts[0]
    return RespondResponse(
        id=response.id,
        status="released" if response.decision.action is Action.ALLOW else "blocked",
        action=response.decision.action,
        model=response.model,
        output=OutputMessage(
            role="assistant", content=response.output, finish_reason=response.finish_reason
        ),
        review=ReviewOut(
            judge=verdict.status,
            risk=verdict.risk,
            label_mass=verdict.label_mass,
            calibrated=verdict.calibrated,
            fault=verdict.fault,
            framing=verdict.framing,
            classifier=None,
            reasons=list(response.decision.reasons),
            rewrites=0,
            enforcement="full",
        ),
        policy=PolicyOut(
            name=response.policy.name,
            version=response.policy.version,
            digest=response.policy.digest,
        ),
        usage=UsagesOut(generation=_usage(response.candidate_usage), review=_usage(verdict.usage)),
        timings_ms=dict(response.timings_ms),
        receipt=ReceiptOut(
            entry=response.receipt.entry_id,
            sequence=response.receipt.sequence,
            hash=response.receipt.hash,
            previous=response.receipt.previous,
        ),
    )


def _usage(usage: Usage) -> UsageOut:
    return UsageOut(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
    )
