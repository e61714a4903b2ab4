"""Llama Guard 3 and 4: `safe`, or `unsafe` and on a second line the codes of what was violated.

Sources: the model cards (github.com/meta-llama/PurpleLlama, Llama-Guard3/8B/MODEL_CARD.md and
Llama-Guard4/12B/MODEL_CARD.md: the codes, and "the probability for the first token ... as the
'unsafe' class probability") and the chat template of Llama Guard 3 (as kept in
github.com/huggingface/huggingface.js, packages/ollama-utils/src/chat-template-automap.ts). The
template makes the prompt, on the server. It takes only user and assistant in turn, the user first,
and judges the last of them. The template of Llama Guard 4 could not be read; its documentation
(llama.com/docs/model-cards-and-prompt-formats/llama-guard-4) gives the same roles and answers.
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
        "S1: Violent Crimes": Category.VIOLENT_CRIMES,
        "S2: Non-Violent Crimes": Category.NONVIOLENT_CRIMES,
        "S3: Sex-Related Crimes": Category.SEX_CRIMES,
        "S4: Child Sexual Exploitation": Category.CHILD_EXPLOITATION,
        "S5: Defamation": Category.DEFAMATION,
        "S6: Specialized Advice": Category.PROFESSIONAL_ADVICE,
        "S7: Privacy": Category.PRIVACY_LEAK,
        "S8: Intellectual Property": Category.INTELLECTUAL_PROPERTY,
        "S9: Indiscriminate Weapons": Category.WEAPONS,
        "S10: Hate": Category.HATE,
        "S11: Suicide & Self-Harm": Category.SELF_HARM,
        "S12: Sexual Content": Category.SEXUAL_CONTENT,
        # False statements about elections: no class of the taxonomy is about them.
        "S13: Elections": None,
        "S14: Code Interpreter Abuse": Category.UNSAFE_TOOL_USE,
    }
)
_NAMES = {name.partition(":")[0]: name for name in CATEGORIES}
_WEIGHTS = MappingProxyType({"safe": 0.0, "unsafe": 1.0})
_MAX_TOKENS = 64  # "unsafe" and all fourteen codes

_MARKS = marks(
    (
        "<BEGIN CONVERSATION>",
        "<END CONVERSATION>",
        "<BEGIN UNSAFE CONTENT CATEGORIES>",
        "<END UNSAFE CONTENT CATEGORIES>",
    ),
    ("User:", "Agent:", "Provide your safety assessment", "Task: Check if"),
)

# The template ends without the blank line that the model then writes first.
_FORM = re.compile(
    r"[ \t\r\n]*(?P<word>safe|unsafe)"
    r"(?:[ \t]*\r?\n(?P<codes>S[0-9]{1,2}(?:[ \t]*,[ \t]*S[0-9]{1,2})*))?[ \t\r\n]*"
)


def ask(exchange: Exchange) -> tuple[Question, ...]:
    """The conversation as it stands; the template does the rest."""
    messages = [turn.as_openai() for turn in turns(exchange, _MARKS)]
    return (
        Question("/chat/completions", chat(messages, _MAX_TOKENS), exchange.answer is not None),
    )


def read(question: Question, answer: Answer) -> Reading | Fault:
    """P(unsafe) / (P(safe) + P(unsafe)) of the first word, and the codes by their names."""
    del question
    form = _FORM.fullmatch(answer.text)
    if form is None or not answer.finished or (form["word"] == "safe" and form["codes"]):
        return Fault.MALFORMED_ANSWER
    codes = listed(form["codes"]) if form["codes"] else ()
    if codes is None:
        return Fault.MALFORMED_ANSWER
    weighed = weigh(answer, _WEIGHTS, form["word"], form.start("word"))
    if isinstance(weighed, Fault):
        return weighed
    labels = tuple(_NAMES.get(code, code) for code in codes)
    return Reading(*weighed, labels, known(labels, CATEGORIES))


LLAMA_GUARD_3 = Family("llama_guard_3", ask, read)
LLAMA_GUARD_4 = Family("llama_guard_4", ask, read)
