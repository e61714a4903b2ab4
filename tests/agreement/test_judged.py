"""The judges' states as entries tell them are those that the policy decided by."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.agreement.judged import UNKNOWN, classifier_thresholds, states
from inwit.agreement.rows import JudgeState
from inwit.decisions import AskReason, Explanation, ExplanationStatus, Round
from inwit.ledger.chain import entry_facts
from inwit.policy.decide import Evidence, ToolFinding, decide
from inwit.policy.loader import PACKAGED, load_policy
from inwit.policy.states import State, classifier_state, conscience_state
from inwit.types import Candidate, Category, Fault, ReviewStatus, Verdict
from tests.agreement.drawn import MANY
from tests.ledger.test_store import RECORD

DEFAULT = PACKAGED / "default.yaml"
POLICY = load_policy(DEFAULT)
THRESHOLDS = classifier_thresholds(DEFAULT.read_bytes())

STATES = {
    State.PASS: JudgeState.PASSED,
    State.DOUBT: JudgeState.DOUBT,
    State.FAIL: JudgeState.FLAGGED,
    State.UNAVAILABLE: JudgeState.NOT_JUDGED,
    State.TRUNCATED: JudgeState.NOT_JUDGED,
    State.NOT_ASKED: JudgeState.NOT_ASKED,
}

RISKS = st.integers(0, 100).map(lambda percent: percent / 100)
CATEGORIES = st.sets(st.sampled_from(sorted(POLICY.categories)), max_size=2).map(tuple)


@st.composite
def verdicts(draw: st.DrawFn, judge: str) -> Verdict:
    status = draw(st.sampled_from(ReviewStatus))
    if status is not ReviewStatus.JUDGED:
        return Verdict(judge, status, fault=Fault.TIMEOUT)
    return Verdict(
        judge, status, risk=draw(RISKS), calibrated=draw(st.booleans()), categories=draw(CATEGORIES)
    )


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    conscience = draw(verdicts("conscience"))
    named = Explanation(draw(st.sampled_from(ExplanationStatus)), draw(CATEGORIES))
    return Evidence(
        covers="",
        conscience=conscience,
        explanation=draw(st.none() | st.just(named)),
        classifier=draw(st.none() | verdicts("panel")),
        asked=draw(st.sampled_from([(AskReason.SAMPLE,), (AskReason.DOUBT,)])),
        tools=draw(st.sampled_from(ToolFinding)),
        masks=draw(st.booleans()),
    )


def facts_of(found: Evidence) -> dict[str, Any]:
    """The facts of the entry of such a decision, after a rewrite that was judged otherwise."""
    decision = decide(POLICY, found)
    candidate = Candidate("The moon.", "m")
    rounds = (Round(candidate, decision, found.asked, found.explanation), *RECORD.rounds)
    return entry_facts(replace(RECORD, decision=decision, rounds=rounds, contents={}), "ent_1", {})


@MANY
@given(evidence())
def test_the_states_are_those_of_the_decision(found: Evidence) -> None:
    expected = (
        STATES[conscience_state(POLICY, found.conscience, found.explanation)],
        STATES[classifier_state(POLICY, found.classifier)],
    )

    assert states(facts_of(found), THRESHOLDS) == expected


def test_without_its_policy_a_classifier_is_unknown() -> None:
    judged = Verdict("conscience", ReviewStatus.JUDGED, risk=0.5)
    facts = facts_of(Evidence("", judged, classifier=replace(judged, judge="panel")))

    assert states(facts, None) == (JudgeState.DOUBT, JudgeState.UNKNOWN)


OTHER_FORMS: list[dict[str, Any]] = [
    {},
    {"rounds": []},
    {"rounds": None},
    {"rounds": [{"reasons": ["of another time"], "verdicts": [{"risk": 0.1}]}]},
    {"rounds": [{"reasons": [], "verdicts": []}]},
    {"rounds": [{"reasons": [], "verdicts": [{}]}]},
]


@pytest.mark.parametrize("facts", OTHER_FORMS)
def test_an_entry_of_another_form_is_unknown(facts: dict[str, Any]) -> None:
    assert states(facts, THRESHOLDS) == UNKNOWN


def test_thresholds_are_those_of_the_policy() -> None:
    assert POLICY.classifier is not None
    assert POLICY.classifier.thresholds == THRESHOLDS


@pytest.mark.parametrize("text", [b"\xff", b"a: &b c", b"name: x", b"", b"[" * 500])
def test_a_text_that_is_no_policy_has_no_thresholds(text: bytes) -> None:
    assert classifier_thresholds(text) is None


def test_a_policy_without_a_classifier_has_no_thresholds(tmp_path: Path) -> None:
    assert Category.HATE in POLICY.categories
    lines = DEFAULT.read_text().splitlines()
    start = lines.index("classifier:")
    end = next(n for n in range(start + 1, len(lines)) if lines[n][:1] not in (" ", "#", ""))
    assert classifier_thresholds("\n".join(lines[:start] + lines[end:]).encode()) is None
