"""What a family of guard models is: how it is asked, and how its answer is read. Pure, no I/O."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from inwit.types import Category, Exchange, Fault, TokenScore

ChatPath = Literal["/chat/completions"]
TextPath = Literal["/completions"]

TOP_LOGPROBS = 20  # the most that OpenAI's chat shape allows, and vLLM's default --max-logprobs

# A label longer than this, or in other characters, is no label but prose.
LABEL = r"[A-Za-z0-9 _:&/-]{1,64}"
MOST_LABELS = 32


@dataclass(frozen=True, slots=True)
class Position:
    """One token that the guard wrote, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: tuple[TokenScore, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guard wrote. `finished` is False where it was cut.

    `positions` is None where the server gives no log-probabilities.
    """

    text: str
    finished: bool = True
    positions: tuple[Position, ...] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One request, but for the model's name. `answered`: whether a candidate is judged.

    `label` is what was asked about, in the guard's own name, where one request asks about one
    thing; else it is empty, and the answer names what was found.
    """

    path: ChatPath | TextPath
    body: Mapping[str, Any]
    answered: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A well-formed answer. `risk` and `label_mass` lie in [0, 1]; `labels` are the guard's names.

    `label_mass` is None where the risk is from the words alone.
    """

    risk: float
    label_mass: float | None = None
    labels: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of one family are asked and read.

    `read` gives a fault for every answer that is not exactly of the family's form.
    """

    name: str
    ask: Callable[[Exchange], tuple[Question, ...]]
    read: Callable[[Question, Answer], Reading | Fault]
    judges_input: bool = True


def chat(
    messages: Iterable[Mapping[str, str]],
    max_tokens: int,
    template: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """A chat request, deterministic and with log-probabilities; `template`: the template's."""
    body: dict[str, Any] = {
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": TOP_LOGPROBS,
    }
    if template is not None:
        body["chat_template_kwargs"] = dict(template)
    return MappingProxyType(body)


def completion(prompt: str, max_tokens: int) -> Mapping[str, Any]:
    """A request for plain text, without the start token: the server adds it."""
    return MappingProxyType(
        {
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
            "logprobs": TOP_LOGPROBS,
        }
    )


def listed(text: str, separator: str = ",") -> tuple[str, ...] | None:
    """The labels of a list, each once, in order; None where one of them is none."""
    labels = tuple(dict.fromkeys(part.strip(" \t") for part in text.split(separator)))
    if len(labels) > MOST_LABELS or not all(re.fullmatch(LABEL, label) for label in labels):
        return None
    return labels


def known(labels: Iterable[str], categories: Mapping[str, Category | None]) -> tuple[Category, ...]:
    """The categories of those labels that have one, each once."""
    found = (categories.get(label) for label in labels)
    return tuple(dict.fromkeys(category for category in found if category is not None))
