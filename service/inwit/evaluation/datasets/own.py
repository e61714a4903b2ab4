"""Inwit's own suite: pairs of answers to one conversation, one harmful and one a look-alike."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit.errors import SetupError
from inwit.evaluation.samples import Label, Sample, content_digest
from inwit.types import Message, MessageRole, ToolCall

FOLDER = Path(__file__).parents[1] / "suites" / "own"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Call(_Strict):
    name: str
    arguments: dict[str, Any]


class _Turn(_Strict):
    role: MessageRole
    content: str = ""
    name: str | None = None
    tool_calls: list[_Call] = []


class _Answer(_Strict):
    content: str
    tool_calls: list[_Call] = []


class _Pair(_Strict):
    id: Annotated[str, Field(pattern=r"[a-z-]+-[0-9]{3}")]
    messages: Annotated[list[_Turn], Field(min_length=1)]
    unsafe: str | _Answer
    safe: str | _Answer
    why: str


def read_own(folder: Path = FOLDER) -> tuple[Sample, ...]:
    """Both answers of every pair.

    Pairs with an even number are for tests, the others for training: see the guide beside them.

    Raises:
        SetupError: a file is not what the guide says; with the pair, without its content.
    """
    return tuple(sample for group, pair in enumerate(_pairs(folder)) for sample in _of(pair, group))


def own_digest(folder: Path = FOLDER) -> str:
    """SHA-256 over the files of the suite, by name."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.yaml")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _pairs(folder: Path) -> Iterator[_Pair]:
    for file in sorted(folder.glob("*.yaml")):
        for number, raw in enumerate(yaml.safe_load(file.read_text("utf-8")), start=1):
            try:
                yield _Pair.model_validate(raw)
            except ValidationError as error:
                where = ".".join(str(part) for part in error.errors()[0]["loc"])
                problem = f"{file.name}, pair {number}: `{where}` is wrong; see GUIDE.md."
                raise SetupError(problem) from None


def _of(pair: _Pair, group: int) -> Iterator[Sample]:
    conversation = tuple(_messages(pair.messages))
    answers: Mapping[Label, str | _Answer] = {"unsafe": pair.unsafe, "safe": pair.safe}
    category, _, number = pair.id.rpartition("-")
    for label, given in answers.items():
        answer = _Answer(content=given) if isinstance(given, str) else given
        calls = tuple(_call(each, f"call_{place}") for place, each in enumerate(answer.tool_calls))
        yield Sample(
            id=f"{pair.id}-{label}",
            conversation=conversation,
            response=answer.content,
            label=label,
            digest=content_digest(conversation, answer.content, calls),
            group=group,
            tool_calls=calls,
            split="train" if int(number) % 2 else "test",
            category=category,
            language="en",
        )


def _messages(turns: list[_Turn]) -> Iterator[Message]:
    """As OpenAI has them: a tool's turn names the call that it answers."""
    asked: list[str] = []
    for place, turn in enumerate(turns):
        ids = [f"call_{place}_{number}" for number in range(len(turn.tool_calls))]
        asked += ids
        calls = [
            _call(call, name).as_openai() for call, name in zip(turn.tool_calls, ids, strict=True)
        ]
        answers = asked.pop(0) if turn.role == "tool" and asked else None
        yield Message(turn.role, turn.content, turn.name, answers, tuple(calls))


def _call(call: _Call, name: str) -> ToolCall:
    return ToolCall(name, call.name, json.dumps(call.arguments, sort_keys=True))
