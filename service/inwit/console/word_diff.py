"""What differs between two texts, word by word. Pure.

White space counts like words, so that nothing is lost: each text less its changed ranges is the
same string.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from inwit.console.visible import Range

MOST_WORDS = 6_000  # of each text; longer ones are compared by lines, and then not at all

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Difference:
    """Offsets of what only the one text has, and of what only the other has."""

    removed: tuple[Range, ...]
    added: tuple[Range, ...]


def differences(before: str, after: str) -> Difference:
    """Compare two texts; where they are too long, all of them counts as changed."""
    for unit in (_WORDS, _LINES):
        old, new = unit.findall(before), unit.findall(after)
        if max(len(old), len(new)) <= MOST_WORDS:
            return _compared(old, new)
    return Difference(_whole(before), _whole(after))


def _compared(old: list[str], new: list[str]) -> Difference:
    # Without autojunk a text of one word over and over takes minutes.
    matcher = SequenceMatcher(None, old, new, autojunk=True)
    old_at, new_at = _offsets(old), _offsets(new)
    removed: list[Range] = []
    added: list[Range] = []
    codes = matcher.get_opcodes()
    for place, (kind, old_from, old_to, new_from, new_to) in enumerate(codes):
        within = 0 < place < len(codes) - 1
        if kind == "equal" and not (within and "".join(old[old_from:old_to]).isspace()):
            continue  # but white space between two changes is read as one change
        _extend(removed, old_at[old_from], old_at[old_to])
        _extend(added, new_at[new_from], new_at[new_to])
    return Difference(tuple(removed), tuple(added))


def _extend(ranges: list[Range], start: int, end: int) -> None:
    """Add a range; to the last one, where they touch."""
    if start == end:
        return
    if ranges and ranges[-1][1] == start:
        start, _ = ranges.pop()
    ranges.append((start, end))


def _offsets(words: list[str]) -> list[int]:
    found = [0]
    for word in words:
        found.append(found[-1] + len(word))
    return found


def _whole(text: str) -> tuple[Range, ...]:
    return ((0, len(text)),) if text else ()
