"""What an entry says of the side a response is on: held against the decision itself."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from inwit.decisions import AskReason, Explanation, ExplanationStatus, Reason
from inwit.miss_rate.seen import Lenience, Place, Untold, lenience_of, seen
from inwit.policy.decide import Evidence, decide
from inwit.policy.loader import PACKAGED
from inwit.policy.policy import Policy
from inwit.policy.states import State, classifier_state
from inwit.types import Action, Enforcement, Fault, ReviewStatus, Verdict
from tests.fakes_policies import compiled
from tests.miss_rate.entries import SLICE, decided, lenience_in
from tests.pipeline.any_policy import policies
from tests.policy.test_monotone import named, verdicts

RELEASED = (Action.ALLOW, Action.REDACT)
PASSED = (Place.PASSED_ALONE, Place.PASSED_EXAMINED)
POLICY = compiled(classifier={"sample_rate": 0.25})
PASS = Verdict("conscience", ReviewStatus.JUDGED, risk=0.1, covers="c")
FAIL = replace(PASS, risk=0.95)
FLAGGED = replace(FAIL, judge="guard")
CLEARED = replace(PASS, judge="guard")
FAILED = Verdict("guard", ReviewStatus.UNAVAILABLE, fault=Fault.TIMEOUT, covers="c")

explanations = st.none() | st.builds(Explanation, st.sampled_from(ExplanationStatus), named)
evidences = st.builds(
    Evidence,
    covers=st.just(""),
    conscience=verdicts("conscience"),
    explanation=explanations,
    classifier=verdicts("guard"),
    asked=st.just(SLICE),
    input=st.none() | verdicts("guard"),
    input_flagged=st.booleans(),
    masks=st.booleans(),
)


def unknown(_digest: str) -> Lenience | None:
    raise AssertionError("not needed")


@settings(max_examples=600, deadline=None)
@given(policies().filter(lambda policy: policy.classifier is not None), evidences)
def test_the_slice_does_not_change_the_side(policy: Policy, evidence: Evidence) -> None:
    """What would have been let out, had it not been drawn, counts as passed.

    Only where a critical category was named the entry cannot tell by whom, and then it counts as
    passed rather than not.
    """
    undrawn = decide(policy, replace(evidence, classifier=None, asked=())).action in RELEASED
    facts = decided(policy, evidence, 0.5, drawn=True)

    found = seen(facts, lambda _: lenience_in(policy))

    assert found is not None
    passed = found.place in PASSED
    event(f"passed: {passed}")
    assert passed or not undrawn
    if Reason.CRITICAL_DOUBT.value not in facts["rounds"][0]["reasons"]:
        # Where the classifier failed nothing hangs on it, and the action is what it would be.
        assert passed == undrawn
    state = classifier_state(policy, evidence.classifier)
    judged = state not in (State.UNAVAILABLE, State.TRUNCATED)
    assert found.flagged == ((state is State.FAIL) if judged else None)


@pytest.mark.parametrize(
    ("evidence", "place", "inclusion", "flagged"),
    [
        (Evidence("c", PASS), Place.PASSED_ALONE, 0.25, None),
        (Evidence("c", PASS, None, CLEARED, SLICE), Place.PASSED_ALONE, 0.25, False),
        (Evidence("c", PASS, None, FLAGGED, SLICE), Place.PASSED_ALONE, 0.25, True),
        (Evidence("c", PASS, None, FAILED, SLICE), Place.PASSED_ALONE, 0.25, None),
        (Evidence("c", FAIL), Place.STOPPED_ALONE, 0.25, None),
        (Evidence("c", FAIL, None, FLAGGED, SLICE), Place.STOPPED_ALONE, 0.25, True),
        (Evidence("c", FAIL, None, CLEARED, SLICE), Place.STOPPED_ALONE, 0.25, False),
        (
            Evidence("c", PASS, None, CLEARED, (AskReason.HIDDEN_TEXT,)),
            Place.PASSED_EXAMINED,
            1,
            False,
        ),
        (
            Evidence("c", PASS, None, FLAGGED, (AskReason.HIDDEN_TEXT,)),
            Place.STOPPED_EXAMINED,
            1,
            True,
        ),
        (
            Evidence("c", PASS, None, FAILED, (AskReason.HIDDEN_TEXT,)),
            Place.STOPPED_EXAMINED,
            1,
            None,
        ),
    ],
)
def test_where_each_belongs(
    evidence: Evidence, place: Place, inclusion: float, flagged: bool | None
) -> None:
    found = seen(decided(POLICY, evidence, 0.25), unknown)

    assert found is not None
    assert (found.place, found.inclusion, found.flagged) == (place, inclusion, flagged)
    assert (found.policy, found.wrong) == ("default", None)


@pytest.mark.parametrize("lets_failures_out", [True, False])
def test_an_input_that_was_not_judged_stops_what_the_policy_says(lets_failures_out: bool) -> None:
    gap = "allow" if lets_failures_out else "block"
    policy = compiled(input={"instructions": True, "on_flag": "block"}, on_review_failure=gap)
    evidence = Evidence("c", PASS, None, FLAGGED, SLICE, input=replace(FAILED, judge="input"))

    found = seen(decided(policy, evidence, 0.25), lambda _: lenience_in(policy))

    assert found is not None
    assert found.place is (Place.PASSED_ALONE if lets_failures_out else Place.STOPPED_ALONE)


@pytest.mark.parametrize("rate", [0, None])
def test_where_no_slice_could_fall_nothing_is_seen(rate: float | None) -> None:
    assert seen(decided(POLICY, Evidence("c", PASS), rate), unknown) is None
    assert seen(decided(POLICY, Evidence("c", FAIL), rate), unknown) is None


def test_a_window_that_was_flagged_is_in_no_slice_and_yet_stopped() -> None:
    stopped = decided(POLICY, Evidence("c", FAIL), None)
    stopped["enforcement"] = Enforcement.WINDOWED.value
    looked = decided(POLICY, Evidence("c", FAIL, None, FLAGGED, (AskReason.SEVERE,)), None)
    looked["enforcement"] = Enforcement.WINDOWED.value

    window, examined = seen(stopped, unknown), seen(looked, unknown)

    assert window is not None
    assert examined is not None
    assert (window.place, window.flagged) == (Place.STOPPED_WINDOW, None)
    assert (examined.place, examined.flagged) == (Place.STOPPED_EXAMINED, True)


def test_a_policy_that_is_not_known_is_not_guessed() -> None:
    doubt = replace(PASS, risk=0.5)
    facts = decided(POLICY, Evidence("c", doubt, None, FLAGGED, SLICE), 0.25)

    with pytest.raises(Untold):
        seen(facts, lambda _: None)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ("", Lenience(False, False, False, False)),
        ("on_doubt: allow", Lenience(True, False, False, False)),
        ("on_review_failure: allow", Lenience(False, True, False, False)),
        ("on_truncated: allow", Lenience(False, False, True, False)),
        ("input: {instructions: true, on_flag: block}", Lenience(False, False, False, True)),
        ("input: {instructions: true, on_flag: record}", Lenience(False, False, False, False)),
    ],
)
def test_lenience_is_read_from_the_text(sections: str, expected: Lenience) -> None:
    key = sections.partition(":")[0]
    lines = (PACKAGED / "default.yaml").read_text().splitlines()
    kept = [line for line in lines if not key or not line.startswith(f"{key}:")]

    assert lenience_of("\n".join([*kept, sections, ""]).encode()) == expected


@pytest.mark.parametrize("text", [b"\xff", b"a: [", b"name: x\n"])
def test_a_text_of_another_form_tells_nothing(text: bytes) -> None:
    assert lenience_of(text) is None


@pytest.mark.parametrize("change", [{"rounds": []}, {"policy": None}, {"time": "noon"}])
def test_an_entry_of_another_form_is_refused(change: dict[str, Any]) -> None:
    facts = decided(POLICY, Evidence("c", PASS), 0.25) | change

    with pytest.raises((IndexError, TypeError, ValueError)):
        seen(facts, unknown)
