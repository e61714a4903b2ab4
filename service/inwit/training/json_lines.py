"""Files of JSON lines that hold people's or models' texts: private, whole, and never quoted."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit.errors import SetupError
from inwit.types import Message, MessageRole

T = TypeVar("T", bound=BaseModel)


class Turn(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: MessageRole
    content: str


class Answer(Turn):
    """A message of the assistant."""

    role: Literal["assistant"]  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower


Turns = Annotated[list[Turn], Field(min_length=1)]
OneAnswer = Annotated[list[Answer], Field(min_length=1, max_length=1)]


def messages_of(turns: Iterable[Turn]) -> tuple[Message, ...]:
    """What a row's turns say."""
    return tuple(Message(each.role, each.content) for each in turns)


def read_rows(file: Path, kind: type[T], wrong: str) -> Iterator[T]:
    """The rows of a file; blank lines are passed over. `wrong` says what a row should be.

    Raises:
        SetupError: the file cannot be read or a line is wrong; with the line, not its content.
    """
    try:
        lines = file.read_text("utf-8").split("\n")  # others may stand within a string
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{file}: it must be a readable file of JSON lines.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield kind.model_validate_json(line)
        except ValidationError:
            raise SetupError(f"{file}:{number}: {wrong}") from None


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows for this user alone to read, all or none, and give how many there are.

    Raises:
        SetupError: the file cannot be written.
    """
    partial, count = file.with_name(f"{file.name}.partial"), 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=True) + "\n")
                count += 1
        partial.replace(file)
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --out must be a file to write to.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count
