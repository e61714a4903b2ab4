"""What judges are shown: a text with nothing hidden in it. What is released is never touched.

Ordinary text comes through byte for byte, so that a review shares the model server's prefix cache.
Apply once: the result is made to be read, and what was decoded is added to it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, cast

from inwit.pipeline.disguise import undisguised
from inwit.pipeline.encoded import encoded
from inwit.types import Message

_LONGEST_RUN = 512  # of one character, or of white space
_LONGEST_REPEAT = 64  # of one line
_KEPT = 16  # of a run that is longer
_STRIDE = _LONGEST_RUN // 2
_RUN = re.compile(r"(.)\1{31,}", re.DOTALL)
_WHITE = re.compile(rf"(?<!\s)\s{{{_LONGEST_RUN},}}")
_WORD_OF_DATA = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"

_CONTROL = re.compile(
    # ChatML, Llama 3 and 4, Qwen, Phi, Granite, Command, GLM, harmony; DeepSeek with its wide bar
    r"<[|\uff5c][^<>|\uff5c\s]{1,64}[|\uff5c]>"
    # Gemma
    r"|<\|(?:turn|channel|think|tool|tool_call|tool_response|image|audio)>"
    r"|<(?:turn|channel|tool|tool_call|tool_response|image|audio)\|>"
    r"|<(?:(?:start|end)_of_(?:turn|image)|image_soft_token|unused\d{1,4})>"
    # Llama 2 and Mistral
    r"|</?s>|<(?:bos|eos|pad|unk)>|</?<?SYS>?>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK)\]"
    # Qwen's tool calls, GLM, EXAONE, Seed, MiniMax, and reasoning
    r"|</?tool_(?:call|response)>|\[gMASK\]|<[se]op>|\[\|[a-z]{1,32}\|\]|</?seed:[a-z_]{1,32}>"
    r"|\]~!?b[\[\]]|\[e~\[|</?think>"
)


class Mark(StrEnum):
    """What was found in a text that ordinary text does not hold."""

    ZERO_WIDTH = "zero_width"
    BIDI = "bidi"
    TAGS = "tags"
    CONTROL_TOKEN = "control_token"  # noqa: S105  # of a tokenizer, no password
    ENCODED = "encoded"
    PADDING = "padding"
    HOMOGLYPH = "homoglyph"
    COMBINING = "combining"


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as judges read it, and what was found, in the order of `Mark`.

    Without marks `text` is exactly what came in.
    """

    text: str
    marks: tuple[Mark, ...] = ()


def shown(text: str) -> Shown:
    """Bring to light what `text` hides. At most twice as long, and a constant; linear time.

    Invisible characters are dropped, and the text that tag characters and variation selectors
    spell is added at the end as `[hidden]`; look-alike letters are folded; base64, hexadecimal
    and needless escapes stay, with `[decoded]` at the end; padding is cut to a bounded run with a
    note; control tokens are broken (see `inert`).
    """
    plain = undisguised(text)
    parts = [undisguised(part.plain) for part in encoded(plain.text)]
    secrets = encoded(plain.hidden)
    layers = (plain, *parts)
    hidden = "".join(layer.hidden for layer in layers)
    body = _collapsed(plain.text)
    decoded = [_collapsed(part.text) for part in parts]
    decoded += [_collapsed(part.plain) for part in secrets]
    joined = _with_notes(body, hidden, decoded)
    safe = inert(joined)
    found = {
        Mark.ZERO_WIDTH: any(layer.zero_width for layer in layers),
        Mark.BIDI: any(layer.bidi for layer in layers),
        Mark.TAGS: any(layer.tags for layer in layers),
        Mark.CONTROL_TOKEN: safe != joined,
        Mark.ENCODED: bool(decoded),
        Mark.PADDING: body != plain.text,
        Mark.HOMOGLYPH: any(layer.homoglyph for layer in layers),
        Mark.COMBINING: any(layer.combining for layer in layers),
    }
    return Shown(safe, tuple(mark for mark, seen in found.items() if seen))


