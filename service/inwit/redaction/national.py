"""National identifiers in text: their form, their check, and the words that must stand near.

A number that any other number could pass for counts only with a word of its kind near it, on
either side: those without a check digit, and bare runs of digits.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inwit.redaction import checksums

BEFORE = 48  # characters in which a context word may stand before a value
AFTER = 24  # and after it
_SEPARATORS = re.compile(r"[ ./-]")
# What `find` took before, or what `mask` wrote, in lower case.
_PLACEHOLDER = re.compile(r"\[[a-z_]{2,24}_\d{1,6}\]|\x00+")
_LONGEST_PLACEHOLDER = 30
_FURTHEST = 2048  # characters back, values included, in which the words before are gathered


@dataclass(frozen=True, slots=True)
class _Identifier:
    """`pattern` starts with the value's first character and then looks back, which is fast.

    `context` are the words of which one must stand near, and `hints` parts of them, of which a text
    must hold one for the pattern to be tried; `formatted` are the written forms that need none.
    """

    pattern: re.Pattern[str]
    valid: Callable[[str], bool]
    context: re.Pattern[str] | None = None
    hints: tuple[str, ...] = ()
    formatted: re.Pattern[str] | None = None


def _form(first: str, rest: str) -> re.Pattern[str]:
    """A value that no letter, digit or underscore touches, and no digit across a dot or dash."""
    apart = r"(?<![A-Za-z0-9_].)(?<![0-9][.,-].)"
    return re.compile(rf"{first}{apart}{rest}(?![A-Za-z0-9_])(?![.,-][0-9])")


def _words(*patterns: str) -> re.Pattern[str]:
    # ASCII: a letter of another script beside a word does not make it part of that word.
    return re.compile("|".join(patterns), re.ASCII)


_IDENTIFIERS = (
    # United States, SSN
    _Identifier(
        _form(r"[0-8]", r"[0-9]{2}(?:([ -])[0-9]{2}\1|[0-9]{2})[0-9]{4}"),
        checksums.is_ssn,
        context=_words("ssn", "social security", "soc[.]? sec", "taxpayer"),
        hints=("ssn", "social sec", "soc sec", "soc. sec", "taxpayer"),
    ),
    # United Kingdom, NINO
    _Identifier(
        _form(r"[A-Z]", r"[A-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"),
        checksums.is_nino,
        context=_words("national insurance", "nino", r"\bni (?:number|no)"),
        hints=("national insurance", "nino", "ni n"),
    ),
    # Spain, DNI and NIE
    _Identifier(_form(r"[0-9XYZ]", r"-?[0-9]{7}-?[A-Z]"), checksums.is_dni),
    # France, NIR
    _Identifier(
        _form(
            r"[1-478]",
            r" ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3}"
            r" ?[0-9]{2}",
        ),
        checksums.is_nir,
        context=_words("s[eé]curit[eé] sociale", r"\bnir\b", "insee", "social security"),
        formatted=re.compile(r". .. .. .. ... ... ?.."),
    ),
    # Italy, codice fiscale
    _Identifier(
        _form(
            r"[A-Z]",
            r"[A-Z]{5}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}"
            r"[A-Z]",
        ),
        checksums.is_codice_fiscale,
    ),
    # Germany, tax identifier
    _Identifier(
        _form(r"[1-9]", r"[0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"),
        checksums.is_steuer_id,
        context=_words(r"steuer[- ]?id", "steuerliche id", r"\bid-?nr", r"\btax (?:id|number)"),
        hints=("steuer", "idnr", "id-nr", "tax id", "tax number"),
    ),
    # Netherlands, BSN
    _Identifier(
        _form(r"[0-9]", r"[0-9]{2}(?:[0-9]{6}|[0-9]\.[0-9]{2}\.[0-9]{3}| [0-9]{3} [0-9]{3})"),
        checksums.is_bsn,
        context=_words(r"\bbsn", "burgerservice", "sofi-?nummer", "citizen service number"),
        hints=("bsn", "burgerservice", "sofi", "citizen service"),
    ),
    # Poland, PESEL
    _Identifier(
        _form(r"[0-9]", r"[0-9]{10}"), checksums.is_pesel, context=_words("pesel"), hints=("pesel",)
    ),
    # Brazil, CPF
    _Identifier(
        _form(r"[0-9]", r"[0-9]{2}(?:\.[0-9]{3}\.[0-9]{3}-|[0-9]{6})[0-9]{2}"),
        checksums.is_cpf,
        context=_words(r"\bcpf\b"),
        formatted=re.compile(r"[0-9.]{11}-.."),
    ),
    # India, Aadhaar
    _Identifier(
        _form(r"[2-9]", r"[0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}"),
        checksums.is_aadhaar,
        context=_words("aadha+r", "uidai", "आधार"),
        hints=("aadha", "uidai", "आधार"),
    ),
    # China, resident identity: its date makes it as telling as a written form
    _Identifier(
        _form(
            r"[1-8]",
            r"[0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}"
            r"[0-9Xx]",
        ),
        checksums.is_resident_id,
    ),
)


def find_national_ids(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """Start and end of each identifier; `lowered` is `text` in lower case, as long as it."""
    for identifier in _IDENTIFIERS:
        hints = identifier.hints
        if hints and not any(hint in lowered for hint in hints):
            continue
        last = -BEFORE - 1
        for found in identifier.pattern.finditer(text):
            if not identifier.valid(_SEPARATORS.sub("", found[0])):
                continue
            # In a list the word stands before the first one alone.
            if found.start() - last <= BEFORE or _counts(identifier, found, lowered):
                last = found.end()
                yield found.span()


def _counts(identifier: _Identifier, found: re.Match[str], lowered: str) -> bool:
    form, context = identifier.formatted, identifier.context
    if context is None or (form is not None and form.fullmatch(found[0]) is not None):
        return True
    return is_near(context, lowered, *found.span())


def is_near(words: re.Pattern[str], lowered: str, start: int, end: int) -> bool:
    """Whether one of `words` stands near a value: before it, or after it up to the next value.

    Other values and placeholders before it count as one character, so that a word is as near in
    masked text as it was.
    """
    before = lowered[max(0, start - BEFORE) : start]
    if "\x00" in before or "]" in before:
        before = _PLACEHOLDER.sub(" ", lowered[max(0, start - _FURTHEST) : start])[-BEFORE:]
    # A whole placeholder more than is looked at: one that the window cuts would look like words.
    after = lowered[end : end + AFTER + _LONGEST_PLACEHOLDER]
    following = _PLACEHOLDER.search(after)
    after = after[: min(AFTER, following.start())] if following else after[:AFTER]
    return words.search(before) is not None or words.search(after) is not None
