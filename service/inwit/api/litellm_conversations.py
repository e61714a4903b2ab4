"""Remembers what LiteLLM's calls under way are about: with an answer it does not send that again.

In memory, so the answer must come to the gateway to which the request came (docs/litellm.md).
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from inwit.types import Message

_KEPT_S = 900.0
_KEPT_CHARACTERS = 2**24

Key = tuple[str, str, str]  # the API key's id, LiteLLM's own key, LiteLLM's call


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a model was asked, and the names of the tools that it was offered."""

    messages: tuple[Message, ...]
    tools: frozenset[str]

    @property
    def size(self) -> int:
        """Characters, roughly."""
        return 64 + sum(len(turn.content) + len(str(turn.tool_calls)) for turn in self.messages)


@dataclass(frozen=True, slots=True)
class _Kept:
    conversation: Conversation | None
    size: int
    until: float


class Conversations:
    """The last ones, for a quarter of an hour and up to 16 million characters; the oldest go."""

    def __init__(
        self,
        kept_characters: int = _KEPT_CHARACTERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._room = kept_characters
        self._clock = clock

    def remember(self, key: Key, conversation: Conversation) -> None:
        """Keep it. Two conversations under one key make neither of them known.

        LiteLLM's callers can choose the id of their call: nobody may have an answer reviewed
        against another conversation than its own.
        """
        self._drop_old()
        before = self._drop(key)
        one = before is None or before.conversation == conversation
        kept = _Kept(conversation, conversation.size, self._until()) if one else self._muddled()
        self._kept[key] = kept
        self._room -= kept.size
        while self._room < 0:
            self._drop(next(iter(self._kept)))

    def recall(self, key: Key) -> Conversation | None:
        """The conversation, or None where it is not known."""
        self._drop_old()
        kept = self._kept.get(key)
        return kept.conversation if kept else None

    def _muddled(self) -> _Kept:
        return _Kept(None, 64, self._until())

    def _until(self) -> float:
        return self._clock() + _KEPT_S

    def _drop_old(self) -> None:
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> _Kept | None:
        kept = self._kept.pop(key, None)
        self._room += kept.size if kept else 0
        return kept
