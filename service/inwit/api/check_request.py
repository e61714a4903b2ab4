"""What `POST /v1/check` takes."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from inwit.api.respond_request import MessageIn, PassageIn, ToolCall, ToolOffer
from inwit.api.schemas import Name, Text, Wire, example
from inwit.types import Call, Candidate, ContextPassage, Principal
from inwit.types import ToolCall as Called

_LEFT_OUT = "Text that Inwit would not review here; must be null or missing."


class CandidateMessage(Wire):
    """What a model answered, as an assistant message in OpenAI's shape."""

    role: Literal["assistant"] = Field(description="Always assistant.", examples=["assistant"])
    content: str | None = Field(
        None,
        description="Its text. May be missing only where there are tool calls.",
        examples=["The moon pulls the sea."],
    )
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = Field(
        None, description="The calls that it asks for.", examples=[[example(ToolCall)]]
    )
    reasoning_content: str | None = Field(
        None,
        description="Its reasoning. Reviewed with the text, and never in the answer.",
        examples=[None],
    )
    reasoning: str | None = Field(
        None, description="Another name for `reasoning_content`; send one.", examples=[None]
    )
    refusal: None = Field(None, description=_LEFT_OUT, examples=[None])
    audio: None = Field(None, description=_LEFT_OUT, examples=[None])
    function_call: None = Field(None, description=_LEFT_OUT, examples=[None])
    annotations: Annotated[list[Any], Field(max_length=0)] | None = Field(
        None, description="Must be empty or missing.", examples=[[]]
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.content and not self.tool_calls:
            raise ValueError("content is missing or empty, and there are no tool calls")
        if self.reasoning and self.reasoning_content:
            raise ValueError("send reasoning or reasoning_content, not both")
        return self

    def to_domain(self) -> Candidate:
        """The domain's candidate; the pipeline names the model that judges it."""
        calls = tuple(
            Called(call.id, call.function.name, call.function.arguments)
            for call in self.tool_calls or ()
        )
        return Candidate(
            self.content or "",
            "",
            self.reasoning_content or self.reasoning or "",
            "tool_calls" if calls else "stop",
            tool_calls=calls,
        )


def _kind_of_candidate(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(message)"


_Candidate = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[CandidateMessage, Tag("(message)")],
    Discriminator(_kind_of_candidate),
]


class CheckRequest(Wire):
    """What `POST /v1/check` takes: one `candidate`, or several `candidates`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [{"role": "user", "content": "How do tides work?"}],
                    "candidate": "The moon pulls the sea.",
                }
            ]
        }
    )

    messages: Annotated[list[MessageIn], Field(min_length=1)] = Field(
        description="The conversation that the candidate answers, oldest first.",
        examples=[[{"role": "user", "content": "How do tides work?"}]],
    )
    candidate: _Candidate | None = Field(
        None,
        description="What your model answered: a text, or an assistant message.",
        examples=["The moon pulls the sea."],
    )
    candidates: Annotated[list[_Candidate], Field(min_length=1, max_length=64)] | None = Field(
        None,
        validate_default=True,
        description="Several answers to the same messages, in place of `candidate`. Each is "
        "checked and recorded by itself; `results` are in their order.",
        examples=[["The moon pulls the sea.", "The wind does it."]],
    )
    mode: Literal["review", "rewrite"] = Field(
        "review",
        description="rewrite: where the policy says so, the gateway's model writes the candidate "
        "anew, and `output` is the reviewed rewrite.",
        examples=["review"],
    )
    policy: Name | None = Field(
        None,
        description="The policy to decide by; the API key's when missing.",
        examples=["default"],
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        None,
        description="Longest time for all of it, in milliseconds; can only shorten the "
        "gateway's. Recording comes on top.",
        examples=[20_000],
    )
    tools: Annotated[list[ToolOffer], Field(max_length=128)] = Field(
        default_factory=list[ToolOffer],
        description="The tools that your model was offered; a candidate may call no others.",
        examples=[[]],
    )
    context: Annotated[list[PassageIn], Field(max_length=64)] = Field(
        default_factory=list[PassageIn],
        description="The passages that your model was given; the judges read them as data.",
        examples=[[]],
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

    @field_validator("candidates")
    @classmethod
    def _one_of_two(cls, value: object, info: ValidationInfo) -> object:
        if "candidate" in info.data and (info.data["candidate"] is None) == (value is None):
            raise ValueError("send either `candidate` or `candidates`")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        if len({passage.id for passage in self.context}) < len(self.context):
            raise ValueError("two passages have the same id")
        return self

    def to_domain(self, principal: Principal, request_id: str) -> Call:
        """The domain's call: what the candidates answer."""
        return Call(
            principal=principal,
            messages=tuple(message.to_domain() for message in self.messages),
            policy=self.policy,
            deadline_ms=self.deadline_ms,
            end_user=self.end_user,
            conversation_id=self.conversation_id,
            metadata=self.metadata,
            tools=tuple(tool.to_domain() for tool in self.tools),
            context=tuple(
                ContextPassage(passage.id, passage.source, passage.text) for passage in self.context
            ),
            request_id=request_id,
        )

    def brought(self) -> tuple[Candidate, ...]:
        """The domain's candidates, in their order."""
        given = self.candidates if self.candidates is not None else [self.candidate]
        return tuple(
            Candidate(each, "") if isinstance(each, str) else each.to_domain()
            for each in given
            if each is not None
        )
