"""The fallback text in the language of the conversation, where the policy has one."""

from inwit.languages import language_of
from inwit.policy.policy import Policy
from inwit.types import Message


def fallback_text(policy: Policy, messages: tuple[Message, ...]) -> str:
    """The policy's text in the language of the last user turn, else its first one."""
    texts = policy.fallback_texts
    said = [turn.content for turn in messages if turn.role == "user"]
    if len(texts) == 1 or not said:
        return policy.fallback_text
    language, _ = language_of(said[-1])
    return texts.get(language, policy.fallback_text)
