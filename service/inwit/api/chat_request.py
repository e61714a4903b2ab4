"""What `POST /v1/chat/completions` takes: OpenAI's shape, and one object `inwit` beside it."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from inwit.api.chat_parameters import passed_on, refused
from inwit.api.respond_request import PassageIn, TextPart, ToolCall, ToolFunction
from inwit.api.schemas import Name, Wire, example
from inwit.errors import FieldError
from inwit.types import Call, ContextPassage, Message, Principal, Tool

_Object = dict[str, Any]
_Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Loose(Wire):
    """OpenAI's clients send null for what is not there."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: part for name, part in cast(_Object, value).items() if part is not None}
        return value


class RefusalPart(Wire):
    """One part of an earlier assistant turn that was refused."""

    type: Literal["refusal"] = Field(description="The kind of part.", examples=["refusal"])
    refusal: str = Field(description="What was said instead.", examples=["I can't help with that."])


def _text_part(value: Any) -> Any:
    if isinstance(value, dict) and cast(_Object, value).get("type") not in ("text", "refusal"):
        raise ValueError("Inwit reviews text only; send no images, audio or files")
    return cast(Any, value)


_Part = Annotated[
    Annotated[TextPart | RefusalPart, Field(discriminator="type")], BeforeValidator(_text_part)
]


def _kind_of_content(value: Any) -> str:
    return "(parts)" if isinstance(value, list) else "(text)"


_Content = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[_Part], Tag("(parts)")],
    Discriminator(_kind_of_content),
]


class ChatToolCall(ToolCall):
    """A tool call of an earlier assistant turn; `index` is what streams add."""

    index: int = Field(0, description="Its place in a stream; not used.", examples=[0])

    def to_domain(self) -> dict[str, Any]:
        """The call as it goes to the model."""
        return self.model_dump(exclude={"index"})


class LiteLLMFields(_Loose):
    """What LiteLLM adds to an assistant turn, and gives back with it; the rest is not used."""

    model_config = ConfigDict(extra="ignore")

    refusal: str | None = Field(
        default=None, description="What was said instead.", examples=["I can't help with that."]
    )


