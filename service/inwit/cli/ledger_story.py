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


def print_story(stories: Sequence[Story], covered: int, *, content: bool) -> None:
    """Print it: each entry, what it says, and its content where that is wanted.

    `covered` is the size of the newest checkpoint.
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for story in stories:
        console.print(_head(story, covered))
        for name, value in told(story.facts):
            console.print(Text(f"    {seen(name)}: {seen(value)}"))
        if story.contents and not content:
            console.print(Text(f"    content: {seen(', '.join(story.contents))}", "dim"))
        for kind, value in story.contents.items() if content else ():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            console.print(Text(f"    {seen(kind)}:", "dim"))
            console.print(Text(indent(seen(text, lines=True), "      ")))


def _head(story: Story, covered: int) -> Text:
    facts = story.facts
    sequence, time = facts.get("sequence"), str(facts.get("time"))
    when = time.partition(".")[0].partition("+")[0].replace("T", " ")
    under = isinstance(sequence, int) and sequence <= covered
    return Text.assemble(
        (f"{seen(str(sequence))}  {seen(when)}  ", "dim"),
        (seen(title(facts)), "bold"),
        f"  by {seen(who(facts))}",
        (f"  {story.hash[:16]}{'' if under else '  not under a checkpoint yet'}", "dim"),
    )


def seen(text: str, *, lines: bool = False) -> str:
    """The text with everything that cannot be seen written out: escapes, bidi marks, the like."""
    return "".join(
        each if each.isprintable() or (lines and each == "\n") else ascii(each)[1:-1]
        for each in text
    )
