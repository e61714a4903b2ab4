"""Pairs of answers, the wanted one and the unwanted one, as JSON lines that TRL reads too."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit.errors import SetupError
from inwit.types import Message, MessageRole


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation with the answer to prefer and the one to avoid. `origin` says where from."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    origin: str

    def as_preference(self) -> dict[str, Any]:
        """In TRL's conversational shape."""
        return {
            "prompt": [each.as_openai() for each in self.messages],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
        }


class _Turn(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    role: MessageRole
    content: str


class _Answer(_Turn):
    role: Literal["assistant"]  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower


_Answers = Annotated[list[_Answer], Field(min_length=1, max_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: Annotated[list[_Turn], Field(min_length=1)]
    chosen: _Answers
    rejected: _Answers
    origin: str = ""


def write_pairs(file: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs for this user alone to read, all or none, and give how many there are.

    Raises:
        SetupError: the file cannot be written.
    """
    partial, count = file.with_name(f"{file.name}.partial"), 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as lines:
            for pair in pairs:
                row = pair.as_preference() | {"origin": pair.origin}
                lines.write(json.dumps(row, ensure_ascii=True) + "\n")
                count += 1
        partial.replace(file)
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --out must be a file to write to.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def read_pairs(file: Path) -> list[Pair]:
    """Read pairs.

    Raises:
        SetupError: the file cannot be read or a line is wrong; with the line, not its content.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{file}: it must be a readable file of JSON lines.") from error
    return list(_parsed(lines, file))


def _parsed(lines: Iterable[str], file: Path) -> Iterator[Pair]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate_json(line)
        except ValidationError:
            raise SetupError(
                f"{file}:{number}: not a pair: `prompt`, `chosen` and `rejected` are lists of "
                "messages, the last two of one assistant message each."
            ) from None
        turns = tuple(Message(each.role, each.content) for each in row.prompt)
        yield Pair(turns, row.chosen[0].content, row.rejected[0].content, row.origin)