class ChatMessage(_Loose):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="Who speaks.", examples=["user"]
    )
    content: _Content | None = Field(
        None,
        description="What is said: a text, or a list of text parts.",
        examples=["How do tides work?"],
    )
    name: Name | None = Field(None, description="A name for the speaker.", examples=["ana"])
    tool_call_id: Name | None = Field(
        None, description="On a tool turn: the call that it answers.", examples=["call_1"]
    )
    tool_calls: list[ChatToolCall] | None = Field(
        None, description="On an assistant turn: the calls it made.", examples=[[example(ToolCall)]]
    )
    refusal: str | None = Field(
        None, description="On an assistant turn: what was said instead.", examples=[None]
    )
    annotations: list[Any] = Field(
        default_factory=list[Any], description="Not used.", examples=[[]]
    )
    provider_specific_fields: LiteLLMFields = Field(
        default_factory=LiteLLMFields,
        description="On an assistant turn: what LiteLLM added to it.",
        examples=[{"refusal": None}],
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        assistant = self.role == "assistant"
        if self.content is None and not (assistant and (self.tool_calls or self._refusal())):
            raise ValueError("content is missing or null")
        if self.role in ("system", "developer", "user") and not self._text().strip():
            raise ValueError("content is blank")
        if not assistant and (self.tool_calls is not None or self._refusal() is not None):
            raise ValueError("tool_calls and refusal belong on an assistant turn")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("tool_call_id belongs on a tool turn, and must be there")
        return self

    def to_domain(self) -> Message:
        """The domain's message; parts are joined as they stand."""
        calls = tuple(call.to_domain() for call in self.tool_calls or ())
        return Message(self.role, self._text(), self.name, self.tool_call_id, calls)

    def _refusal(self) -> str | None:
        return self.refusal or self.provider_specific_fields.refusal

    def _text(self) -> str:
        content = self.content or self._refusal() or ""
        if isinstance(content, str):
            return content
        return "".join(
            part.text if isinstance(part, TextPart) else part.refusal for part in content
        )


class ChatFunction(_Loose, ToolFunction):
    """The function of a tool that the model may call."""

    strict: bool = Field(
        False,
        description="Taken, and not passed on: the policy says what arguments must look like.",
        examples=[False],
    )


class ChatTool(Wire):
    """A tool that the model may call."""

    type: Literal["function"] = Field(description="Always function.", examples=["function"])
    function: ChatFunction = Field(description="The tool.", examples=[example(ToolFunction)])

    def to_domain(self) -> Tool:
        """The domain's tool."""
        function = self.function
        return Tool(function.name, function.description, function.parameters)


class StreamOptions(_Loose):
    """How the answer is streamed."""

    include_usage: bool = Field(
        default=False, description="Whether a last chunk tells the tokens used.", examples=[True]
    )
    include_obfuscation: Literal[False] = Field(
        default=False, description="Chunks are not padded.", examples=[False]
    )


class InwitPart(_Loose):
    """What `POST /v1/respond` takes beside OpenAI's shape."""

    policy: Name | None = Field(
        default=None,
        description="The policy to decide by; the API key's when missing.",
        examples=["default"],
    )
    context: Annotated[list[PassageIn], Field(max_length=64)] = Field(
        default_factory=list[PassageIn],
        description="Passages that you looked up; the model reads them as data.",
        examples=[[]],
    )
    conversation_id: _Id | None = Field(
        default=None,
        description="Opaque id of the conversation; kept with the content.",
        examples=["c-42"],
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        default=None,
        description="Longest time for generation and review together; can only shorten the "
        "gateway's.",
        examples=[20_000],
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({passage.id for passage in self.context}) < len(self.context):
            raise ValueError("two passages have the same id")
        return self


class ChatRequest(_Loose):
    """What `POST /v1/chat/completions` takes. Other fields go through to the model server, but
    for those that docs/openai.md lists as refused."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "model": "my-model",
                    "messages": [{"role": "user", "content": "How do tides work?"}],
                    "max_completion_tokens": 120,
                }
            ]
        },
    )

    model: Name = Field(description="The served model to use.", examples=["my-model"])
    messages: Annotated[list[ChatMessage], Field(min_length=1)] = Field(
        description="The conversation so far, oldest first.",
        examples=[[{"role": "user", "content": "How do tides work?"}]],
    )
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="Most tokens to generate; the gateway has a limit of its own.",
        examples=[200],
    )
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The same, by its older name; the newer one holds.", examples=[None]
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Randomness of the generation.", examples=[0.7]
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="Seed for the generation, where the server honours one.", examples=[7]
    )
    user: _Id | None = Field(
        None,
        description="Opaque id of the person who asked; kept with the content.",
        examples=["u-4711"],
    )
    safety_identifier: _Id | None = Field(
        None, description="The same, by its newer name; holds where both are.", examples=[None]
    )
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
        Field(max_length=16),
    ] = Field(
        default_factory=dict,
        description="Up to 16 pairs of your own, kept with the content.",
        examples=[{"product": "help-desk"}],
    )
    tools: Annotated[list[ChatTool], Field(max_length=128)] = Field(
        default_factory=list[ChatTool],
        description="Tools that the model may call; each must be permitted by the policy.",
        examples=[[]],
    )
    stream: bool = Field(
        False, description="Answer as server-sent events, in OpenAI's chunks.", examples=[False]
    )
    stream_options: StreamOptions = Field(
        default_factory=StreamOptions,
        description="With `stream`: what the stream holds.",
        examples=[example(StreamOptions)],
    )
    inwit: InwitPart = Field(
        default_factory=InwitPart, description="Inwit's own part.", examples=[example(InwitPart)]
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        return self

    def refused(self) -> tuple[FieldError, ...]:
        """The parameters set here that are not served, with what to do."""
        return refused(self.model_extra or {})

    def to_domain(self, principal: Principal, request_id: str) -> Call:
        """The domain's call."""
        return Call(
            principal=principal,
            messages=tuple(message.to_domain() for message in self.messages),
            policy=self.inwit.policy,
            model=self.model,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
            deadline_ms=self.inwit.deadline_ms,
            end_user=self.safety_identifier or self.user,
            conversation_id=self.inwit.conversation_id,
            metadata=self.metadata,
            tools=tuple(tool.to_domain() for tool in self.tools),
            context=tuple(
                ContextPassage(each.id, each.source, each.text) for each in self.inwit.context
            ),
            request_id=request_id,
            extra=passed_on(self.model_extra or {}),
        )
