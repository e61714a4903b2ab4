"""Why a response was withheld, in words that claim no more than its entries say.

Only from closed sets of words, so that nothing of anybody can be in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inwit.decisions import AskReason, Reason
from inwit.ledger.exports.columns import CONSCIENCE
from inwit.ledger.verify import list_of, object_of
from inwit.types import Category, Enforcement, ReviewStatus

_TEXT = "A text written by a language model in answer to a request"

# What was found in it, by the reasons that say so; the first that is known counts.
_HARM = frozenset(
    {
        Reason.ABOVE_UPPER,
        Reason.IN_DOUBT,
        Reason.CRITICAL_DOUBT,
        Reason.CLASSIFIER_FLAGGED,
        Reason.CLASSIFIER_IN_DOUBT,
        Reason.DISAGREEMENT,
    }
)
_FOUND: Mapping[Reason, str] = {
    Reason.UNAVAILABLE: f"{_TEXT} could not be reviewed: automatic review was not available.",
    Reason.TRUNCATED: f"{_TEXT} was too long to be reviewed as a whole.",
    Reason.CLASSIFIER_FAILED: f"{_TEXT} could not be reviewed by all that had to review it.",
    Reason.INPUT_FLAGGED: f"{_TEXT} was withheld because of that request, which was found to "
    "need care.",
    Reason.INPUT_FAILED: f"{_TEXT} was withheld because that request could not be reviewed.",
    Reason.TOOL_OUTSIDE: "In answer to a request, a language model called a tool in a way that is "
    "not allowed.",
    Reason.TOOL_NEEDS_PERSON: "In answer to a request, a language model called a tool in a way "
    "that needs a person's consent.",
    Reason.TOOL_PRIVATE_DATA: "In answer to a request, a language model put private data into the "
    "call of a tool.",
}
_REWRITTEN = frozenset({Reason.REWRITE_FAILED, Reason.REWRITE_COSMETIC})


def facts_of(row: Mapping[str, Any], rounds: Any, ending: str | None) -> str:
    """What was found, what of it was shown, and who withheld it.

    `row` is the decision, laid flat, and `rounds` are its rounds as the entry has them; `ending` is
    how its case ended, where it had one.
    """
    reasons, first = _reasons(row["reasons"]), _first(rounds)
    rewritten = not _REWRITTEN.isdisjoint(reasons)
    to_cure = _telling(_reasons(first.get("reasons"))) if rewritten else None
    if to_cure is not None:  # what was to be cured is what it was for
        told = [_found(row, to_cure, whole=_whole(first))]
    else:
        told = [_found(row, _telling(reasons), whole=row["reviewed"] is True)]
    if rewritten:
        told.append("It was to be written anew, which did not help.")
    told += [*_shown(row), _how(reasons, ending)]
    return " ".join(told)


def _telling(reasons: Sequence[Reason]) -> Reason | None:
    return next((each for each in reasons if each in _HARM or each in _FOUND), None)


def _whole(first: Mapping[str, Any]) -> bool:
    """Whether all who had to review the first candidate judged all of it.

    The entry's `reviewed` is about its last one. A classifier that was asked for the random slice
    alone did not have to.
    """
    measured = isinstance(first.get("asked"), list) and all(
        each == AskReason.SAMPLE for each in list_of(first["asked"])
    )
    by_conscience = False
    for verdict in map(object_of, list_of(first.get("verdicts"))):
        conscience = verdict.get("judge") == CONSCIENCE
        judged = verdict.get("status") == ReviewStatus.JUDGED
        if not judged and (conscience or not measured):
            return False
        by_conscience = by_conscience or conscience
    return by_conscience


def _found(row: Mapping[str, Any], reason: Reason | None, *, whole: bool) -> str:
    named: Sequence[str] = row["categories"] or []
    kinds = ", ".join(each.replace("_", " ") for each in named if each in set(Category))
    if reason in _HARM:
        reviewed = "reviewed automatically" if whole else "in part reviewed automatically"
        harm = kinds or "no single kind of harm"
        return f"{_TEXT} was {reviewed}, and was found to need care ({harm})."
    found = f"{_TEXT} was held back by a policy." if reason is None else _FOUND[reason]
    return f"{found} What automatic review named: {kinds}." if kinds else found


def _shown(row: Mapping[str, Any]) -> Iterator[str]:
    """What had left before the decision; nothing is said where that is not known."""
    length = row["sent_length"]
    if length is None:
        return
    if not length:
        yield "None of it had been shown."
        return
    at_once = row["enforcement"] == Enforcement.AUDIT_ONLY
    when = "while it was written, before it was reviewed" if at_once else "while it was written"
    yield f"Text of it had been shown {when}{', and was taken back' if row['retracted'] else ''}."


def _how(reasons: Sequence[Reason], ending: str | None) -> str:
    match ending:
        case "ruled":
            return "A person looked at it and withheld it."
        case "nobody_ruled":
            return "It was held for a person, nobody ruled in time, and it was withheld."
        case _ if Reason.QUEUE_DOWN in reasons:
            return "No person could be asked, and it was withheld without one."
        case _:
            return "It was withheld without a person."


def _first(rounds: Any) -> Mapping[str, Any]:
    """The first round; empty where there is none."""
    return object_of(next(iter(list_of(rounds)), None))


def _reasons(value: Any) -> list[Reason]:
    return [
        Reason(each) for each in list_of(value) if isinstance(each, str) and each in set(Reason)
    ]
