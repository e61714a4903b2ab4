"""What an OpenAI-compatible server answers to a chat, whole or streamed, as it is read here."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inwit.errors import UpstreamError
from inwit.types import Candidate, Draft, TokenScore, ToolCall, Usage

_MOST_CALLS = 128
_LONGEST_STREAM = 8 * 2**20  # code points of all that a streamed answer says


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


class _Words(Lenient):
    """What a model says, whole or a piece of it. A refusal is said too."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        return (self.content or "") + (self.refusal or "")

    @property
    def thought(self) -> str:
        return self.reasoning or self.reasoning_content or ""


class _Answer(_Words):
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


class _Delta(_Words):
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
        self._silent = True  # not even an empty text has come
        self._length = 0

    def add(self, data: bytes, draft: Draft) -> None:
        """Take the data of one event.

        Raises:
            UpstreamError: it is malformed, too much, or says that the server failed.
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
            content=None if self._silent else "".join(self._text),
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
        if delta.content is not None or delta.refusal is not None:
            self._silent = False
        self._keep(self._text, delta.text)
        self._keep(self._reasoning, delta.thought)
        for piece in delta.tool_calls or ():
            self._add_call(piece)
        draft.add(delta.text, delta.thought, _counted(usage) if usage else None)

    def _add_call(self, piece: _CallPiece) -> None:
        parts = self._calls.setdefault(piece.index, {"id": [], "name": [], "arguments": []})
        function = piece.function or _FunctionPiece()
        if not parts["id"]:  # some servers say it again in every piece
            self._keep(parts["id"], piece.id or "")
        self._keep(parts["name"], function.name or "")
        self._keep(parts["arguments"], function.arguments or "")

    def _keep(self, pieces: list[str], piece: str) -> None:
        self._length += len(piece)
        if self._length > _LONGEST_STREAM:
            raise UpstreamError("The model server's answer is too large.")
        if piece:
            pieces.append(piece)


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
    said = choice.message
    # Servers differ on whether a model that only thought, and got no further, said "" or null.
    silent = (said.content is None and said.refusal is None) or (said.thought and not said.text)
    if silent and not calls:
        raise UpstreamError("The model server gave no text, perhaps for want of max_tokens.")
    if choice.finish_reason not in ("stop", "length", "tool_calls"):
        # vLLM also says abort, error and repetition: what is there is no finished answer.
        raise UpstreamError("The model server broke off its answer.")
    if calls and choice.finish_reason == "length":
        raise UpstreamError("The model server broke off a tool call for want of max_tokens.")
    return Candidate(
        text=said.text,
        reasoning=said.thought,
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
