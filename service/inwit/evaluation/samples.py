"""Labelled samples: JSON lines in, checked values out. What a sample says is never repeated."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inwit.errors import SetupError
from inwit.types import Message, MessageRole

Label = Literal["safe", "unsafe"]

_MAX_LINE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled response. `digest` identifies what is judged, `group` its prompt.

    Samples of one group share a prompt or a pair, and never stand on both sides of a split.
    """

    id: str
    conversation: tuple[Message, ...]
    response: str
    label: Label
    digest: str
    group: int


@dataclass(frozen=True, slots=True)
class Samples:
    """What a file held: rows without a label or a response and repeated rows are only counted."""

    samples: tuple[Sample, ...]
    skipped: int
    repeated: int


class _Turn(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    role: MessageRole
    content: str


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    prompt: str | None = None
    messages: Annotated[list[_Turn] | None, Field(min_length=1)] = None
    response: str | None
    label: Label | None
    id: str | int | None = None
    pair_id: str | int | None = None
    source: str | None = None

    @model_validator(mode="after")
    def one_conversation(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("either `prompt` or `messages` must be there")
        return self

    @property
    def conversation(self) -> tuple[Message, ...]:
        if self.messages is not None:
            return tuple(Message(turn.role, turn.content) for turn in self.messages)
        return (Message("user", self.prompt or ""),)


def read_samples(file: Path) -> Samples:
    """Read a file of samples.

    Raises:
        SetupError: the file cannot be read, or a row is wrong; with the line, without its content.
    """
    rows: dict[tuple[str, Label], tuple[_Row, str]] = {}
    skipped = repeated = 0
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{file}:{number}")
        if row.label is None or row.response is None:
            skipped += 1
            continue
        conversation = [message.as_openai() for message in row.conversation]
        key = (_digest([conversation, row.response]), row.label)
        repeated += key in rows
        rows.setdefault(key, (row, _digest(conversation)))
    groups = _groups(rows.values())
    samples = tuple(
        Sample(
            id=digest if row.id is None else str(row.id),
            conversation=row.conversation,
            response=row.response or "",
            label=label,
            digest=digest,
            group=group,
        )
        for ((digest, label), (row, _)), group in zip(rows.items(), groups, strict=True)
    )
    return Samples(samples, skipped, repeated)


def choose(samples: tuple[Sample, ...], limit: int | None, seed: int) -> tuple[Sample, ...]:
    """At most `limit` samples, with the labels' shares kept.

    The choice follows from the seed and the samples alone, not from their order, and a larger
    limit keeps what a smaller one chose: scores already asked for stay of use.
    """
    if limit is None or limit >= len(samples):
        return samples
    unsafe = [sample for sample in samples if sample.label == "unsafe"]
    safe = [sample for sample in samples if sample.label == "safe"]
    wanted = round(limit * len(unsafe) / len(samples))
    chosen = {*_first(unsafe, wanted, seed), *_first(safe, limit - wanted, seed)}
    return tuple(sample for sample in samples if sample in chosen)


def _first(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    return sorted(samples, key=lambda sample: _digest([seed, sample.digest]))[:count]


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as opened:
            number = 0
            while line := opened.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > _MAX_LINE_BYTES:
                    limit = _MAX_LINE_BYTES >> 20
                    raise SetupError(f"{file}:{number}: longer than {limit} MiB. Shorten the row.")
                yield line
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --samples must be a readable file.") from error


def _parse(line: bytes, place: str) -> _Row:
    try:
        return _Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "the row"
        # pydantic's message may quote a key or a piece of the line: only its kind is told.
        wrong = "not JSON" if first["type"] == "json_invalid" else first["type"].replace("_", " ")
        remedy = "docs/calibration.md says what a row holds."
        raise SetupError(f"{place}: `{path}` is wrong ({wrong}). {remedy}") from None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _groups(rows: Iterable[tuple[_Row, str]]) -> list[int]:
    """Number the rows' groups: rows that share a prompt or a pair, also by way of others."""
    parent: dict[object, object] = {}

    def root(key: object) -> object:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    prompts = [prompt for _, prompt in rows]
    for row, prompt in rows:
        if row.pair_id is not None:
            parent[root(("pair", row.source, row.pair_id))] = root(prompt)
    numbers: dict[object, int] = {}
    return [numbers.setdefault(root(prompt), len(numbers)) for prompt in prompts]
