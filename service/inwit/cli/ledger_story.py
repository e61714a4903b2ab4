"""One response's story out of the ledger, for a person at a terminal.

What stands in entries and in content comes from callers and models: nothing of it reaches the
terminal but characters that can be seen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from rich.console import Console
from rich.text import Text

from inwit.ledger.entry_words import title, told, who
from inwit.ledger.read import Story
from inwit.ledger.signers import Signature, Trusted
from inwit.ledger.story import Proven, Standing
from inwit.ledger.verify import Key

_STANDINGS = {
    Standing.HOLDS: "",
    Standing.WAITS: "  not under a checkpoint yet",
    Standing.BROKEN: "  DOES NOT HOLD: run `inwit ledger verify`",
}
_UNFIT = "what is stored is not what the entry committed to, and is not shown"


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Public keys that do not come from the ledger; who says so; why there are none."""

    keys: Sequence[Key]
    whose: str = "the settings name"
    lacking: str = "no key of the log is here (--key)"


def print_story(stories: Sequence[Story], proven: Proven, own: OwnKeys, *, content: bool) -> None:
    """Print it: each entry, whether it holds, what it says, its content where that is wanted."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for story in stories:
        console.print(_head(story, standing_of(story, proven)))
        if story.changed:
            console.print("    It is not as it was written. What it says now is not shown.")
            continue
        for name, value in told(story.facts):
            console.print(Text(f"    {seen(name)}: {seen(value)}"))
        if story.contents and not content:
            console.print(Text(f"    content: {seen(', '.join(story.contents))}", "dim"))
        for kind, value in story.contents.items() if content else ():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            console.print(Text(f"    {seen(kind)}:", "dim"))
            console.print(Text(indent(seen(text, lines=True), "      ")))
        for kind in story.unfit:
            console.print(Text(f"    {seen(kind)}: {_UNFIT}", "bold"))
    console.print(Text(_under(proven, own)))


def standing_of(story: Story, proven: Proven) -> Standing:
    """Whether the entry is in the log as it was signed."""
    sequence = story.facts.get("sequence")
    if story.changed or not isinstance(sequence, int):
        return Standing.BROKEN
    return proven.standings.get(sequence, Standing.BROKEN)


def checkpoint_of(proven: Proven) -> dict[str, Any] | None:
    """The checkpoint that the entries stand under, and who signed it, for a program."""
    if proven.checkpoint is None or proven.signature is None:
        return None
    return {
        "size": proven.checkpoint.size,
        "note": str(proven.checkpoint.note),
        "signed_by": proven.signature.vkey,
        "trust": proven.signature.trusted.value,
    }


def _under(proven: Proven, own: OwnKeys) -> str:
    if proven.checkpoint is None or proven.signature is None:
        return "There is no checkpoint: nothing vouches for these entries."
    by = seen(_signer(proven.signature, own))
    more = "" if own.keys else f" Who signed was not checked: {own.lacking}."
    if proven.signature.trusted is Trusted.UNKNOWN:
        more += " Run `inwit ledger verify`."
    return f"The newest checkpoint, of {proven.checkpoint.size} entries, is {by}.{more}"


def _signer(signature: Signature, own: OwnKeys) -> str:
    key = f"{signature.key.name}+{signature.key.id}" if signature.key else ""
    match signature.trusted:
        case Trusted.GIVEN:
            return f"signed by a key that {own.whose}: {key}"
        case Trusted.HANDED_OVER:
            return f"signed by a key to which one that {own.whose} handed over: {key}"
        case Trusted.UNCHECKED:
            return f"signed by a key that the log itself names: {key}"
        case Trusted.UNKNOWN if own.keys:
            return f"not signed by a key that {own.whose}, nor by one to which it handed over"
        case Trusted.UNKNOWN:
            return "not signed by a key that the log itself names"


def _head(story: Story, standing: Standing) -> Text:
    facts = story.facts
    sequence, time = facts.get("sequence"), str(facts.get("time"))
    when = time.partition(".")[0].partition("+")[0].replace("T", " ")
    return Text.assemble(
        (f"{seen(str(sequence))}  {seen(when)}  ", "dim"),
        (seen(title(facts)), "bold"),
        f"  by {seen(who(facts))}",
        (f"  {seen(story.hash[:16])}", "dim"),
        (_STANDINGS[standing], "dim" if standing is Standing.WAITS else "bold"),
    )


def seen(text: str, *, lines: bool = False) -> str:
    """The text with everything that cannot be seen written out: escapes, bidi marks, the like."""
    return "".join(
        each if each.isprintable() or (lines and each == "\n") else ascii(each)[1:-1]
        for each in text
    )
