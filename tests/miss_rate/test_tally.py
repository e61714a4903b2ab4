"""Entries as they come, counted: order, outcomes, days, and what is passed over."""

from datetime import date
from typing import Any

import pytest

from inwit.miss_rate.estimate import Estimate
from inwit.miss_rate.seen import Lenience
from inwit.miss_rate.tally import Source, Tally
from inwit.policy.decide import Evidence
from tests.fakes_policies import compiled
from tests.miss_rate.entries import SLICE, decided
from tests.miss_rate.test_seen import CLEARED, FAIL, FLAGGED, PASS

POLICY = compiled()
DRAWN_FLAGGED = Evidence("c", PASS, None, FLAGGED, SLICE)
DRAWN_CLEARED = Evidence("c", PASS, None, CLEARED, SLICE)


def strict(_digest: str) -> Lenience | None:
    return Lenience(doubt=False, failure=False, truncated=False, input_stops=False)


def decision(evidence: Evidence, day: int = 1, **changes: Any) -> dict[str, Any]:
    facts = decided(POLICY, evidence, 0.5)
    return facts | {"time": f"2026-11-{day:02}T12:00:00+00:00"} | changes


def outcome(response: str, kind: str | None) -> dict[str, Any]:
    return {"type": "outcome", "response": response, "facts": {"kind": kind}}


def tally(*entries: dict[str, Any]) -> Tally:
    made = Tally()
    for each in entries:
        made.add(each, strict)
    return made


def by_classifier(made: Tally) -> Estimate:
    return made.estimates()["default"][Source.CLASSIFIER]


@pytest.mark.parametrize(
    ("kind", "misses"),
    [
        ("approve", 0),
        ("block", 1),
        ("edit", 1),
        ("approve_rewrite", 1),
        (None, 1),  # nobody ruled: the classifier's word stands
    ],
)
def test_an_outcome_is_what_a_person_says(kind: str | None, misses: int) -> None:
    held = decision(DRAWN_FLAGGED, hold={"id": "esc_1"}, response="resp_1")

    found = by_classifier(tally(held, decision(DRAWN_CLEARED), outcome("resp_1", kind)))

    assert found.per_response.value == pytest.approx(misses / 2)
    assert found.passed == 2


def test_outcomes_of_other_cases_change_nothing() -> None:
    """A golden case is of no response, and others were decided before the window."""
    held = decision(DRAWN_FLAGGED, hold={"id": "esc_1"}, response="resp_1")
    before = tally(held)

    after = tally(held, outcome("", "approve"), outcome("resp_0", "approve"))

    assert after == before


def test_days_are_forgotten_with_what_waits_on_them() -> None:
    old = decision(DRAWN_FLAGGED, 1, hold={"id": "esc_1"}, response="resp_1")
    made = tally(old, decision(DRAWN_CLEARED, 2), decision(DRAWN_CLEARED, 3))

    made.forget(date(2026, 11, 2))
    assert made.held == {}
    made.add(outcome("resp_1", "block"), strict)

    found = by_classifier(made)
    assert (found.passed, found.per_response.value) == (2, 0)
    assert sum(made.counts.values()) == 2
    made.forget(date(2026, 12, 1))
    assert made.estimates() == {}


def test_each_rate_is_a_stratum_of_its_own() -> None:
    """Of 10 at 1/10 one was drawn and flagged; of 4 that were all drawn, none."""
    seldom = [decided(POLICY, DRAWN_FLAGGED, 0.1)]
    seldom += [decided(POLICY, Evidence("c", PASS), 0.1)] * 9
    always = [decided(POLICY, DRAWN_CLEARED, 1.0)] * 4

    found = by_classifier(tally(*seldom, *always))

    assert (found.passed, found.audited_passed) == (14, 5)
    assert found.per_response.value == pytest.approx(10 / 14)


def test_what_the_classifier_let_pass_is_none_of_its_misses() -> None:
    """It was asked for another reason: people could call that a miss, and it cannot."""
    examined = decision(DRAWN_CLEARED)
    examined["rounds"][0]["asked"] = ["hidden_text"]
    made = tally(examined, decision(DRAWN_FLAGGED))

    assert by_classifier(made).passed == 1
    assert made.estimates()["default"][Source.PEOPLE].passed == 2


def test_windows_widen_what_was_stopped() -> None:
    window = decision(Evidence("c", FAIL), enforcement="windowed")
    window["rounds"][0]["sampling"] = None
    stopped = decision(Evidence("c", FAIL, None, FLAGGED, SLICE))

    found = by_classifier(tally(window, stopped, decision(DRAWN_FLAGGED)))

    assert (found.stopped, found.audited_stopped) == (2, 1)
    assert found.rate.value == pytest.approx(1 / 3)


def test_what_cannot_be_read_is_counted_and_left_out() -> None:
    made = tally(
        decision(DRAWN_CLEARED),
        decision(DRAWN_FLAGGED, schema=1),
        decision(DRAWN_FLAGGED, rounds=[]),
        {"type": "outcome", "response": "resp_1"},
        {"type": "claimed"},
        {},
    )

    assert (made.decisions, made.unreadable) == (3, 4)
    assert by_classifier(made).passed == 1
