"""The fallback text in the language of the conversation, where the policy has one."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from inwit.policy.policy import Policy
from inwit.types import Message

_ENOUGH = 2000  # characters; more does not make it surer


def fallback_text(policy: Policy, messages: tuple[Message, ...]) -> str:
    """The policy's text in the language of the last user turn, else its first one."""
    texts = policy.fallback_texts
    said = [turn.content for turn in messages if turn.role == "user"]
    if len(texts) == 1 or not said:
        return policy.fallback_text
    language, _ = identifier().classify(said[-1][:_ENOUGH])
    return texts.get(language, policy.fallback_text)


@cache
def identifier() -> LanguageIdentifier:
    """The model that tells languages, read once: at start, so that no request pays for it."""
    return LanguageIdentifier.from_model_file(MODEL_FILE)
