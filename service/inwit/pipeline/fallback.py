"""The texts that stand in for a response, in the language of the conversation."""

from collections.abc import Mapping

from inwit.languages import language_of
from inwit.policy.policy import Policy
from inwit.types import Message


def fallback_text(policy: Policy, messages: tuple[Message, ...]) -> str:
    """The policy's text in the language of the last user turn, else its first one."""
    return _in_language(policy.fallback_texts, messages)


def expired_text(policy: Policy, messages: tuple[Message, ...]) -> str:
    """What stands in for a response on which nobody ruled."""
    return _in_language(policy.escalation.expired_texts or policy.fallback_texts, messages)


def language_asked(messages: tuple[Message, ...]) -> str:
    """The ISO 639-1 code of the language of the last user turn; `und` where there is none."""
    said = [turn.content for turn in messages if turn.role == "user"]
    return language_of(said[-1])[0] if said else "und"


def _in_language(texts: Mapping[str, str], messages: tuple[Message, ...]) -> str:
    first = next(iter(texts.values()))
    return first if len(texts) == 1 else texts.get(language_asked(messages), first)
