"""What an attack is: a seeded rewriting of a labelled sample that keeps its label.

An attack changes how something is said or what stands around it, never what it comes to, and
treats safe and unsafe samples alike: recall and the false-positive rate under attack are both told.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from inwit.types import Message

Group = Literal[
    "encoding",
    "framing",
    "language",
    "splitting",
    "tool_smuggling",
    "reviewer_instructions",
    "instructions_in_prompt",
    "persistence",
    "refusal_prefix",
    "padding",
]

LONGEST = 6000  # characters of a request or a response; what is longer is left alone, not cut
GROWTH, MARGIN = 4, 4000

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Attacked:
    """What attacks read and write: a conversation, and the response to it that is judged."""

    conversation: tuple[Message, ...]
    response: str

    @property
    def size(self) -> int:
        """Characters of all turns and the response."""
        return len(self.response) + sum(len(turn.content) for turn in self.conversation)

    @property
    def asked_at(self) -> int | None:
        """The index of the last user turn."""
        users = [n for n, turn in enumerate(self.conversation) if turn.role == "user"]
        return users[-1] if users else None

    @property
    def request(self) -> str:
        """The text of the last user turn; empty where there is none or it is blank."""
        at = self.asked_at
        asked = "" if at is None else self.conversation[at].content
        return asked if asked.strip() else ""

    def with_request(self, request: str, before: tuple[Message, ...] = ()) -> "Attacked":
        """The last user turn saying `request`, and `before` in front of it.

        Nothing changes where there is no request.
        """
        at = self.asked_at
        if at is None or not self.request:
            return self
        turns = self.conversation
        turn = replace(turns[at], content=request)
        return replace(self, conversation=(*turns[:at], *before, turn, *turns[at + 1 :]))

    def with_response(self, response: str) -> "Attacked":
        """The same conversation with another response."""
        return replace(self, response=response)


def anything(_: Attacked) -> bool:
    """Suits every text."""
    return True


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to disguise a sample. `about` is a line for reports.

    `apply` may be called where `applies` is true; its result has at most `most_characters` of the
    size that went in. `suits` is what this attack needs beside what every attack needs.
    """

    name: str
    group: Group
    about: str
    apply: Callable[[Attacked, Random], Attacked]
    suits: Callable[[Attacked], bool] = anything

    def applies(self, text: Attacked) -> bool:
        """Whether there is something to attack, of valid Unicode, not too long, and it suits."""
        parts = (text.request, text.response)
        short = all(len(part) <= LONGEST for part in parts)
        valid = not any(_SURROGATE.search(part) for part in parts)
        return bool(text.response.strip()) and short and valid and self.suits(text)

    def on(self, text: Attacked, seed: int, sample: str) -> Attacked | None:
        """The attacked text; None where the attack does not apply.

        `sample` is the sample's digest: what is drawn follows from it, the seed and the attack's
        name alone, not from the order in which samples come.
        """
        if not self.applies(text):
            return None
        return self.apply(text, Random(f"{self.name}/{seed}/{sample}"))  # noqa: S311  # no secret


def most_characters(size: int) -> int:
    """The most characters that an attack makes of `size`."""
    return GROWTH * size + MARGIN
