"""What `POST /v1/respond` takes."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from inwit.api.schemas import Name, Text, Wire, example
from inwit.types import Call, ContextPassage, Message, Principal, Tool


class TextPart(Wire):
    """One part of a message's content. Inwit takes text parts only."""

    type: Literal["text"] = Field(description="The kind of part.", examples=["text"])
    text: Text = Field(description="The text itself.", examples=["How do tides work?"])


class FunctionCall(Wire):
    """The function of a tool call."""

    name: Name = Field(description="Its name.", examples=["look_up_order"])
    arguments: str = Field(description="Its arguments, as JSON text.", examples=['{"id": 7}'])


class ToolCall(Wire):
    """A tool call that an assistant made earlier in the conversation."""

    id: Name = Field(description="Its id, which the tool turn repeats.", examples=["call_1"])
    type: Literal["function"] = Field(description="Always function.", examples=["function"])
    function: FunctionCall = Field(
        description="What was called.", examples=[{"name": "look_up_order", "arguments": "{}"}]
    )


def _kind_of_content(value: Any) -> str:
    return "(parts)" if isinstance(value, list) else "(text)"


_Content = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextPart], Field(min_length=1), Tag("(parts)")],
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
    name: Name | None = Field(None, description="A name for the speaker.", examples=["ana"])
    tool_call_id: Name | None = Field(
        None, description="On a tool turn: the call that it answers.", examples=["call_1"]
    )
    tool_calls: list[ToolCall] | None = Field(
        None,
        description="On an assistant turn: the calls it made, in OpenAI's shape.",
        examples=[[example(ToolCall)]],
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


class ToolFunction(Wire):
    """The function of a tool that the model may call."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Its name.", examples=["look_up_order"]
    )
    description: Annotated[str, Field(max_length=4000)] = Field(
        "", description="What it does, for the model.", examples=["Finds an order by its number."]
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="JSON Schema of its arguments, for the model.",
        examples=[{"type": "object", "properties": {"id": {"type": "integer"}}}],
    )


class ToolOffer(Wire):
    """A tool that the model may call, in OpenAI's shape."""

    type: Literal["function"] = Field(description="Always function.", examples=["function"])
    function: ToolFunction = Field(description="The tool.", examples=[example(ToolFunction)])

    def to_domain(self) -> Tool:
        """The domain's tool."""
        function = self.function
        return Tool(function.name, function.description, function.parameters)


class PassageIn(Wire):
    """A passage that you looked up."""

    id: Name = Field(description="Your id for it; the answer names it again.", examples=["p1"])
    source: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Where it comes from; the policy lists what is permitted.",
        examples=["wiki/tides"],
    )
    text: Text = Field(description="Its text.", examples=["The moon pulls the sea."])


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
    policy: Name | None = Field(
        None,
        description="The policy to decide by; the API key's when missing.",
        examples=["default"],
    )
    model: Name | None = Field(
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
    tools: Annotated[list[ToolOffer], Field(max_length=128)] = Field(
        default_factory=list[ToolOffer],
        description="Tools that the model may call; each must be permitted by the policy.",
        examples=[[]],
    )
    context: Annotated[list[PassageIn], Field(max_length=64)] = Field(
        default_factory=list[PassageIn],
        description="Passages that you looked up; the model reads them as data. The policy says "
        "from which sources they may come.",
        examples=[[]],
    )
    stream: bool = Field(
        False,
        description="Answer as server-sent events (docs/streaming.md). What may leave before the "
        "decision is the policy's to say.",
        examples=[False],
    )
    callback_url: str | None = Field(
        None,
        description="Where to send the outcome, should a person have to rule; a host that your "
        "API key allows (docs/webhooks.md).",
        max_length=2048,
        examples=[None],
    )
    wait_ms: Annotated[int, Field(ge=0, le=300_000)] = Field(
        0,
        description="Milliseconds to wait in line, should a person have to rule, before the "
        "answer is `held`.",
        examples=[0],
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        if len({passage.id for passage in self.context}) < len(self.context):
            raise ValueError("two passages have the same id")
        return self

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
            tools=tuple(tool.to_domain() for tool in self.tools),
            context=tuple(
                ContextPassage(passage.id, passage.source, passage.text) for passage in self.context
            ),
            request_id=request_id,
            waits_s=self.wait_ms / 1000,
            callback_url=self.callback_url,
        )
