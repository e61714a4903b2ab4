"""One spelling for digits, dashes and spaces, with a way back to the offsets of the original."""

import re
from bisect import bisect_right
from dataclasses import dataclass

_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f"
    r"\ufeff\U000e0000-\U000e01ef]"
)
_ZEROES = (
    *(0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6),
    *(0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0),
    *(0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xAA50, 0xABF0),
    *(0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1FBF0),
)
_FOLD = str.maketrans(
    {chr(zero + digit): str(digit) for zero in _ZEROES for digit in range(10)}
    | {chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)}  # the full-width forms
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63", "-")
    | dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009", " ")
    | dict.fromkeys("\u200a\u202f\u205f\u3000", " ")
)
_FOLDABLE = re.compile(f"[{''.join(map(chr, _FOLD))}]".replace("\\", ""))


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text. `gaps` are the offsets in it before which one character each was dropped."""

    text: str
    gaps: tuple[int, ...] = ()

    def original(self, offset: int) -> int:
        """The offset in the original of the character at `offset`."""
        return offset + bisect_right(self.gaps, offset)


def fold(text: str) -> Folded:
    """Drop what cannot be seen, and write digits, full-width forms, dashes and spaces in ASCII."""
    if text.isascii():
        return Folded(text)
    if _FOLDABLE.search(text):
        text = text.translate(_FOLD)
    dropped = [found.start() for found in _INVISIBLE.finditer(text)]
    if not dropped:
        return Folded(text)
    gaps = tuple(offset - before for before, offset in enumerate(dropped))
    return Folded(_INVISIBLE.sub("", text), gaps)


def lower(text: str) -> str:
    """Lower case of the same length: one letter, U+0130, would become two."""
    return text.replace("\u0130", "I").lower()
