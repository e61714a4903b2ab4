"""What LiteLLM sends to its generic guardrail. Read leniently: its versions differ."""

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from inwit.api.schemas import Name, Wire
from inwit.types import Call, Candidate, Message, MessageRole, Principal, Tool, ToolCall

_ROLES: Mapping[str, MessageRole] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_UNKNOWN = "(What the answer is about is not known.)"
_KEPT = 256  # characters of an id


class GuardrailParams(Wire):
    """The guardrail's `additional_provider_specific_params`."""

    policy: Name | None = Field(
        None, description="The policy to decide by; the API key's when missing.", examples=[None]
    )


class GuardrailRequest(BaseModel):
    """What LiteLLM sends: before its call (`request`), or with the model's answer (`response`)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input_type: Literal["request", "response"] = Field(
        description="Whose text it is: the caller's, or the model's.", examples=["response"]
    )
    texts: list[str] | None = Field(
        None,
        description="The texts; of an answer, one for each choice.",
        examples=[["The moon pulls the sea."]],
    )
    structured_messages: list[Any] | None = Field(
        None, description="The conversation; LiteLLM sends it with a request only.", examples=[None]
    )
    tools: list[Any] | None = Field(
        None, description="The tools that the model is offered.", examples=[None]
    )
    tool_calls: list[Any] | None = Field(
        None, description="The calls that the answer asks for.", examples=[None]
    )
    images: list[Any] | None = Field(
        None, description="Images. In an answer they block it: nobody reviews them.", examples=[[]]
    )
    additional_provider_specific_params: GuardrailParams | None = Field(
        None, description="What the guardrail's settings in LiteLLM say.", examples=[None]
    )
    request_data: dict[str, Any] | None = Field(
        None, description="Who calls LiteLLM, by its own ids.", examples=[{}]
    )
    litellm_call_id: str | None = Field(
        None, description="The same for a request and its answer.", examples=["1ee61eb4"]
    )
    litellm_trace_id: str | None = Field(
        None, description="The same for calls that belong together.", examples=["d257ad3b"]
    )
    litellm_version: str | None = Field(
        None, description="The version of LiteLLM.", examples=["1.109.1"]
    )

    @property
    def policy(self) -> str | None:
        """The policy that was asked for."""
        params = self.additional_provider_specific_params
        return params.policy if params else None

    @property
    def caller_key(self) -> str:
        """LiteLLM's own key for its caller, as a hash; empty where it has none."""
        return self._caller("user_api_key_hash")

    def conversation(self) -> tuple[Message, ...]:
        """The conversation as it was sent; of a request, else its texts as a user's."""
        rows = map(_message, self.structured_messages or [])
        said = tuple(row for row in rows if row.content.strip() or row.tool_calls)
        if said or self.input_type == "response":
            return said
        return tuple(Message("user", text) for text in self.texts or [] if text.strip())

    def tool_names(self) -> frozenset[str]:
        """The tools that were offered by name; those of other kinds than functions by type."""
        return frozenset(_tool_name(_mapping(each)) for each in self.tools or [])

    def candidates(self) -> tuple[Candidate, ...]:
        """The answer's texts in order, the only one with the tool calls.

        Where the choices are several the calls come last, as a candidate of their own: LiteLLM
        does not say to which choice they belong.
        """
        texts = self.texts or []
        calls = tuple(_call(_mapping(each)) for each in self.tool_calls or [])
        if not calls:
            return tuple(Candidate(text, "") for text in texts)
        if len(texts) <= 1:
            return (_calling("".join(texts), calls),)
        return (*(Candidate(text, "") for text in texts), _calling("", calls))

    def call(
        self,
        principal: Principal,
        request_id: str,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
    ) -> Call:
        """The domain's call, about these messages."""
        ids = {"litellm_call_id": self.litellm_call_id, "litellm_version": self.litellm_version}
        return Call(
            principal=principal,
            messages=messages or (Message("user", _UNKNOWN),),
            policy=self.policy,
            end_user=self._caller("user_api_key_end_user_id") or None,
            conversation_id=(self.litellm_trace_id or "")[:_KEPT] or None,
            metadata={name: value[:_KEPT] for name, value in ids.items() if value},
            tools=tools,
            request_id=request_id,
        )

    def _caller(self, name: str) -> str:
        return str((self.request_data or {}).get(name) or "")[:_KEPT]


def _calling(text: str, calls: tuple[ToolCall, ...]) -> Candidate:
    return Candidate(text, "", finish_reason="tool_calls", tool_calls=calls)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _message(value: object) -> Message:
    row = _mapping(value)
    role = _ROLES.get(str(row.get("role")), "user")
    calls = row.get("tool_calls") if role == "assistant" else None
    answered = str(row.get("tool_call_id") or "") if role == "tool" else None
    return Message(role, _text(row.get("content")), None, answered, _calls(calls))


def _calls(value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_call(_mapping(each)).as_openai() for each in cast("list[object]", value))


def _text(content: object) -> str:
    """The text of a message; what is no text is named, so that a judge knows that it was there."""
    if isinstance(content, str):
        return content
    parts = cast("list[object]", content) if isinstance(content, list) else []
    return "\n".join(_part(part) for part in parts)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    row = _mapping(part)
    text = row.get("text")
    return text if isinstance(text, str) else f"({row.get('type', 'something')}, not shown)"


def _tool_name(tool: Mapping[str, Any]) -> str:
    return str(_mapping(tool.get("function")).get("name") or tool.get("type") or "")


def _call(value: Mapping[str, Any]) -> ToolCall:
    function = _mapping(value.get("function"))
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(
        str(value.get("id") or ""),
        str(function.get("name") or ""),
        "" if arguments is None else text,
    )
