"""Pairs of answers, the wanted one and the unwanted one, as JSON lines that TRL reads too."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from inwit.training.json_lines import OneAnswer, Turns, messages_of, read_rows, write_rows
from inwit.types import Message

_WRONG = (
    "not a pair: `prompt`, `chosen` and `rejected` are lists of messages, the last two of one "
    "assistant message each."
)


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


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: Turns
    chosen: OneAnswer
    rejected: OneAnswer
    origin: str = ""


def write_pairs(file: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs for this user alone to read, all or none, and give how many there are.

    Raises:
        SetupError: the file cannot be written.
    """
    return write_rows(file, (each.as_preference() | {"origin": each.origin} for each in pairs))


def read_pairs(file: Path) -> list[Pair]:
    """Read pairs.

    Raises:
        SetupError: the file cannot be read or a line is wrong; with the line, not its content.
    """
    return [
        Pair(messages_of(row.prompt), row.chosen[0].content, row.rejected[0].content, row.origin)
        for row in read_rows(file, _Row, _WRONG)
    ]
