"""Labelled samples: JSON lines in, checked values out. What a sample says is never repeated."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inwit.errors import SetupError
from inwit.types import Candidate, Message, MessageRole, ToolCall

Label = Literal["safe", "unsafe"]

_MAX_LINE_BYTES = 4 * 2**20
_OF_A_PROMPT = 2  # samples of one label that a draw takes from one prompt


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled response. `digest` identifies what is judged, `group` its prompt.

    Samples of one group share a prompt or a pair, and never stand on both sides of a split.
    The other fields are the set's own words, empty where it has none: `refusal` says whether the
    response complies, `ratings` what each rater said.
    """

    id: str
    conversation: tuple[Message, ...]
    response: str
    label: Label
    digest: str
    group: int
    tool_calls: tuple[ToolCall, ...] = ()
    split: str = ""
    category: str = ""
    language: str = ""
    refusal: str = ""
    prompt_label: str = ""
    ratings: tuple[str, ...] = ()

    @property
    def unsafe(self) -> bool:
        """Its label."""
        return self.label == "unsafe"

    def digest_in(self, seed: int) -> str:
        """By which samples are drawn under a seed, whatever the order in which they come."""
        return _digest([seed, self.digest])

    def candidate(self, model: str) -> Candidate:
        """The response as if this model had written it."""
        return Candidate(self.response, model, tool_calls=self.tool_calls)


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
    split_hint: Any = None
    category: Any = None
    lang: Any = None
    refusal: Any = None
    prompt_label: Any = None
    annotators: Any = None

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
        key = (content_digest(row.conversation, row.response), row.label)
        repeated += key in rows
        rows.setdefault(key, (row, content_digest(row.conversation)))
    groups = _groups(rows.values())
    samples = tuple(
        Sample(
            id=digest if row.id is None else str(row.id),
            conversation=row.conversation,
            response=row.response or "",
            label=label,
            digest=digest,
            group=group,
            split=_word(row.split_hint),
            category=_word(row.category),
            language=_word(row.lang),
            refusal=_word(row.refusal),
            prompt_label=_word(row.prompt_label),
            ratings=_ratings(row.annotators),
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


def draw(samples: Iterable[Sample], count: int, seed: int) -> list[Sample]:
    """At most `count` samples, as many unsafe as safe ones as far as there are.

    Prompts come in an order that follows from the seed and the samples alone, and of one prompt at
    most two samples of each label: many answers to few prompts say less than they seem to. Labels
    have no natural share in a set that somebody put together; precision refers to the drawn one.
    """
    groups: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.group].append(sample)
    left: dict[Label, int] = {"unsafe": count // 2, "safe": count - count // 2}
    drawn: list[Sample] = []
    for group in sorted(groups.values(), key=lambda each: _first(each, 1, seed)[0].digest_in(seed)):
        taken: Counter[Label] = Counter()
        for sample in _first(group, len(group), seed):
            if left[sample.label] and taken[sample.label] < _OF_A_PROMPT:
                left[sample.label] -= 1
                taken[sample.label] += 1
                drawn.append(sample)
    return drawn


def content_digest(
    conversation: Sequence[Message], response: str | None = None, calls: Sequence[ToolCall] = ()
) -> str:
    """What identifies a conversation, or with its response and tool calls a sample."""
    turns = [message.as_openai() for message in conversation]
    if response is None:
        return _digest(turns)
    parts: list[object] = [turns, response]
    return _digest([*parts, [call.as_openai() for call in calls]] if calls else parts)


def _word(given: Any) -> str:
    return "" if given is None else str(given)


def _ratings(given: Any) -> tuple[str, ...]:
    return tuple(map(str, cast("list[Any]", given))) if isinstance(given, list) else ()


def _first(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.digest_in(seed))[:count]


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
