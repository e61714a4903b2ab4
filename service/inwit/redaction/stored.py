"""Private data taken out of contents that are about to be kept: which texts, and how. Pure.

Contents are JSON objects by kind, as the ledger has them. What was released is never touched.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

LEFT_OUT = "left_out"
"""In place of a text that nobody looked through, and its count in the entry."""

_TOLD = "released"
_LONGEST = 100_000  # characters of one text: looking through cannot be broken off half-way
# What holds a request together, and what its developer wrote.
_STRUCTURE = frozenset(
    {"role", "id", "type", "name", "tool_call_id", "tools", "end_user", "conversation_id"}
)
_CALLERS = "metadata"  # its keys are the caller's own

Contents = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """Private data in a text, from `start` up to `end` in code points; `score` is 0 to 1."""

    start: int
    end: int
    kind: str
    score: float


class Finder(Protocol):
    """Finds private data. Called in a thread of its own, one text after another."""

    def find(self, text: str) -> Sequence[Found]:
        """All that is found; spans may overlap."""
        ...


def redacted(
    contents: Contents, finder: Finder | None, late: Callable[[], bool]
) -> tuple[Contents, Mapping[str, int]]:
    """The contents with placeholders for what is found, and how often each kind was.

    What is left once it is `late`, is too long, or has no finder, is left out.
    """
    counts: Counter[str] = Counter()
    kept: dict[str, bytes] = {}
    for kind, content in contents.items():
        if kind == _TOLD:
            kept[kind] = content
            continue
        blob = json.loads(content)
        for holder, key in _texts(blob):
            text: str = holder[key]
            if finder is None or len(text) > _LONGEST or late():
                holder[key] = f"[{LEFT_OUT}]"
                counts[LEFT_OUT] += 1
            else:
                holder[key] = _masked(text, finder.find(text), counts)
        kept[kind] = json.dumps(blob, ensure_ascii=True).encode()
    return kept, dict(counts)


def _texts(value: Any, *, keep: frozenset[str] = _STRUCTURE) -> Iterator[tuple[Any, Any]]:
    """Where the texts stand: what holds each, and its place there."""
    if isinstance(value, dict):
        places = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        places = list(enumerate(cast("list[Any]", value)))
    else:
        return
    for place, each in places:
        if place in keep:
            continue
        if isinstance(each, str) and each:
            yield value, place
        else:
            yield from _texts(each, keep=frozenset() if place == _CALLERS else keep)


def _masked(text: str, found: Sequence[Found], counts: Counter[str]) -> str:
    """Spans that overlap become one placeholder, of the kind that is surest."""
    pieces: list[str] = []
    place = 0
    for start, end, kind in _merged(found):
        pieces += text[place:start], f"[{kind}]"
        place = end
        counts[kind] += 1
    return "".join([*pieces, text[place:]])


def _merged(found: Sequence[Found]) -> Iterator[tuple[int, int, str]]:
    together: list[Found] = []
    for each in sorted(found, key=lambda each: each.start):
        if together and each.start >= max(one.end for one in together):
            yield _one(together)
            together = []
        together.append(each)
    if together:
        yield _one(together)


def _one(together: Sequence[Found]) -> tuple[int, int, str]:
    surest = max(together, key=lambda each: (each.score, each.end - each.start))
    return together[0].start, max(each.end for each in together), surest.kind
