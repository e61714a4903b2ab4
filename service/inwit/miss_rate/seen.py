"""What one decision in the ledger says of misses: where it belongs, and what was found. Pure.

A response that the conscience passed, and about which nobody else would have been asked, is let out
on the conscience's word alone, unless the random slice falls on it: then the classifier is asked,
and stops what it flags. Such a response counts as passed all the same, and as a miss: the slice
measures what happens without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from inwit.decisions import AskReason, Reason
from inwit.policy.policy import OnInput
from inwit.policy.positions import Source as YamlSource
from inwit.policy.positions import YamlProblem
from inwit.policy.schema import PolicyFile
from inwit.types import Action, Enforcement, ReviewStatus

Facts = Mapping[str, Any]

_RELEASED = (Action.ALLOW, Action.REDACT)
_STOPS = {
    *(Reason.ABOVE_UPPER, Reason.TOOL_OUTSIDE),
    *(Reason.TOOL_NEEDS_PERSON, Reason.TOOL_PRIVATE_DATA),
}
# A critical category may have been named by the classifier alone. Where the entry cannot tell, the
# response counts as let out: a miss too many rather than too few.
_DOUBT = {Reason.IN_DOUBT, Reason.CRITICAL_DOUBT, Reason.DOUBT_CLEARED}
_INPUT = {Reason.INPUT_FLAGGED, Reason.INPUT_FAILED}


class Place(StrEnum):
    """Where a decided response belongs: on which side, and who looked at it.

    `alone`: nobody but the conscience, unless the random slice fell on it. `examined`: the
    classifier, for another reason. `held`: a person was asked. `window`: a part of a stream, which
    is in no slice.
    """

    PASSED_ALONE = "passed_alone"
    PASSED_EXAMINED = "passed_examined"
    STOPPED_ALONE = "stopped_alone"
    STOPPED_EXAMINED = "stopped_examined"
    STOPPED_HELD = "stopped_held"
    STOPPED_WINDOW = "stopped_window"


@dataclass(frozen=True, slots=True)
class Seen:
    """One decision. `inclusion` is the probability of being looked at where it belongs.

    `flagged` is what the classifier said of the candidate as the model wrote it, and `wrong` what a
    person did, who released it as it stood or not; None where they said nothing.
    """

    day: date
    policy: str
    place: Place
    inclusion: float
    flagged: bool | None = None
    wrong: bool | None = None


@dataclass(frozen=True, slots=True)
class Lenience:
    """What a policy lets out although the conscience did not pass it, and whether inputs stop."""

    doubt: bool
    failure: bool
    truncated: bool
    input_stops: bool


class Untold(Exception):
    """The entry's policy is not kept, or is of a form no longer read, and is needed here."""


def seen(facts: Facts, lenience: Callable[[str], Lenience | None]) -> Seen | None:
    """What a decision's entry says; None where no slice could fall on the response.

    `lenience` gives what is known of the policy with a digest.

    Raises:
        Untold: the policy is not known, and is needed.
        KeyError, IndexError, TypeError, ValueError: an entry of another form.
    """
    first = facts["rounds"][0]
    rate = first["sampling"]["rate"] if first["sampling"] else None
    asked = {AskReason(each) for each in first["asked"]}
    flagged = _flagged(first)
    if AskReason.SAMPLE in asked and flagged is not None:
        passed = _let_out(first, lambda: lenience(facts["policy"]["digest"]))
    else:
        passed = Action(first["action"]) in _RELEASED
    window = rate is None and not passed and facts["enforcement"] == Enforcement.WINDOWED
    if not rate and not window:
        return None
    place = _place(passed, bool(asked - {AskReason.SAMPLE}), facts["hold"] is not None, window)
    alone = place in (Place.PASSED_ALONE, Place.STOPPED_ALONE)
    return Seen(
        day=datetime.fromisoformat(facts["time"]).astimezone(UTC).date(),
        policy=facts["policy"]["name"],
        place=place,
        inclusion=float(rate) if rate and alone else 1.0,
        flagged=flagged,
    )


def lenience_of(text: bytes) -> Lenience | None:
    """That of a policy's text; None where it is of a form no longer read."""
    try:
        parsed = PolicyFile.model_validate(YamlSource(text.decode("utf-8-sig")).data)
    except (UnicodeDecodeError, YamlProblem, ValidationError):
        return None
    given = parsed.input
    return Lenience(
        doubt=parsed.on_doubt == Action.ALLOW,
        failure=parsed.on_review_failure == Action.ALLOW,
        truncated=parsed.on_truncated == Action.ALLOW,
        input_stops=given is not None and given.on_flag is OnInput.BLOCK,
    )


def _place(passed: bool, examined: bool, held: bool, window: bool) -> Place:
    if passed:
        return Place.PASSED_EXAMINED if examined else Place.PASSED_ALONE
    if held:
        return Place.STOPPED_HELD
    if examined:
        return Place.STOPPED_EXAMINED
    return Place.STOPPED_WINDOW if window else Place.STOPPED_ALONE


def _flagged(first: Facts) -> bool | None:
    """What the classifier said; None where it was not asked, or did not judge."""
    classifier = first["verdicts"][1:]
    if not classifier or classifier[0]["status"] != ReviewStatus.JUDGED:
        return None
    return Reason.CLASSIFIER_FLAGGED in first["reasons"]


def _let_out(first: Facts, known: Callable[[], Lenience | None]) -> bool:
    """Whether the policy would have let it out, had the slice not fallen on it."""
    reasons = {Reason(each) for each in first["reasons"]}
    status = ReviewStatus(first["verdicts"][0]["status"])
    if reasons & _STOPS:
        return False
    if status is ReviewStatus.JUDGED and not reasons & (_DOUBT | _INPUT):
        return True
    if (lenience := known()) is None:
        raise Untold
    stopped = (
        status is ReviewStatus.UNAVAILABLE and not lenience.failure,
        status is ReviewStatus.TRUNCATED and not lenience.truncated,
        bool(reasons & _DOUBT) and not lenience.doubt,
        lenience.input_stops and Reason.INPUT_FLAGGED in reasons,
        lenience.input_stops and Reason.INPUT_FAILED in reasons and not lenience.failure,
    )
    return not any(stopped)
