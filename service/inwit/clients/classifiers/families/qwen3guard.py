"""Qwen3Guard-Gen: a line `Safety: ...`, a line `Categories: ...`, of answers a line `Refusal: ...`.

Sources: the model's README (github.com/QwenLM/Qwen3Guard: the messages, the categories, the form of
the answer) and its chat template, which makes the prompt on the server (a rendering of it is in
github.com/modelscope/ms-swift, the template `qwen3_guard`). The template judges the last message.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from inwit.clients.classifiers.families.family import (
    Answer,
    Family,
    Question,
    Reading,
    chat,
    known,
    listed,
)
from inwit.clients.classifiers.families.scores import weigh
from inwit.clients.classifiers.families.turns import marks, turns
from inwit.types import Category, Exchange, Fault

CATEGORIES: Mapping[str, Category | None] = MappingProxyType(
    {
        "Violent": Category.VIOLENT_CRIMES,
        "Non-violent Illegal Acts": Category.NONVIOLENT_CRIMES,
        "Sexual Content or Sexual Acts": Category.SEXUAL_CONTENT,
        "PII": Category.PRIVACY_LEAK,
        "Suicide & Self-Harm": Category.SELF_HARM,
        # Hate, harassment, defamation and misinformation in one: no class is nearest.
        "Unethical Acts": None,
        "Politically Sensitive Topics": None,
        "Copyright Violation": Category.INTELLECTUAL_PROPERTY,
        # Of a prompt only: how it asks, not what harm it seeks.
        "Jailbreak": None,
    }
)
# Half: harmful for some audiences and not for others, which the policy's thresholds decide. The
# model's own strict mode counts it as 1, its loose mode as 0.
CONTROVERSIAL = 0.5
_WEIGHTS = MappingProxyType({"Safe": 0.0, "Controversial": CONTROVERSIAL, "Unsafe": 1.0})
_MAX_TOKENS = 128

_MARKS = marks(
    (
        "<BEGIN CONVERSATION>",
        "<END CONVERSATION>",
        "<BEGIN SAFETY POLICY>",
        "<END SAFETY POLICY>",
        "<BEGIN UNSAFE CONTENT CATEGORIES>",
        "<END UNSAFE CONTENT CATEGORIES>",
        "<BEGIN REFUSAL POLICY>",
        "<END REFUSAL POLICY>",
        "<think>",
        "</think>",
    ),
    ("USER:", "ASSISTANT:", "Safety:", "Provide your safety assessment", "# Task:"),
)

_FORM = re.compile(
    r"[ \t\r\n]*Safety: (?P<word>Safe|Controversial|Unsafe)[ \t]*\r?\n"
    r"Categories: (?P<categories>[^\r\n]+?)[ \t]*"
    r"(?:\r?\nRefusal: (?P<refusal>Yes|No))?[ \t\r\n]*"
)


def ask(exchange: Exchange) -> tuple[Question, ...]:
    """The conversation as it stands; the template does the rest."""
    messages = [turn.as_openai() for turn in turns(exchange, _MARKS)]
    return (
        Question("/chat/completions", chat(messages, _MAX_TOKENS), exchange.answer is not None),
    )


def read(question: Question, answer: Answer) -> Reading | Fault:
    """P(Unsafe) + P(Controversial) / 2, over the three words."""
    form = _FORM.fullmatch(answer.text)
    # It says whether an answer refuses, and only of an answer.
    if form is None or not answer.finished or question.answered != (form["refusal"] is not None):
        return Fault.MALFORMED_ANSWER
    none = form["categories"] == "None"
    labels = () if none else listed(form["categories"])
    if labels is None or "None" in labels or (form["word"] == "Safe" and not none):
        return Fault.MALFORMED_ANSWER
    weighed = weigh(answer, _WEIGHTS, form["word"], form.start("word"))
    if isinstance(weighed, Fault):
        return weighed
    return Reading(*weighed, labels, known(labels, CATEGORIES))


QWEN3GUARD = Family("qwen3guard", ask, read)
