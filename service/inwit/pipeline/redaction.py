"""Private data in what would leave: found by the policy's kinds, masked at release. Pure."""

from collections import Counter
from collections.abc import Mapping

from inwit.policy.policy import Policy
from inwit.redaction.scan import Span, echoed, find, mask
from inwit.types import Message


def private_spans(policy: Policy, text: str, messages: tuple[Message, ...]) -> tuple[Span, ...]:
    """The spans of `text` that the policy masks, without those that may pass.

    `messages` are the caller's, without passages: what a user turn of theirs holds may come back,
    where the policy says so.
    """
    rule = policy.redact
    if rule is None:
        return ()
    spans = find(text, rule.mask, rule.phone_regions)
    if not spans or not rule.pass_if_sent_first:
        return spans
    sent = [turn.content for turn in messages if turn.role == "user"]
    known = set(echoed(spans, text, sent))
    return tuple(
        span for span in spans if span not in known or span.kind not in rule.pass_if_sent_first
    )


def masked(text: str, spans: tuple[Span, ...]) -> tuple[str, Mapping[str, int]]:
    """The text with placeholders, and how many spans of each kind they stand for."""
    if not spans:
        return text, {}
    return mask(text, spans), dict(Counter(span.kind.value for span in spans))
