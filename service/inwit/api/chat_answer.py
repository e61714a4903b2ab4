"""What `POST /v1/chat/completions` answers: OpenAI's shape, and one object `inwit` in it."""

from typing import Any, Literal

from pydantic import Field

from inwit.api.respond_answer import (
    EscalationOut,
    OutputMessage,
    PassageOut,
    PolicyOut,
    ReceiptOut,
    RespondResponse,
    Status,
    UsageOut,
    UsagesOut,
)
from inwit.api.respond_request import ToolCall
from inwit.api.review_answer import ReviewOut
from inwit.api.schemas import Wire, example
from inwit.types import Action

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ChatAnswerMessage(Wire):
    """The answer. `tool_calls` is left out where there are none."""

    role: Literal["assistant"] = Field(description="Always assistant.", examples=["assistant"])
    content: str | None = Field(
        description="The text; null where it was blocked or is held, or tools are called without.",
        examples=["The moon pulls the sea."],
    )
    refusal: str | None = Field(
        description="The policy's fallback text where the answer was blocked or is held.",
        examples=[None],
    )
    tool_calls: list[ToolCall] = Field(
        default_factory=list[ToolCall],
        description="Calls that you are to make, each permitted by the policy and reviewed.",
        examples=[[]],
    )


class Choice(Wire):
    """The one answer."""

    index: Literal[0] = Field(description="Always 0.", examples=[0])
    message: ChatAnswerMessage = Field(
        description="The answer.", examples=[example(ChatAnswerMessage)]
    )
    logprobs: None = Field(description="Always null.", examples=[None])
    finish_reason: FinishReason = Field(
        description="Why the text ends; content_filter where it was blocked or is held.",
        examples=["stop"],
    )


class CachedTokens(Wire):
    """Where prompt tokens came from."""

    cached_tokens: int = Field(
        description="Tokens read from the server's prefix cache, where it tells.", examples=[32]
    )


class ChatUsage(Wire):
    """Tokens of the generation; `inwit.usage` has those of the review too."""

    prompt_tokens: int = Field(description="Tokens read.", examples=[42])
    completion_tokens: int = Field(description="Tokens written.", examples=[180])
    total_tokens: int = Field(description="Both.", examples=[222])
    prompt_tokens_details: CachedTokens = Field(
        description="Of those read.", examples=[example(CachedTokens)]
    )


class Retract(Wire):
    """Text of a stream that is withdrawn again."""

    offset: int = Field(
        description="From where on, in Unicode code points of the joined content.", examples=[0]
    )
    replacement: str = Field(
        description="What stands there instead.", examples=["I can't help with that."]
    )


class InwitOut(Wire):
    """What was checked and decided, as in the answer of `POST /v1/respond`."""

    id: str = Field(
        description="Id of the response, for GET /v1/responses/{id}.", examples=["resp_5f0c"]
    )
    status: Status = Field(description="What became of it.", examples=["released"])
    action: Action = Field(description="What the policy decided.", examples=["allow"])
    review: ReviewOut = Field(description="What was checked.", examples=[example(ReviewOut)])
    policy: PolicyOut = Field(description="The policy that decided.", examples=[example(PolicyOut)])
    context: list[PassageOut] = Field(
        description="What became of your passages.", examples=[[example(PassageOut)]]
    )
    escalation: EscalationOut | None = Field(
        description="Where to ask again, where a person is to rule.", examples=[None]
    )
    usage: UsagesOut = Field(description="Tokens used.", examples=[example(UsagesOut)])
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage, and in total.", examples=[{"total": 845.1}]
    )
    receipt: ReceiptOut = Field(
        description="The entry in the ledger.", examples=[example(ReceiptOut)]
    )
    retract: Retract | None = Field(
        None,
        description="Only at the end of a stream of which text is withdrawn: do not show it.",
        examples=[None],
    )


class ChatCompletion(Wire):
    """What `POST /v1/chat/completions` answers."""

    id: str = Field(
        description="`chatcmpl-` and the id of the response.", examples=["chatcmpl-resp_5f0c"]
    )
    object: Literal["chat.completion"] = Field(
        description="Always chat.completion.", examples=["chat.completion"]
    )
    created: int = Field(description="When, in Unix seconds.", examples=[1_795_000_000])
    model: str = Field(description="The model that wrote it.", examples=["my-model"])
    system_fingerprint: None = Field(description="Always null.", examples=[None])
    choices: list[Choice] = Field(description="Always one.", examples=[[example(Choice)]])
    usage: ChatUsage = Field(description="Tokens of the generation.", examples=[example(ChatUsage)])
    inwit: InwitOut = Field(description="What was decided.", examples=[example(InwitOut)])


def completion(answer: RespondResponse, created: int) -> ChatCompletion:
    """The answer in OpenAI's shape; dump it without what is unset."""
    choice = Choice(
        index=0,
        message=_message(answer.output),
        logprobs=None,
        finish_reason=answer.output.finish_reason,
    )
    return ChatCompletion(
        id=completion_id(answer.id),
        object="chat.completion",
        created=created,
        model=answer.model,
        system_fingerprint=None,
        choices=[choice],
        usage=chat_usage(answer.usage.generation),
        inwit=inwit_out(answer),
    )


def completion_id(response_id: str) -> str:
    """OpenAI's kind of id; what follows `chatcmpl-` is the response's own."""
    return f"chatcmpl-{response_id}"


def chat_usage(usage: UsageOut) -> ChatUsage:
    """The tokens of a generation."""
    return ChatUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=CachedTokens(cached_tokens=usage.cached_tokens),
    )


def inwit_out(answer: RespondResponse, retract: Retract | None = None) -> InwitOut:
    """Inwit's own part; `retract` at the end of a stream of which text is withdrawn."""
    parts: dict[str, Any] = {
        name: getattr(answer, name) for name in InwitOut.model_fields if name != "retract"
    }
    if retract is not None:
        parts["retract"] = retract
    return InwitOut(**parts)


def _message(output: OutputMessage) -> ChatAnswerMessage:
    said = {"role": "assistant", "content": output.content, "refusal": None}
    if output.finish_reason == "content_filter":
        said |= {"content": None, "refusal": output.content}
    elif output.tool_calls:
        said |= {"content": output.content or None, "tool_calls": output.tool_calls}
    return ChatAnswerMessage.model_validate(said)
