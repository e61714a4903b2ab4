"""What an OpenAI-compatible server answers to a chat, whole or streamed, as it is read here."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inwit.errors import UpstreamError
from inwit.types import Candidate, Draft, TokenScore, ToolCall, Usage

_MOST_CALLS = 128


class Lenient(BaseModel):
    """What servers send beside what is read here is let be."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Top(Lenient):
    token: str
    logprob: float


class _Position(Lenient):
    top_logprobs: tuple[_Top, ...] = ()


class _Logprobs(Lenient):
    content: tuple[_Position, ...] | None = None


class _Function(Lenient):
    name: Annotated[str, Field(max_length=128)]
    arguments: str


class _ToolCall(Lenient):
    id: Annotated[str, Field(max_length=128)]
    function: _Function


class _Answer(Lenient):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(Lenient):
    message: _Answer
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Cached(Lenient):
    cached_tokens: int | None = None


class _Usage(Lenient):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class Completion(Lenient):
    """A whole answer."""

    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class _FunctionPiece(Lenient):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(Lenient):
    index: Annotated[int, Field(ge=0, lt=_MOST_CALLS)] = 0
    id: str | None = None
    function: _FunctionPiece | None = None


class _Delta(Lenient):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_CallPiece, ...] | None = None


class _ChunkChoice(Lenient):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Lenient):
    choices: tuple[_ChunkChoice, ...] = ()
    usage: _Usage | None = None
    error: Any = None


COMPLETION = TypeAdapter(Completion)
_CHUNK = TypeAdapter(_Chunk)


class Gathered:
    """Puts a streamed answer together again, and tells a draft each piece as it comes."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, list[str]]] = {}
        self._finish_reason: str | None = None
        self._usage: _Usage | None = None

    def add(self, data: bytes, draft: Draft) -> None:
        """Take the data of one event.

        Raises:
            UpstreamError: it is malformed, or says that the server failed.
        """
        try:
            chunk = _CHUNK.validate_json(data)
        except ValidationError as error:
            raise UpstreamError("The model server's answer is malformed.") from error
        if chunk.error is not None:
            raise UpstreamError("The model server broke off its answer.")
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            if choice.index == 0:
                self._add(choice, chunk.usage, draft)

    def completion(self) -> Completion:
        """The answer as if it had come whole."""
        answer = _Answer(
            content="".join(self._text) if self._text else None,
            reasoning="".join(self._reasoning),
            tool_calls=tuple(_call(parts) for _, parts in sorted(self._calls.items())),
        )
        choice = _Choice(message=answer, finish_reason=self._finish_reason)
        return Completion(choices=(choice,), usage=self._usage)

    def _add(self, choice: _ChunkChoice, usage: _Usage | None, draft: Draft) -> None:
        self._finish_reason = choice.finish_reason or self._finish_reason
        delta = choice.delta
        if delta is None:
            return
        reasoning = delta.reasoning or delta.reasoning_content or ""
        if delta.content is not None:
            self._text.append(delta.content)
        self._reasoning.append(reasoning)
        for piece in delta.tool_calls or ():
            self._add_call(piece)
        draft.add(delta.content or "", reasoning, _counted(usage) if usage else None)

    def _add_call(self, piece: _CallPiece) -> None:
        parts = self._calls.setdefault(piece.index, {"id": [], "name": [], "arguments": []})
        function = piece.function or _FunctionPiece()
        for key, value in (
            ("id", piece.id),
            ("name", function.name),
            ("arguments", function.arguments),
        ):
            if value:
                parts[key].append(value)


def _call(parts: dict[str, list[str]]) -> _ToolCall:
    whole = {key: "".join(pieces) for key, pieces in parts.items()}
    try:
        return _ToolCall(
            id=whole["id"],
            function=_Function(name=whole["name"], arguments=whole["arguments"]),
        )
    except ValidationError as error:
        raise UpstreamError("The model server's answer is malformed.") from error


def candidate_of(completion: Completion, model: str) -> Candidate:
    """The candidate in an answer.

    Raises:
        UpstreamError: the answer was broken off, or holds nothing.
    """
    choice = completion.choices[0]
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    )
    if choice.message.content is None and not calls:
        raise UpstreamError("The model server gave no text, perhaps for want of max_tokens.")
    if choice.finish_reason not in ("stop", "length", "tool_calls"):
        # vLLM also says abort, error and repetition: what is there is no finished answer.
        raise UpstreamError("The model server broke off its answer.")
    if calls and choice.finish_reason == "length":
        raise UpstreamError("The model server broke off a tool call for want of max_tokens.")
    return Candidate(
        text=choice.message.content or "",
        reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
        model=model,
        finish_reason=choice.finish_reason,
        usage=usage_of(completion),
        tool_calls=calls,
    )


def top_of(completion: Completion) -> tuple[TokenScore, ...]:
    """The most likely tokens at the answer's first place; none where the server gives none."""
    logprobs = completion.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        return ()
    return tuple(TokenScore(top.token, top.logprob) for top in logprobs.content[0].top_logprobs)


def usage_of(completion: Completion) -> Usage:
    """The tokens of an answer; zeros where the server does not tell."""
    return _counted(completion.usage) if completion.usage else Usage()


def _counted(usage: _Usage) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        (details.cached_tokens or 0) if details else 0,
    )
