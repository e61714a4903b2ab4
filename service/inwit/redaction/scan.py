"""Find private data in a text, mask it, and tell what a caller sent first (docs/redaction.md)."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from inwit.redaction.credentials import ASSIGNING, find_credentials
from inwit.redaction.folding import Folded, fold, lower
from inwit.redaction.kinds import Kind, Span
from inwit.redaction.national import find_national_ids
from inwit.redaction.patterns import find_cards, find_emails, find_ibans, find_ips
from inwit.redaction.phones import find_phones

__all__ = ["HOLD_BACK", "Kind", "Span", "echoed", "find", "mask", "settled"]

HOLD_BACK = 640
"""How many visible characters at the end of a text more text can still change the finding of.

The longest form of each kind, with the words that must stand near it: credential 130 (up to where
it is certain; it may go on), email 129, IBAN 69, national identifier 75, card 77, IP address 47,
phone number 106. Summed, since what one kind takes another cannot.
"""

# From the most telling to the least: what one kind takes, the next ones do not see.
_ORDER = (
    Kind.CREDENTIAL,
    Kind.EMAIL,
    Kind.IBAN,
    Kind.NATIONAL_ID,
    Kind.PAYMENT_CARD,
    Kind.IP_ADDRESS,
    Kind.PHONE,
)
# What a text must hold for a kind to be looked for: a digit, or at least seven close together.
_DIGIT = re.compile(r"[0-9]")
_LONG_NUMBER = re.compile(r"[0-9](?:[ ()./-]{0,3}[0-9]){6}")
_NEEDS = {
    Kind.IBAN: _DIGIT,
    Kind.NATIONAL_ID: _DIGIT,
    Kind.IP_ADDRESS: _DIGIT,
    Kind.PAYMENT_CARD: _LONG_NUMBER,
    Kind.PHONE: _LONG_NUMBER,
}
_WITH_WORDS = (Kind.NATIONAL_ID, Kind.PAYMENT_CARD, Kind.PHONE)
# What a value begins with, unless it is one word; and how far before it a value may begin.
_BEGINNING = re.compile(r"[0-9@]|-----")
_LEAD = 24
_SPACE = re.compile(r"\s")
_VISIBLE_ASCII = "\x00" + "".join(map(chr, range(0x21, 0x7F)))
_TAKEN = "\x00"
_MOST_LOOKS = 8


def find(text: str, kinds: frozenset[Kind], regions: tuple[str, ...] = ()) -> tuple[Span, ...]:
    """The spans of `kinds` in `text`, sorted, without overlaps. Linear time.

    Where kinds compete the more telling one wins (`_ORDER`), and within a kind all that any match
    covers is covered. `regions` are the countries (ISO 3166, such as `"DE"`) whose phone numbers
    are found in national form too.
    """
    folded = fold(text)
    rest = folded.text.replace(_TAKEN, " ")
    spans: list[Span] = []
    wanted = [kind for kind in _ORDER if kind in kinds]
    for look in range(_MOST_LOOKS):
        before = len(spans)
        lowered = lower(rest)
        held = {need for need in (_DIGIT, _LONG_NUMBER) if need.search(rest)}
        for kind in wanted:
            if kind in _NEEDS and _NEEDS[kind] not in held:
                continue
            found = _united(_found(kind, rest, lowered, regions))
            if found:
                spans += (_span(kind, folded, start, end) for start, end in found)
                rest, lowered = _without(rest, found), _without(lowered, found)
        # Without the values found, the words for others may stand near them: look again.
        wanted = wanted if look else [kind for kind in wanted if kind in _WITH_WORDS]
        if len(spans) == before:
            break
    return tuple(sorted(spans, key=lambda span: span.start))


def settled(text: str) -> int:
    """The offset up to which no further text can change what `find` finds.

    At most `HOLD_BACK` visible characters from the end. Fewer where they hold no digit, no `@` and
    no key block, which every value needs but those written as one word: then it is the beginning
    of a word some `_LEAD` characters before the end, or before the first digit.
    """
    folded = fold(text)
    visible = folded.text
    edge = max(0, len(visible) - HOLD_BACK)
    beginning = _BEGINNING.search(visible, edge)
    at = (beginning.start() if beginning else len(visible)) - _LEAD
    safe = max(edge, _word_start(visible, at, edge)) if at > edge else edge
    return folded.original(safe) if safe > 0 else 0


def _word_start(text: str, at: int, edge: int) -> int:
    """Where the word begins that goes on at `at`, not before `edge`.

    White space ends a word, and so does a letter of another script (values are ASCII), but for
    the value after a word such as `password`.
    """
    tail = text[edge:at]
    if any(word in lower(tail) for word in ASSIGNING):
        return edge + max((space.end() for space in _SPACE.finditer(tail)), default=0)
    return edge + len(tail.rstrip(_VISIBLE_ASCII))


def mask(text: str, spans: Iterable[Span]) -> str:
    """The text with a placeholder for each span, such as `[EMAIL_1]`.

    Placeholders of a kind are numbered in order of appearance; the same value has the same number.
    """
    numbers: dict[tuple[Kind, str], int] = {}
    counts: dict[Kind, int] = {}
    pieces: list[str] = []
    done = 0
    for span in sorted(spans, key=lambda span: span.start):
        value = (span.kind, _value(span.kind, text[span.start : span.end]))
        if value not in numbers:
            counts[span.kind] = numbers[value] = counts.get(span.kind, 0) + 1
        placeholder = f"[{span.kind.name}_{numbers[value]}]"
        pieces += (text[done : span.start], placeholder)
        done = span.end
    return "".join((*pieces, text[done:]))


def echoed(spans: Iterable[Span], text: str, earlier: Iterable[str]) -> tuple[Span, ...]:
    """Those of `spans` whose value stands in one of the `earlier` texts, as a value of its own.

    Compared without case, and for numbers without spaces, dashes and, for phones, dots, slashes
    and parentheses; credentials exactly. A value that is part of a longer one does not count.
    """
    spans = tuple(spans)
    texts = tuple(earlier) if spans else ()
    squeezed: dict[Kind, tuple[_Squeezed, ...]] = {}
    known: list[Span] = []
    for span in spans:
        if span.kind not in squeezed:
            squeezed[span.kind] = tuple(_squeeze(span.kind, each) for each in texts)
        value = _value(span.kind, text[span.start : span.end])
        if value and any(_stands_in(each, span.kind, value) for each in squeezed[span.kind]):
            known.append(span)
    return tuple(known)


def _found(
    kind: Kind, text: str, lowered: str, regions: tuple[str, ...]
) -> Iterable[tuple[int, int]]:
    match kind:
        case Kind.CREDENTIAL:
            return find_credentials(text, lowered)
        case Kind.EMAIL:
            return find_emails(text)
        case Kind.IBAN:
            return find_ibans(text)
        case Kind.NATIONAL_ID:
            return find_national_ids(text, lowered)
        case Kind.PAYMENT_CARD:
            return find_cards(text, lowered)
        case Kind.IP_ADDRESS:
            return find_ips(text, lowered)
        case Kind.PHONE:
            return find_phones(text, lowered, regions)


def _united(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted; of those that overlap, the first, and then what a later one adds at its end."""
    united: list[tuple[int, int]] = []
    done = 0
    for start, end in sorted(found, key=lambda each: (each[0], -each[1])):
        if end > done:
            united.append((max(start, done), end))
            done = end
    return united


