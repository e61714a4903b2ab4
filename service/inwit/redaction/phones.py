"""Phone numbers in text, by libphonenumber's metadata (the PyPI package phonenumbers)."""

import re
from collections.abc import Iterator

from phonenumbers import Leniency, PhoneNumberMatcher

from inwit.redaction.national import is_near

# Looks, for each text, at so many runs of digits; each costs a fraction of a millisecond.
MOST_TRIES = 500
_TRIES_IN_A_RUN = 12
_FEWEST, _MOST = 7, 15  # digits of a number (ITU-T E.164: at most 15)
_RUN = re.compile(r"[+(0-9](?<![A-Za-z0-9_].)[0-9(](?:[ ().\-/]{0,2}[0-9]){5,16}(?![A-Za-z0-9_])")
_RUN_WITH_PLUS = re.compile(r"\+[0-9(](?:[ ().\-/]{0,2}[0-9]){5,16}(?![A-Za-z0-9_])")
# libphonenumber knows dates by what stands around them, and sees only the run.
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:19|20)[0-9]{2}(?![0-9])"
)
# A bare run of digits, or one with a decimal point, is a phone number only beside such a word.
_BARE = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_WORDS = re.compile(
    r"phone|\btel\b|\btel\.|\btel:|telef|t[eé]l[eé]ph|\bcall|mobil|\bcell|\bfax|whatsapp|\bsms\b"
    r"|rufnummer|handy|m[oó]vil|celular|portable|\bdial|电话|手机",
    re.ASCII,
)


def find_phones(text: str, lowered: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Start and end of each number: international with a plus, or national in one of `regions`.

    `regions` are ISO 3166 codes of two capital letters. Past `MOST_TRIES` runs, a plus and the
    right count of digits are enough. `lowered` is `text` in lower case, as long as it.
    """
    pattern = _RUN if regions else _RUN_WITH_PLUS
    position = tries = 0
    while run := pattern.search(text, position):
        position = run.end()
        date = _DATE.match(run[0])
        if date is not None:
            position = run.start() + date.end()
            continue
        tries += 1
        if tries <= MOST_TRIES:
            found = list(_numbers(run[0], regions))
        else:
            found = [(0, len(run[0]))] if run[0][0] == "+" and _digits(run[0]) <= _MOST else []
        for start, end in found:
            span = run.start() + start, run.start() + end
            position = span[1]
            if not _BARE.fullmatch(text, *span) or is_near(_WORDS, lowered, *span):
                yield span


def _numbers(run: str, regions: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """The first number within a run, and before it what the part before it holds on its own.

    So that a second look, at a text with placeholders, finds no more than the first one did.
    """
    if _digits(run) < _FEWEST:
        return
    for region in (None,) if "+" in run else regions:
        matcher = PhoneNumberMatcher(run, region, Leniency.VALID, _TRIES_IN_A_RUN)
        if matcher.has_next():
            match = matcher.next()
            yield from _numbers(run[: match.start], regions)
            yield match.start, match.end
            return


def _digits(run: str) -> int:
    return sum(character.isdigit() for character in run)
