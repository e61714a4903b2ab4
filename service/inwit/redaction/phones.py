"""Phone numbers in text, by libphonenumber's metadata (the PyPI package phonenumbers)."""

import re
from collections.abc import Iterator

from phonenumbers import Leniency, PhoneNumberMatcher

# Looks, for each text, at so many runs of digits; each costs a fraction of a millisecond.
MOST_TRIES = 2_000
_TRIES_IN_A_RUN = 12
_FEWEST, _MOST = 7, 15  # digits of a number (ITU-T E.164: at most 15)
_RUN = re.compile(r"[+(0-9](?<![A-Za-z0-9_].)[0-9(](?:[ ().\-/]{0,3}[0-9]){5,24}(?![0-9])")
_RUN_WITH_PLUS = re.compile(r"\+ ?\(?[0-9](?:[ ().\-/]{0,3}[0-9]){5,24}(?![0-9])")


def find_phones(text: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Start and end of each number: international with a plus, or national in one of `regions`.

    `regions` are ISO 3166 codes of two capital letters. Past `MOST_TRIES` runs, a plus and the
    right count of digits are enough.
    """
    pattern = _RUN if regions else _RUN_WITH_PLUS
    position = tries = 0
    while run := pattern.search(text, position):
        position = run.end()
        digits = sum(character.isdigit() for character in run[0])
        if not _FEWEST <= digits <= _MOST + 10:
            continue
        tries += 1
        if tries > MOST_TRIES:
            if run[0][0] == "+" and digits <= _MOST:
                yield run.span()
            continue
        for start, end in _numbers(run[0], regions):
            yield run.start() + start, run.start() + end


def _numbers(run: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The numbers within one run, and what is left of it looked at again on its own."""
    found = _first(run, regions)
    if found is None:
        return
    start, end = found
    yield from _numbers(run[:start], regions) if start else ()
    yield found
    for left_start, left_end in _numbers(run[end:], regions):
        yield end + left_start, end + left_end


def _first(run: str, regions: tuple[str, ...]) -> tuple[int, int] | None:
    if sum(character.isdigit() for character in run) < _FEWEST:
        return None
    for region in (None,) if "+" in run else regions:
        matcher = PhoneNumberMatcher(run, region, Leniency.VALID, _TRIES_IN_A_RUN)
        if matcher.has_next():
            match = matcher.next()
            return match.start, match.end
    return None