def _without(text: str, found: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in found:
        pieces += (text[done:start], _TAKEN * (end - start))
        done = end
    return "".join((*pieces, text[done:]))


def _span(kind: Kind, folded: Folded, start: int, end: int) -> Span:
    return Span(kind, folded.original(start), folded.original(end - 1) + 1)


_SEPARATORS = {
    Kind.PHONE: re.compile(r"[\s().\-/]+"),
    Kind.PAYMENT_CARD: re.compile(r"[\s-]+"),
    Kind.IBAN: re.compile(r"[\s-]+"),
    Kind.NATIONAL_ID: re.compile(r"[\s.-]+"),
}
# What ties two parts of one value together.
_JOINS = {Kind.EMAIL: "._%+-", Kind.CREDENTIAL: "_-+/.", Kind.IP_ADDRESS: "."}


@dataclass(frozen=True, slots=True)
class _Squeezed:
    """A text without separators; `seams` are the offsets in it where some were."""

    text: str
    seams: tuple[int, ...]


def _squeeze(kind: Kind, text: str) -> _Squeezed:
    folded = fold(text).text
    if kind is not Kind.CREDENTIAL:
        folded = folded.casefold()
    separators = _SEPARATORS.get(kind)
    if separators is None:
        return _Squeezed(folded, ())
    pieces = separators.split(folded)
    seams: list[int] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        seams.append(length)
    return _Squeezed("".join(pieces), tuple(seams))


def _value(kind: Kind, value: str) -> str:
    return _squeeze(kind, value).text


def _stands_in(earlier: _Squeezed, kind: Kind, value: str) -> bool:
    joins = _JOINS.get(kind, "")
    start = earlier.text.find(value)
    while start >= 0:
        if _parts(earlier, start, joins) and _parts(earlier, start + len(value), joins):
            return True
        start = earlier.text.find(value, start + 1)
    return False


def _parts(earlier: _Squeezed, offset: int, joins: str) -> bool:
    """Whether a value can begin or end here: at a seam, or where no longer value goes on."""
    index = bisect_left(earlier.seams, offset)
    if index < len(earlier.seams) and earlier.seams[index] == offset:
        return True
    before, after = earlier.text[max(0, offset - 2) : offset], earlier.text[offset : offset + 2]
    return not (_goes_on(before[::-1], joins) and _goes_on(after, joins))


def _goes_on(characters: str, joins: str) -> bool:
    """Whether a value goes on: a letter or digit, or one behind a character that joins."""
    first, second = characters[:1], characters[1:]
    return first.isalnum() or (first != "" and first in joins and second.isalnum())
