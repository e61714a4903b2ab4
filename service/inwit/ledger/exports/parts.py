"""Parts: what one batch of an export writes, each into files that are put in their place whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inwit.ledger.exports.leaves import Leaf

Lines = Callable[[Leaf], bytes | None]


@dataclass(frozen=True, slots=True)
class File:
    """A file on its way to its name."""

    name: str
    path: Path


class Part(Protocol):
    """Takes the leaves of one batch, in order."""

    rows: int

    def add(self, leaf: Leaf) -> None:
        """Write what this form has of a leaf; some have nothing of some."""
        ...

    def files(self) -> list[File]:
        """Finish, and give the files; none where nothing was written."""
        ...

    def close(self) -> None:
        """Let go of open files, finished or not."""
        ...


def part_name(first: int, last: int) -> str:
    """The same for the same places, and in the order of the log."""
    return f"part-{first:012}-{last:012}"


class LinesPart:
    """One file of lines, of all forms but Parquet."""

    def __init__(self, name: str, scratch: Path, lines: Lines) -> None:
        self.rows = 0
        self._file = File(f"{name}.jsonl", scratch / "lines")
        self._out = self._file.path.open("wb")
        self._lines = lines

    def add(self, leaf: Leaf) -> None:
        """See `Part.add`."""
        line = self._lines(leaf)
        if line is not None:
            self._out.write(line + b"\n")
            self.rows += 1

    def files(self) -> list[File]:
        """See `Part.files`."""
        self._out.close()
        return [self._file] if self.rows else []

    def close(self) -> None:
        """See `Part.close`."""
        self._out.close()