def shown_turn(turn: Message) -> Message:
    """The same for a turn: its text, its name, and every string within its tool calls."""
    return replace(
        turn,
        content=shown(turn.content).text,
        name=turn.name if turn.name is None else shown(turn.name).text,
        tool_calls=tuple(_shown_mapping(call, set()) for call in turn.tool_calls),
    )


def shown_arguments(text: str) -> Shown:
    """The same for the JSON text of a tool call's arguments, within its strings.

    It stays JSON. What is no JSON, or repeats a key and so means one thing to one parser and
    another to the next, is shown as text.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unrepeated)
        marks: set[Mark] = set()
        seen = _shown_value(value, marks)
    except (ValueError, RecursionError):
        return shown(text)
    if not marks:
        return Shown(text)
    safe = json.dumps(seen, ensure_ascii=False)
    return Shown(safe, tuple(mark for mark in Mark if mark in marks))


def inert(text: str) -> str:
    """Break what a tokenizer would read as a control token, by a space after its first character.

    The families known are named at the pattern. Role markers in plain words are left alone: no
    tokenizer gives them a meaning.
    """
    return _CONTROL.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def _with_notes(body: str, hidden: str, decoded: Iterable[str]) -> str:
    lines = "\n".join(decoded)
    notes = [f"[hidden] {hidden}"] if hidden else []
    notes += [f"[decoded] {lines}"] if lines else []
    return "\n\n".join((body, *notes))


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _shown_value(value: Any, marks: set[Mark]) -> Any:
    if isinstance(value, str):
        seen = shown(value)
        marks.update(seen.marks)
        return seen.text
    if isinstance(value, Mapping):
        return _shown_mapping(cast("Mapping[str, Any]", value), marks)
    if isinstance(value, list | tuple):
        return [_shown_value(each, marks) for each in cast("list[Any]", value)]
    return value


def _shown_mapping(value: Mapping[str, Any], marks: set[Mark]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, each in value.items():
        name = _shown_value(key, marks)
        while name in seen:  # two keys that read alike are still two
            name += "_"
        if key == "arguments" and isinstance(each, str):
            arguments = shown_arguments(each)
            marks.update(arguments.marks)
            seen[name] = arguments.text
        else:
            seen[name] = _shown_value(each, marks)
    return seen


def _collapsed(text: str) -> str:
    if len(text) < _LONGEST_RUN:
        return text
    if _has_long_run(text):
        text = _RUN.sub(_shorter_run, text)
    text = _WHITE.sub(_shorter_white, text)
    return _collapsed_lines(text) if text.count("\n") > _LONGEST_REPEAT else text


def _has_long_run(text: str) -> bool:
    """Whether one character fills a stride: every run of `_LONGEST_RUN` fills one."""
    for start in range(0, len(text) - _STRIDE + 1, _STRIDE):
        first = text[start]
        if (
            text[start + _STRIDE - 1] == first
            and text.count(first, start, start + _STRIDE) == _STRIDE
        ):
            return True
    return False


def _shorter_run(run: re.Match[str]) -> str:
    length = run.end() - run.start()
    if length < _LONGEST_RUN or run[1].isspace() or _is_data(run):
        return run[0]
    return f"{run[1] * _KEPT}[... {length} in a row]"


def _is_data(run: re.Match[str]) -> bool:
    """Whether the run lies in the base64 of an image: empty areas encode as long runs."""
    length = run.end() - run.start()
    before = run.string[max(0, run.start() - 2 * length) : run.start()]
    after = run.string[run.end() : run.end() + 2 * length]
    start = before.rstrip(_WORD_OF_DATA)
    around = len(before) - len(start) + len(after) - len(after.lstrip(_WORD_OF_DATA))
    named = start.endswith("base64,")
    return run[1] in _WORD_OF_DATA and (named or around >= 2 * length)


def _shorter_white(run: re.Match[str]) -> str:
    return f"{run[0][:_KEPT]}[... {run.end() - run.start()} of white space]{run[0][-1]}"


def _collapsed_lines(text: str) -> str:
    kept: list[str] = []
    for line, run in groupby(text.split("\n")):
        count = sum(1 for _ in run)
        if count <= _LONGEST_REPEAT or not line.strip():
            kept += [line] * count
        else:
            kept += [line] * 2 + [f"[... this line {count} times in a row]"]
    return "\n".join(kept)
