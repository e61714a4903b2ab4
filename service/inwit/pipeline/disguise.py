"""Characters that a reader does not see, or takes for others.

Scripts and emoji need some of the same characters (Persian and Hindi joiners, the space of zero
width in Thai and Khmer, direction marks in Hebrew and Arabic, emoji sequences, variants of Chinese
characters). There they are ordinary and stay.
"""

import re
import unicodedata
from dataclasses import dataclass


def _pairs(rows: dict[str, str]) -> dict[str, str]:
    return {
        letter: latin
        for letters, latins in rows.items()
        for letter, latin in zip(letters, latins, strict=True)
    }


# Scripts whose letters join or stack, and for which ZWJ and ZWNJ choose the form.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1a20-\u1aaf\u1b00-\u1cff"
    "\ua840-\ua8ff\ua900-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1980-\u1aaf"  # Thai, Lao, Burmese, Khmer
_EMOJI = "\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

# One set of characters is searched for ten times as fast as the alternatives below.
_ANY_ZERO_WIDTH = re.compile(
    r"[\x00-\x08\x0e-\x1a\x7f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d"
    r"\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a]"
)
_ZERO_WIDTH = re.compile(
    r"[\x00-\x08\x0e-\x1a\x7f\u00ad\u034f\u17b4\u17b5\u180e\u2060-\u2064\u206a-\u206f"
    r"\u3164\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a]"
    r"|(?<![\u1100-\u11ff])[\u115f\u1160](?![\u1100-\u11ff])"
    r"|(?s:(?<=.))\ufeff"
    rf"|(?<![{_UNSPACED}])\u200b"
    rf"|(?<![{_JOINING}])\u200c"
    rf"|(?<![{_JOINING}{_EMOJI}\ufe0f])\u200d|(?<=[{_EMOJI}\ufe0f])\u200d(?![{_EMOJI}])"
    r"|(?<![\u1800-\u18af])[\u180b-\u180d\u180f]"
)
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_DIRECTION_MARKS = re.compile(r"[\u200e\u200f\u061c]")
# Between letters of other scripts, or several in a row, a direction mark does no work.
_IDLE_MARKS = re.compile(
    r"(?<=[A-Za-z\u00c0-\u058f])[\u200e\u200f\u061c](?=[A-Za-z\u00c0-\u058f])"
    r"|[\u200e\u200f\u061c]{2,}"
)
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

# The three flags with tags that Unicode recommends: England, Scotland, Wales (UTS #51).
_FLAGS = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in f"gb{nation}\x7f")
    for nation in ("eng", "sct", "wls")
)
_TAGS = re.compile(rf"(\U0001f3f4(?:{_FLAGS}))|([\U000e0000-\U000e007f]+)")
_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_VARIED = re.compile(rf"[{_IDEOGRAPHS}\u1000-\u109f\ua840-\ua87f]")

