"""One response's story out of the ledger, for a person at a terminal.

What stands in entries and in content comes from callers and models: nothing of it reaches the
terminal but characters that can be seen.
"""

import json
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import Any, cast

from rich.console import Console
from rich.text import Text

from inwit.ledger.read import Story

_LONGEST = 60  # characters of one fact


def print_story(stories: Sequence[Story], covered: int, *, content: bool) -> None:
    """Print it: each entry, what it says, and its content where that is wanted.

    `covered` is the size of the newest checkpoint.
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for story in stories:
        console.print(_head(story, covered))
        for line in _what(story.facts):
            console.print(Text(f"    {seen(line)}"))
        if story.contents and not content:
            console.print(Text(f"    content: {seen(', '.join(story.contents))}", "dim"))
        for kind, value in story.contents.items() if content else ():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            console.print(Text(f"    {seen(kind)}:", "dim"))
            console.print(Text(indent(seen(text, lines=True), "      ")))


def _head(story: Story, covered: int) -> Text:
    facts = story.facts
    sequence, time = facts.get("sequence"), str(facts.get("time"))
    who = facts.get("actor") or facts.get("key") or "the queue"
    when = time.partition(".")[0].partition("+")[0].replace("T", " ")
    under = isinstance(sequence, int) and sequence <= covered
    return Text.assemble(
        (f"{seen(str(sequence))}  {seen(when)}  ", "dim"),
        (seen(str(facts.get("type"))), "bold"),
        f"  by {seen(str(who))}",
        (f"  {story.hash[:16]}{'' if under else '  not under a checkpoint yet'}", "dim"),
    )


def seen(text: str, *, lines: bool = False) -> str:
    """The text with everything that cannot be seen written out: escapes, bidi marks, the like."""
    return "".join(
        each if each.isprintable() or (lines and each == "\n") else ascii(each)[1:-1]
        for each in text
    )


def _what(facts: dict[str, Any]) -> Iterator[str]:
    """What an entry says, in lines."""
    match facts.get("type"):
        case "accepted":
            yield f"policy {_policy(facts)}, model {facts.get('model')}, {facts.get('asked')}"
        case "decision" | "check":
            outcome, action = facts.get("outcome", facts.get("action")), facts.get("action")
            yield f"{outcome} (action {action}): {_joined(facts.get('reasons'))}"
            yield f"policy {_policy(facts)}, model {facts.get('model')}"
            if facts.get("hold"):
                yield f"case {_get(facts, 'hold', 'id')}, {_get(facts, 'hold', 'severity')}"
            yield from _verdicts(facts)
        case "window":
            yield f"characters {facts.get('start')} to {facts.get('end') or 'the end'} leave"
            yield from _verdicts(facts)
        case "cut" | "failed":
            yield f"ended: {facts.get('reason')}"
            yield from _verdicts(facts)
        case _:
            if facts.get("case"):
                yield f"case {facts['case']}"
            for name, value in _object(facts.get("facts")).items():
                if value not in (None, "", False):
                    yield f"{name}: {_short(value)}"


def _verdicts(facts: dict[str, Any]) -> Iterator[str]:
    for each in _list(facts.get("rounds")):
        for verdict in map(_object, _list(_object(each).get("verdicts"))):
            risk = verdict.get("risk")
            said = verdict.get("status") if risk is None else f"risk {risk}"
            named = _joined(verdict.get("categories"))
            yield f"{verdict.get('judge')}: {said}{f' ({named})' if named else ''}"


def _policy(facts: dict[str, Any]) -> str:
    return f"{_get(facts, 'policy', 'name')} {_get(facts, 'policy', 'version')}"


def _get(facts: dict[str, Any], outer: str, inner: str) -> Any:
    return _object(facts.get(outer)).get(inner)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _joined(value: Any) -> str:
    return ", ".join(str(each) for each in _list(value))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
