"""What the judges made of a candidate, as the decision's entry tells it. Pure.

Entries keep risks and reasons. The conscience's state follows from the reasons, since its
thresholds depend on what it named; the classifier's from its risk and the policy's thresholds.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from inwit.agreement.rows import JudgeState
from inwit.decisions import Reason
from inwit.policy.policy import Band, Thresholds
from inwit.policy.positions import Source, YamlProblem
from inwit.policy.schema import PolicyFile

_FLAGGED = {Reason.ABOVE_UPPER}
_DOUBT = {Reason.IN_DOUBT, Reason.CRITICAL_DOUBT, Reason.DOUBT_CLEARED}
_BANDS = {
    Band.PASS: JudgeState.PASSED,
    Band.DOUBT: JudgeState.DOUBT,
    Band.FAIL: JudgeState.FLAGGED,
}

States = tuple[JudgeState, JudgeState]
UNKNOWN: States = (JudgeState.UNKNOWN, JudgeState.UNKNOWN)


def states(facts: Mapping[str, Any], thresholds: Thresholds | None) -> States:
    """The conscience's and the classifier's state on the candidate as the model wrote it.

    That is the first round; the others are rewrites. `thresholds` are the classifier's.
    """
    try:
        first = facts["rounds"][0]
        reasons = {Reason(each) for each in first["reasons"]}
        conscience, *classifier = first["verdicts"]
        return (
            _conscience(conscience["risk"], reasons),
            _classifier(classifier[0]["risk"], thresholds) if classifier else JudgeState.NOT_ASKED,
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return UNKNOWN  # an entry of another form


def _conscience(risk: float | None, reasons: set[Reason]) -> JudgeState:
    if risk is None:
        return JudgeState.NOT_JUDGED
    if reasons & _FLAGGED:
        return JudgeState.FLAGGED
    return JudgeState.DOUBT if reasons & _DOUBT else JudgeState.PASSED


def _classifier(risk: float | None, thresholds: Thresholds | None) -> JudgeState:
    if risk is None:
        return JudgeState.NOT_JUDGED
    if thresholds is None:
        return JudgeState.UNKNOWN
    return _BANDS[thresholds.band(risk)]


def classifier_thresholds(text: bytes) -> Thresholds | None:
    """Those of a policy's text; None where it has none, or is of a form no longer read."""
    try:
        parsed = PolicyFile.model_validate(Source(text.decode("utf-8-sig")).data)
    except (UnicodeDecodeError, YamlProblem, ValidationError):
        return None
    given = parsed.classifier
    return Thresholds(given.thresholds.lower, given.thresholds.upper) if given else None
