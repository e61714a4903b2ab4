"""Texts as people are shown them: nothing in them is hidden, and what they hold is marked. Pure.

What callers and models write is hostile. Characters that do not show, or that turn the direction
of what does, stand here as their code points.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Range = tuple[int, int]

_MOST_FOUND = 100  # of each span in a text
_MOST_CODES = 2_000  # shown by themselves; a text with more shows them in line
_SHOWN_CONTROLS = "\n\t"
# Controls, formats, surrogates, lines and paragraphs by category; and the rest that shows nothing.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_EMOJI_STYLE = "\ufe0f"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a text as it stands; or, where `code`, the code point of what does not show."""

    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a text that is marked alike. `changed`: it differs from the other version."""

    pieces: tuple[Piece, ...]
    changed: bool = False
    flagged: bool = False


def runs(
    text: str, changed: Sequence[Range] = (), flagged: Sequence[Range] = ()
) -> tuple[Run, ...]:
    """A text cut where its marks begin and end. Ranges are offsets, each kind without overlaps."""
    edges = {0, len(text)}
    edges.update(edge for each in (*changed, *flagged) for edge in each)
    ordered = sorted(edges)
    inside_changed, inside_flagged = _starts(changed, ordered), _starts(flagged, ordered)
    return tuple(
        Run(pieces(text[start:end]), start in inside_changed, start in inside_flagged)
        for start, end in pairwise(ordered)
    )


def pieces(text: str) -> tuple[Piece, ...]:
    """A text with every hidden character as its code point."""
    found: list[Piece] = []
    plain: list[str] = []
    position, codes = 0, 0
    while position < len(text):
        if not _hidden(text, position):
            plain.append(text[position])
            position += 1
            continue
        end = position + 1
        while end < len(text) and text[end] == text[position]:
            end += 1
        code = _code(text[position], end - position)
        position, codes = end, codes + 1
        if codes > _MOST_CODES:
            plain.append(f"[{code}]")
            continue
        if plain:
            found.append(Piece("".join(plain)))
            plain.clear()
        found.append(Piece(code, code=True))
    if plain:
        found.append(Piece("".join(plain)))
    return tuple(found)


def occurrences(text: str, spans: Iterable[str]) -> tuple[Range, ...]:
    """Where the spans stand in a text, in order; what overlaps or touches is one range."""
    found: list[Range] = []
    for span in spans:
        start = text.find(span) if span else -1
        for _ in range(_MOST_FOUND):
            if start < 0:
                break
            found.append((start, start + len(span)))
            start = text.find(span, start + len(span))
    merged: list[Range] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def typed(text: str) -> str:
    """A text as a form's field can hold it: line ends as browsers have them, no half characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode() if _HALF.search(lines) else lines


_HALF = re.compile(r"[\ud800-\udfff]")


def _starts(ranges: Sequence[Range], edges: Sequence[int]) -> set[int]:
    """The edges that lie inside one of the ranges."""
    inside: set[int] = set()
    ordered = iter(sorted(ranges))
    current = next(ordered, None)
    for edge in edges:
        while current is not None and edge >= current[1]:
            current = next(ordered, None)
        if current is not None and current[0] <= edge:
            inside.add(edge)
    return inside


def _hidden(text: str, position: int) -> bool:
    character = text[position]
    if character.isascii():
        return character not in _SHOWN_CONTROLS and not character.isprintable()
    if character == _EMOJI_STYLE and position and unicodedata.category(text[position - 1]) == "So":
        return False  # a symbol's usual, coloured form
    return (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or character in _BLANK
        or _SELECTORS.match(character) is not None
    )


def _code(character: str, times: int) -> str:
    code = f"U+{ord(character):04X}"
    return code if times == 1 else f"{code} x{times}"
