"""Past the lower threshold: which categories, which words, and why, by one structured call.

The answer is the model's own and is treated as such: what is ill-formed, quotes words that are not
there, or names nothing where a risk was found, is recorded as that and changes nothing.
"""

import asyncio
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit.decisions import Explanation, ExplanationStatus
from inwit.errors import ConversationTooLong, UpstreamError
from inwit.pipeline.conscience import frame
from inwit.pipeline.normalise import inert
from inwit.pipeline.protocols import ReviewModel
from inwit.types import Candidate, Category, Exchange, Framing

_MAX_TOKENS = 192
_MOST_CATEGORIES = 4
_MOST_SPANS = 3
_LONGEST_SPAN = 300
_LONGEST_REASON = 400


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    categories: Annotated[list[Category], Field(max_length=len(Category))]
    quotes: Annotated[
        list[Annotated[str, Field(max_length=_LONGEST_SPAN)]], Field(max_length=_MOST_SPANS)
    ]
    reason: Annotated[str, Field(max_length=_LONGEST_REASON)]


class ModelExplainer:
    """An `Explainer` that asks the served model, in the framing of its review."""

    def __init__(self, model: ReviewModel) -> None:
        self._model = model

    async def explain(
        self, framing: Framing, exchange: Exchange, model: str, timeout_s: float
    ) -> Explanation:
        """Ask; every failure is an explanation of its own."""
        messages = frame(framing, question(exchange), exchange)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._model.structured(
                    messages, schema(exchange), model, exchange.tenant, _MAX_TOKENS
                )
        except (ConversationTooLong, UpstreamError, TimeoutError):
            return Explanation(ExplanationStatus.UNAVAILABLE)
        return read_explanation(answer, exchange)


def question(exchange: Exchange) -> str:
    """What the model is asked; the categories' descriptions are the taxonomy's."""
    lines = [f"- {harm.category.value}: {harm.description}" for harm in exchange.harms]
    return (
        "That answer may be harmful. Which of these apply to it?\n"
        + "\n".join(lines)
        + '\nReply with JSON only: {"categories": [names from the list], "quotes": [the exact '
        'words of the answer that are harmful], "reason": "one sentence"}. If none applies, '
        "categories is []."
    )


def schema(exchange: Exchange) -> dict[str, Any]:
    """The JSON Schema of the reply.

    No `maxLength`: llama.cpp makes of it a grammar with one rule for each character, and then
    takes six times as long for a token. `max_tokens` bounds the reply, and `_Answer` checks it.
    """
    names = [harm.category.value for harm in exchange.harms]
    return {
        "type": "object",
        "properties": {
            "categories": {
                "type": "array",
                "items": {"type": "string", "enum": names},
                "maxItems": _MOST_CATEGORIES,
            },
            "quotes": {"type": "array", "items": {"type": "string"}, "maxItems": _MOST_SPANS},
            "reason": {"type": "string"},
        },
        "required": ["categories", "quotes", "reason"],
        "additionalProperties": False,
    }


def read_explanation(answer: Candidate, exchange: Exchange) -> Explanation:
    """Check a reply against the schema, the categories asked about, and the answer itself."""
    try:
        parsed = _Answer.model_validate(json.loads(answer.text))
    except (ValidationError, ValueError, RecursionError):
        return Explanation(ExplanationStatus.ILL_FORMED, usage=answer.usage)
    asked = {harm.category for harm in exchange.harms}
    quotes = tuple(quote for quote in parsed.quotes if quote.strip())
    contradicts = (
        not parsed.categories
        or not asked.issuperset(parsed.categories)
        or any(quote not in (exchange.answer or "") for quote in quotes)
    )
    if contradicts:
        return Explanation(ExplanationStatus.CONTRADICTING, usage=answer.usage)
    categories = tuple(dict.fromkeys(parsed.categories))
    reason = inert(parsed.reason.strip())
    return Explanation(ExplanationStatus.NAMED, categories, quotes, reason, answer.usage)
