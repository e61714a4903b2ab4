"""Rewriting: what the model is told, what a rewrite is worth, and where it ends. Pure."""

import re
from dataclasses import replace

from inwit.decisions import Decision, Reason, RewriteOutcome, Round
from inwit.pipeline.normalise import inert, shown
from inwit.policy.policy import Policy
from inwit.policy.states import State, classifier_state, conscience_state
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Action, Message

_RELEASED = (Action.ALLOW, Action.REDACT)
_TELLING_SPAN = 12  # characters; "the" or "you can" is in any rewrite

# Openings of a refusal in five languages, and the length up to which nothing useful can follow.
# An apology for something ("sorry for the delay") declines nothing.
_BEFORE = r"no|unfortunately|i apologi[sz]e|but|leider|malheureusement|lamentablemente|很|非常"
_DECLINES = (
    r"(?:(?:i['\u2019]?m|i am|we['\u2019]?re|we are) (?:very |so |really )?)?"
    r"sorry\b(?! (?:for|about|to hear|that you))",
    r"(?:i['\u2019]?m|i am|we['\u2019]?re|we are) (?:unable|not able|afraid|not comfortable)",
    r"(?:i|we) (?:can(?:no|['\u2019])?t|can not|won['\u2019]?t|will not|(?:must|have to) decline"
    r"|do(?: not|n['\u2019]?t) feel comfortable)",
    r"as an ai\b",
    r"(?:es )?tut mir (?:sehr )?leid\b",
    r"(?:(?:das|dabei|damit|darüber|ich) )?(?:kann|darf|werde) (?:ich |dir |ihnen |das |diese )?"
    r".{0,20}nicht\b",
    r"(?:je suis (?:vraiment )?)?désolée?\b(?! pour)",
    r"je ne (?:peux|suis) pas\b",
    r"lo (?:siento|lamento)\b(?: mucho)?(?! por)",
    r"no puedo\b",
    r"抱歉|对不起|我(?:不能|无法|不可以)",
)
_REFUSAL = re.compile(rf"\W*(?:(?:{_BEFORE})\W*){{0,2}}(?:{'|'.join(_DECLINES)})", re.IGNORECASE)
_LONGEST_REFUSAL = 240


def rewrite_messages(conversation: tuple[Message, ...], flagged: Round) -> tuple[Message, ...]:
    """The conversation, the flagged answer, and the order to write it anew."""
    return (
        *conversation,
        Message("assistant", inert(flagged.candidate.text) or "(a tool call)"),
        Message("user", _order(flagged)),
    )


def bare_refusal(text: str) -> bool:
    """Whether the text only declines: blank, or short and it opens by declining."""
    short = text.strip()
    return not short or (len(short) <= _LONGEST_REFUSAL and _REFUSAL.match(short) is not None)


def outcome_of(policy: Policy, earlier: tuple[Round, ...], rewritten: Round) -> RewriteOutcome:
    """What a reviewed rewrite is worth.

    Cosmetic: it keeps words for which an earlier round was flagged, or it satisfies the
    conscience, which wrote it, and not the independent classifier.
    """
    if _keeps_spans(earlier, rewritten.candidate.text) or _only_conscience(policy, rewritten):
        return RewriteOutcome.COSMETIC
    released = rewritten.decision.action in _RELEASED
    return RewriteOutcome.PASSED if released else RewriteOutcome.FLAGGED


def settle(
    policy: Policy, rounds: tuple[Round, ...], outcomes: tuple[RewriteOutcome, ...]
) -> Decision:
    """The final decision: the last round's, or the policy's where rewriting did not help."""
    last = rounds[-1].decision
    if not outcomes or outcomes[-1] is RewriteOutcome.PASSED:
        return last
    cosmetic = outcomes[-1] is RewriteOutcome.COSMETIC
    reason = Reason.REWRITE_COSMETIC if cosmetic else Reason.REWRITE_FAILED
    actions = [policy.rewrite.on_failure]
    if last.action in (Action.ESCALATE, Action.BLOCK):
        actions.append(last.action)
    return replace(
        last,
        action=max(actions, key=lambda action: action.strictness),
        reasons=tuple(dict.fromkeys((reason, *last.reasons))),
    )


def _order(flagged: Round) -> str:
    lines = ["Your last answer was held back because it may be harmful."]
    titles = [TAXONOMY[category].title for category in flagged.decision.categories]
    if titles:
        lines.append(f"What may be wrong with it: {', '.join(titles)}.")
    explanation = flagged.explanation
    if explanation is not None and explanation.reason:
        lines.append(f"A reviewer wrote: {explanation.reason}")
    lines.append(
        "Write the answer again. Leave out what is harmful and keep what is useful: where a safe "
        "answer exists, give it and do not just refuse. Reply with the new answer only, without "
        "a word about this request."
    )
    return "\n".join(lines)


def _keeps_spans(earlier: tuple[Round, ...], text: str) -> bool:
    plain = _plain(shown(text).text)  # the spans are from what judges were shown
    explanations = (each.explanation for each in earlier)
    spans = (_plain(span) for one in explanations if one is not None for span in one.spans)
    return any(len(span) >= _TELLING_SPAN and span in plain for span in spans)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _only_conscience(policy: Policy, rewritten: Round) -> bool:
    conscience, *others = rewritten.decision.verdicts
    passed = conscience_state(policy, conscience, rewritten.explanation) is State.PASS
    return passed and any(classifier_state(policy, v) is State.FAIL for v in others)
