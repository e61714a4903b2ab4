"""Text within text: base64, hexadecimal and escapes that decode to something that can be read.

Only what can be told reliably counts. Hashes, identifiers, image data and the escapes that URLs
and JSON need decode to noise, or need no decoding, and are left alone.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SHORTEST_BASE64 = 24  # characters, which hold 18 bytes: noise that reads as text is 1 in 10^7
_LEVELS = 2
_READABLE = 0.9  # the share of decoded characters that must be printable, and of one script
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\n\r\t"

_CHUNK = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}")
_GAP = re.compile(r"[ \t]{0,4}\r?\n[ \t>]{0,8}|[ \t]{1,4}")
_TAIL = re.compile(r"[ \t]{0,4}\r?\n[ \t>]{0,8}([A-Za-z0-9+/_-]{1,15}={0,2})(?![A-Za-z0-9+/_-])")
_STANDARD = str.maketrans("-_", "+/")

# No boundary on the right: without one the repetition can never fail, so it never runs twice.
_HEX_RUN = re.compile(
    r"(?<![0-9A-Za-z])(?:0x|\\x)?[0-9a-fA-F]{2}(?:[ :,-]{0,2}(?:0x|\\x)?[0-9a-fA-F]{2}){15,}"
)
_HEX_NOISE = re.compile(r"0x|\\x|[ :,-]")
_PERCENT_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2}){8,}")
_ESCAPE_RUN = re.compile(r"(?:\\u[0-9a-fA-F]{4}){6,}")
_ENTITY_RUN = re.compile(r"(?:&#(?:[xX][0-9a-fA-F]{1,6}|[0-9]{1,7});){6,}")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A part of a text that decodes to `plain`; `start` and `end` count code points."""

    start: int
    end: int
    plain: str


def encoded(text: str) -> tuple[Encoded, ...]:
    """The parts of `text` that decode to readable text, in order, without overlaps.

    What they decode to is decoded once more in its place, where that gives readable text again.
    `plain` is never longer than its part.
    """
    return tuple(
        Encoded(part.start, part.end, _decode_within(part.plain, _LEVELS - 1))
        for part in _parts(text)
    )


def _decode_within(text: str, levels: int) -> str:
    if not levels:
        return text
    pieces: list[str] = []
    done = 0
    for part in _parts(text):
        pieces += (text[done : part.start], _decode_within(part.plain, levels - 1))
        done = part.end
    return "".join((*pieces, text[done:]))


def _parts(text: str) -> list[Encoded]:
    found = sorted(
        (*_hex(text), *_escapes(text), *_base64(text)), key=lambda part: (part.start, -part.end)
    )
    kept: list[Encoded] = []
    for part in found:
        if not kept or part.start >= kept[-1].end:
            kept.append(part)
    return kept


def _base64(text: str) -> Iterator[Encoded]:
    for group in _groups(text):
        tail = _TAIL.match(text, group[-1].end()) if group[-1][0][-1] != "=" else None
        tries = [(group, tail), (group, None)] if tail else [(group, None)]
        if len(group) > 1:
            tries += [([chunk], None) for chunk in group]
        taken = 0
        for chunks, last in tries:
            plain = _from_base64("".join(chunk[0] for chunk in chunks) + (last[1] if last else ""))
            if plain is not None and chunks[0].start() >= taken:
                taken = last.end() if last else chunks[-1].end()
                yield Encoded(chunks[0].start(), taken, plain)


def _groups(text: str) -> Iterator[list[re.Match[str]]]:
    """Chunks that are one blob wrapped over lines: all as long as the second, the last one less."""
    group: list[re.Match[str]] = []
    for chunk in _CHUNK.finditer(text):
        if group and not _continues(text, group, chunk):
            yield group
            group = []
        group.append(chunk)
    if group:
        yield group


def _continues(text: str, group: list[re.Match[str]], chunk: re.Match[str]) -> bool:
    last = group[-1]
    gap = _GAP.fullmatch(text, last.end(), chunk.start())
    even = len(group) == 1 or len(last[0]) == len(group[1][0])
    return gap is not None and even and last[0][-1] != "=" and len(chunk[0]) >= 16


def _from_base64(blob: str) -> str | None:
    blob = blob.rstrip("=").translate(_STANDARD)
    if len(blob) < _SHORTEST_BASE64:
        return None
    usable = blob[: len(blob) - 1] if len(blob) % 4 == 1 else blob
    try:
        raw = base64.b64decode(usable + "=" * (-len(usable) % 4), validate=True)
    except binascii.Error:
        return None
    return _readable(raw)


def _hex(text: str) -> Iterator[Encoded]:
    for run in _HEX_RUN.finditer(text):
        digits = _HEX_NOISE.sub("", run[0])
        # Lists of two-digit numbers decode to letters too, but hold no hexadecimal letter.
        if digits.isdecimal() or len(digits) % 2:
            continue
        plain = _readable(bytes.fromhex(digits))
        if plain is not None and _wordy(plain):
            yield Encoded(run.start(), run.end(), plain)


def _escapes(text: str) -> Iterator[Encoded]:
    """Runs of escapes that nothing needed: most of what they stand for is ASCII letters."""
    kinds: tuple[tuple[str, re.Pattern[str], Callable[[str], str]], ...] = (
        ("%", _PERCENT_RUN, _from_percent),
        ("\\u", _ESCAPE_RUN, _from_escapes),
        ("&#", _ENTITY_RUN, _from_entities),
    )
    for sign, pattern, decode in kinds:
        if sign not in text:
            continue
        for run in pattern.finditer(text):
            plain = decode(run[0])
            if _wordy(plain):
                yield Encoded(run.start(), run.end(), plain)


def _from_percent(run: str) -> str:
    return bytes.fromhex(run.replace("%", "")).decode("utf-8", "replace")


def _from_escapes(run: str) -> str:
    return "".join(_character(int(code, 16)) for code in run.split("\\u")[1:])


def _from_entities(run: str) -> str:
    codes = (code[:-1] for code in run.split("&#")[1:])
    return "".join(
        _character(int(code[1:], 16) if code[0] in "xX" else int(code)) for code in codes
    )


def _character(code: int) -> str:
    return chr(code) if code < 0xD800 or 0xE000 <= code <= 0x10FFFF else "\ufffd"


def _wordy(text: str) -> bool:
    letters = sum(1 for character in text if character.isascii() and character.isalpha())
    return letters * 2 > len(text)


def _readable(raw: bytes) -> str | None:
    """The text that `raw` is, or None for what is mostly noise."""
    if len(raw.translate(None, _PRINTABLE)) <= (1 - _READABLE) * len(raw):
        return raw.decode("utf-8", "replace")
    # Noise shows at once; this spares decoding a large image to the end.
    if len(raw) > 512 and _readable(raw[:256]) is None:
        return None
    text = raw.decode("utf-8", "replace")
    scripts = Counter(map(_script, text))
    seen = scripts.pop("ascii", 0) - scripts.pop("noise", 0)
    most = max(scripts.values(), default=0)
    return text if most and seen + most >= _READABLE * len(text) else None


def _script(character: str) -> str | int:
    """Roughly the script: enough to tell text, which keeps to one, from noise."""
    code = ord(character)
    if character == "\ufffd" or not (character.isprintable() or character in "\n\r\t"):
        return "noise"
    if code < 0x80:
        return "ascii"
    if 0x2E80 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF or 0xFF00 <= code <= 0xFFEF:
        return "east asian"
    return code >> 8