_STACKED = re.compile(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{4,}")
_STRUCK = re.compile(r"(?:[^\W\d_][\u0334-\u0338]){3,}")
_OVERLAYS = re.compile(r"[\u0334-\u0338]")

_STYLED = re.compile(r"[\u210a-\u2134\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f130-\U0001f149]{4,}")
_FOREIGN = "\u0370-\u03ff\u0400-\u052f"
_MIXED = re.compile(rf"[A-Za-z][{_FOREIGN}]|[{_FOREIGN}][A-Za-z]")
_WORD = re.compile(rf"[A-Za-z{_FOREIGN}]+")
# Symbols stand before Latin letters (the Greek of formulas), and endings after them.
_WITHIN_LATIN = re.compile(r"[\u0400-\u052f][A-Za-z]|[A-Za-z][\u0370-\u03ff]{1,8}[A-Za-z]")
# Letters drawn alike in most fonts (UTS #39): small and capital Cyrillic, then Greek.
_ALIKE = _pairs(
    {
        "\u0430\u0441\u0435\u043e\u0440\u0456\u0458\u0455": "aceopijs",
        "\u0445\u0443\u04bb\u0501\u051b\u051d\u04cf\u0475": "xyhdqwlv",
        "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c": "ABESIJKM",
        "\u041d\u041e\u0420\u0421\u0422\u0425\u0423": "HOPCTXY",
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c": "ABEZHIKM",
        "\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf": "NOPTYXo",
    }
)
# Letters that resemble, and that real words mix in at an end: Russian endings, Greek symbols.
_SIMILAR = _ALIKE | _pairs(
    {
        "\u043a\u043c\u043d\u0442\u0432\u0433\u043f\u0438": "kmhtbrnu",
        "\u03b1\u03b2\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd": "abyenikv",
        "\u03c1\u03c4\u03c5\u03c7\u03c9": "ptuxw",
    }
)
_FOLD = {ord(letter): latin for letter, latin in _SIMILAR.items()}


@dataclass(frozen=True, slots=True)
class Undisguised:
    """A text without disguises, the text that invisible characters spelled, and what was found."""

    text: str
    hidden: str
    zero_width: bool
    bidi: bool
    tags: bool
    combining: bool
    homoglyph: bool


def undisguised(text: str) -> Undisguised:
    """Drop what cannot be seen, and fold letters that pass for others; ordinary text stays."""
    if text.isascii() and _ANY_ZERO_WIDTH.search(text) is None:
        return Undisguised(text, "", *[False] * 5)
    untagged, hidden = _without_carriers(text)
    visible = _ZERO_WIDTH.sub("", untagged) if _ANY_ZERO_WIDTH.search(untagged) else untagged
    straight = _without_bidi(visible)
    unstacked = _without_stacks(straight)
    latin = _without_homoglyphs(unstacked)
    return Undisguised(
        text=latin,
        hidden=hidden,
        zero_width=visible != untagged or (untagged != text and not hidden),
        bidi=straight != visible,
        tags=bool(hidden),
        combining=unstacked != straight,
        homoglyph=latin != unstacked,
    )


def _without_carriers(text: str) -> tuple[str, str]:
    """Drop tag characters and idle variation selectors; give the text that they spelled.

    A tag character is U+E0000 plus an ASCII code. Selectors carry bytes: U+FE00 to U+FE0F are 0
    to 15, U+E0100 to U+E01EF are 16 to 255.
    """
    spelled: list[str] = []
    carried = bytearray()

    def tag(run: re.Match[str]) -> str:
        if run[1]:
            return run[1]
        codes = (ord(character) - 0xE0000 for character in run[2])
        spelled.extend(chr(code) for code in codes if 0x20 <= code < 0x7F)
        return ""

    def selector(run: re.Match[str]) -> str:
        if _selects(run.string[run.start() - 1 : run.start()], run[0]):
            return run[0]
        codes = map(ord, run[0])
        carried.extend(code - (0xFE00 if code < 0xFE10 else 0xE00F0) for code in codes)
        return ""

    text = _SELECTORS.sub(selector, _TAGS.sub(tag, text))
    from_bytes = carried.decode("utf-8", "replace")
    readable = (mark for mark in from_bytes if mark != "\ufffd" and mark.isprintable())
    return text, "".join((*spelled, *readable)).strip()


def _selects(base: str, selectors: str) -> bool:
    """Whether this is one variation selector after a character that has variants."""
    if len(selectors) > 1 or not base or base.isspace():
        return False
    if selectors >= "\U000e0100":
        return re.match(rf"[{_IDEOGRAPHS}]", base) is not None
    if selectors in "\ufe0e\ufe0f":
        return (
            not base.isalpha()
            or base in "\u2139\u24c2\u3297\u3299\U0001f170\U0001f171\U0001f17e\U0001f17f"
        )
    return selectors <= "\ufe02" and (not base.isalnum() or _VARIED.match(base) is not None)


def _without_stacks(text: str) -> str:
    text = _STACKED.sub(lambda run: run[0][0], text)
    if not _OVERLAYS.search(text):
        return text
    return _STRUCK.sub(lambda word: _OVERLAYS.sub("", word[0]), text)


def _without_bidi(text: str) -> str:
    text = _BIDI.sub("", text)
    if not _DIRECTION_MARKS.search(text):
        return text
    text = _IDLE_MARKS.sub("", text)
    if not _RIGHT_TO_LEFT.search(text.replace("\u061c", "")):
        return _DIRECTION_MARKS.sub("", text)
    return text


def _without_homoglyphs(text: str) -> str:
    text = _STYLED.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    return _WORD.sub(_latin, text) if _MIXED.search(text) else text


def _latin(word: re.Match[str]) -> str:
    letters = word[0]
    if letters.isascii() or not _MIXED.search(letters):
        return letters
    foreign = [letter for letter in letters if not letter.isascii()]
    if len(letters) - len(foreign) < 2 or not _SIMILAR.keys() >= set(foreign):
        return letters
    alike = _ALIKE.keys() >= set(foreign)
    return letters.translate(_FOLD) if alike or _WITHIN_LATIN.search(letters) else letters
