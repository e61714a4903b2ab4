"""A classifier behind any server with the shape of OpenAI's `/v1/moderations`.

`risk` is the highest score among the names that the policy's categories map to, and the names
that Inwit does not know. It is a score, not a probability: what to make of one is the policy's.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from inwit.clients.classifiers.http import (
    MAX_ANSWER_BYTES,
    Finding,
    Label,
    ModelName,
    Share,
    ask_server,
    asked_about,
    not_judged,
)
from inwit.clients.transport import JsonTransport
from inwit.types import Category, Exchange, Fault, Verdict

# OpenAI's thirteen names, by the descriptions in its guide to moderation and in our taxonomy.
CATEGORIES: Mapping[str, tuple[Category, ...]] = MappingProxyType(
    {
        "harassment": (Category.HATE, Category.COERCION),
        "harassment/threatening": (Category.COERCION, Category.VIOLENT_CRIMES),
        "hate": (Category.HATE,),
        "hate/threatening": (Category.HATE, Category.VIOLENT_CRIMES),
        "illicit": (Category.NONVIOLENT_CRIMES,),
        "illicit/violent": (Category.VIOLENT_CRIMES, Category.WEAPONS),
        "self-harm": (Category.SELF_HARM,),
        "self-harm/intent": (Category.SELF_HARM,),
        "self-harm/instructions": (Category.SELF_HARM,),
        "sexual": (Category.SEXUAL_CONTENT,),
        "sexual/minors": (Category.CHILD_EXPLOITATION,),
        "violence": (Category.VIOLENT_CRIMES,),
        "violence/graphic": (Category.VIOLENT_CRIMES,),
    }
)
_KNOWN = frozenset[Category]().union(*CATEGORIES.values())
# A name that is flagged with a score below this contradicts itself, and neither is believed.
LEAST_FLAGGED_SCORE = 0.1
_MAX_NAMES = 128


class _Result(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    flagged: bool
    categories: Annotated[dict[Label, bool], Field(min_length=1, max_length=_MAX_NAMES)]
    category_scores: Annotated[dict[Label, Share], Field(max_length=_MAX_NAMES)]


class _Moderation(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    results: Annotated[list[_Result], Field(min_length=1, max_length=1)]
    model: ModelName | None = None


_MODERATION = TypeAdapter(_Moderation)


class ModerationClassifier:
    """A moderation server at `base_url` + `/moderations`. A `Member` of the panel.

    It is sent one text: the answer, or the last user turn where there is no answer yet. A text of
    more than `max_chars` characters is not sent: such servers cut it without a word. `key_setting`
    is the name of the setting that `api_key` came from, for messages.
    """

    judges_input = True

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        key_setting: str = "INWIT_CLASSIFIERS",
        max_chars: int = 32_000,
    ) -> None:
        self.name = name
        self._model = model
        self._max_chars = max_chars
        self._transport = JsonTransport(
            base_url,
            api_key=api_key,
            what=f"classifier {name}",
            key_setting=key_setting,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        await self._transport.close()

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        """Give a verdict within `timeout_s` seconds; every failure is a verdict of its own."""
        asked = asked_about(exchange)
        text = _shown(exchange)
        if text is None or len(text) > self._max_chars or not asked & _KNOWN:
            return not_judged(self.name, exchange, Fault.DOES_NOT_FIT)
        body: dict[str, Any] = {"input": text}
        if self._model is not None:
            body["model"] = self._model
        return await ask_server(
            self.name,
            self._transport,
            "/moderations",
            body,
            exchange,
            timeout_s,
            lambda raw: read_moderation(raw, asked),
        )


def read_moderation(raw: bytes, asked: frozenset[Category]) -> Finding:
    """Read a moderation, as far as it is about what was `asked`; labels are all names flagged.

    Raises:
        ValueError: it lacks something, contradicts itself, or has no score for what was asked.
    """
    moderation = _MODERATION.validate_json(raw)
    result = moderation.results[0]
    scores = result.category_scores
    if result.categories.keys() != scores.keys():
        raise ValueError("categories and scores differ")
    flagged = [name for name, is_flagged in result.categories.items() if is_flagged]
    if result.flagged != bool(flagged) or any(scores[n] < LEAST_FLAGGED_SCORE for n in flagged):
        raise ValueError("it contradicts itself")
    counted = [score for name, score in scores.items() if asked & _meaning(name)]
    if not counted:
        raise ValueError("no score for what was asked")
    flagged.sort(key=lambda name: -scores[name])
    found = frozenset[Category]().union(*(CATEGORIES.get(name, ()) for name in flagged)) & asked
    in_order = tuple(category for category in Category if category in found)
    unnamed = any(not asked & frozenset(CATEGORIES.get(name, ())) for name in flagged)
    return Finding(max(counted), in_order, tuple(flagged), unnamed, moderation.model)


def _meaning(name: str) -> frozenset[Category]:
    """What a name may be about: one that Inwit does not know may be about anything."""
    return frozenset(CATEGORIES.get(name, Category))


def _shown(exchange: Exchange) -> str | None:
    if exchange.answer is not None:
        return exchange.answer
    turns = (turn.content for turn in reversed(exchange.conversation) if turn.role == "user")
    return next(turns, None)
