"""A conversation as guards take it: two speakers in turn, and no text that passes for the template.

Control tokens are broken before a guard is asked (`Exchange`). What is left are the words by which
a guard's template, or plain prompt, sets its parts apart: a candidate that holds them would
otherwise end its own quotation. They are broken here, in what the guard is shown, never in what is
released: a space goes after the first character of a tag, and `> ` before a heading.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from inwit.types import Exchange, Message

# Everything that some reader takes for a line's end.
_LINE_END = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LINE_START = rf"(?P<start>\A|[{_LINE_END}])(?P<blank>[^\S{_LINE_END}]*)"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said, until the other side spoke."""

    role: Literal["user", "assistant"]
    content: str

    def as_openai(self) -> dict[str, str]:
        """The message in OpenAI's shape."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Marks:
    """What sets the parts of one family's prompt apart, ready to be broken in a text."""

    tags: re.Pattern[str]
    headings: re.Pattern[str]

    def break_in(self, text: str) -> str:
        """The text as the guard may be shown it; the same text where it holds no mark."""
        text = self.tags.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return self.headings.sub(lambda found: f"{found['start']}{found['blank']}> ", text)


def marks(tags: Iterable[str], headings: Iterable[str] = ()) -> Marks:
    """The marks of a family, found in any case and with any blanks for a blank."""
    either = "|".join(map(_loosely, headings)) or "(?!)"
    return Marks(
        re.compile("|".join(map(_loosely, tags)), re.IGNORECASE),
        re.compile(f"{_LINE_START}(?={either})", re.IGNORECASE),
    )


def turns(exchange: Exchange, marks: Marks) -> tuple[Turn, ...]:
    """The conversation, the user first; the last turn is what is to be judged.

    That is the candidate, or where there is none the user's last turn. Tool results count as what
    the user's side said. The system's messages are left out, unless there is nothing else.
    """
    spoken = [
        Turn("assistant" if message.role == "assistant" else "user", _content(message))
        for message in exchange.conversation
        if message.role not in ("system", "developer")
    ]
    if not any(turn.role == "user" for turn in spoken):
        told = [message for message in exchange.conversation if message.role != "assistant"]
        spoken.insert(0, Turn("user", "\n\n".join(map(_content, told))))
    if exchange.answer is not None:
        spoken.append(Turn("assistant", exchange.answer))
    folded = _fold(spoken)
    if exchange.answer is None and folded[-1].role == "assistant":
        folded.pop()
    return tuple(Turn(turn.role, marks.break_in(turn.content)) for turn in folded)


def last_exchange(exchange: Exchange, marks: Marks) -> tuple[str, str]:
    """The user's last turn and the candidate ("" where there is none)."""
    all_turns = turns(exchange, marks)
    if exchange.answer is None:
        return all_turns[-1].content, ""
    return all_turns[-2].content, all_turns[-1].content


def _fold(spoken: Iterable[Turn]) -> list[Turn]:
    folded = [Turn("user", "")]
    for turn in spoken:
        if turn.role != folded[-1].role:
            folded.append(turn)
        elif folded[-1].content:
            folded[-1] = Turn(turn.role, f"{folded[-1].content}\n\n{turn.content}")
        else:
            folded[-1] = turn
    return folded


def _content(message: Message) -> str:
    if not message.tool_calls:
        return message.content
    calls = json.dumps([dict(call) for call in message.tool_calls], ensure_ascii=False)
    return f"{message.content}\n{calls}".strip("\n")


def _loosely(mark: str) -> str:
    return r"\s+".join(map(re.escape, mark.split(" ")))
