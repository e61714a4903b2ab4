"""One response's story out of the ledger, for a person at a terminal.

What stands in entries and in content comes from callers and models: nothing of it reaches the
terminal but characters that can be seen.
"""

import json
from collections.abc import Sequence
from textwrap import indent

from rich.console import Console
from rich.text import Text

from inwit.ledger.entry_words import title, told, who
from inwit.ledger.read import Story
from inwit.ledger.story import Proven, Standing

_STANDINGS = {
    Standing.HOLDS: "",
    Standing.WAITS: "  not under a checkpoint yet",
    Standing.BROKEN: "  DOES NOT HOLD: run `inwit ledger verify`",
}
_UNFIT = "what is stored is not what the entry committed to, and is not shown"


def print_story(stories: Sequence[Story], proven: Proven, *, content: bool) -> None:
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
    console.print(Text(_under(proven)))


def standing_of(story: Story, proven: Proven) -> Standing:
    """Whether the entry is in the log as it was signed."""
    sequence = story.facts.get("sequence")
    if story.changed or not isinstance(sequence, int):
        return Standing.BROKEN
    return proven.standings.get(sequence, Standing.BROKEN)


def _under(proven: Proven) -> str:
    if proven.signed is None:
        return "There is no checkpoint: nothing vouches for these entries."
    by = "signed by a key of the log" if proven.signed else "not signed by a key of the log"
    more = "" if proven.signed else " Run `inwit ledger verify`."
    return f"The newest checkpoint, of {proven.size} entries, is {by}.{more}"


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
