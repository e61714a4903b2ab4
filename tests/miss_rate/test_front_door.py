"""From `/v1/respond` and people's rulings to the estimate, over a real ledger."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from inwit.miss_rate.binomial import clopper_pearson
from inwit.miss_rate.estimate import Estimate
from inwit.miss_rate.reading import Reading, read_misses, read_on
from inwit.miss_rate.seen import Place
from inwit.miss_rate.tally import Source
from inwit.policy.policy import Policy
from tests.agreement.test_front_door import person
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, NextToken, risk_of
from tests.fakes_policies import compiled

PASS, FAIL = risk_of(0.05), risk_of(0.95)


def with_rate(rate: float, **sections: object) -> Policy:
    return compiled(classifier={"sample_rate": rate, "ask": []}, **sections)


async def by_classifier(caller: Caller, policy: str = "default") -> Estimate:
    report = await read_misses(caller.database)
    people = report.policies[policy][Source.PEOPLE]
    assert people.rate.value is people.rate.high is None  # nobody rules on a slice of what passed
    return report.policies[policy][Source.CLASSIFIER]


async def test_a_slice_of_everything(make_caller: MakeCaller) -> None:
    """Ten pass the conscience, of which the classifier flags two; of five stopped ones four."""
    answers: list[NextToken] = [PASS] * 10 + [FAIL] * 5
    risks = [0.9] * 2 + [0.1] * 8 + [0.9] * 4 + [0.1]
    caller = await make_caller(
        FakeModel(answers=answers),
        classifiers=FakeClassifiers(risks=[*risks]),
        policies=(with_rate(1.0),),
    )

    statuses = Counter([(await caller.respond()).json()["status"] for _ in range(15)])
    found = await by_classifier(caller)

    assert statuses == {"released": 8, "blocked": 7}  # the slice stopped two that would have left
    assert (found.passed, found.stopped) == (found.audited_passed, found.audited_stopped) == (10, 5)
    assert found.per_response.value == pytest.approx(2 / 10)
    assert found.rate.value == pytest.approx(2 / 6)


@pytest.mark.parametrize("risk", [0.05, 0.9])
async def test_half_a_slice_stands_for_all(make_caller: MakeCaller, risk: float) -> None:
    classifiers = FakeClassifiers(risk)
    caller = await make_caller(classifiers=classifiers, policies=(with_rate(0.5),))

    for _ in range(40):
        await caller.respond()
    reading = Reading(datetime.now(UTC) - timedelta(1))
    await read_on(caller.database, reading)
    found = await by_classifier(caller)

    drawn = len(classifiers.answers)
    assert 0 < drawn < 40
    assert (found.passed, found.audited_passed, found.stopped) == (40, drawn, 0)
    assert {each.inclusion for each in reading.tally.counts} == {0.5}
    assert found.per_response.value == (risk > 0.5)
    ends = clopper_pearson(drawn if risk > 0.5 else 0, drawn, 0.025)
    assert (found.per_response.low, found.per_response.high) == pytest.approx(ends)


async def test_without_a_slice_nothing_is_known(make_caller: MakeCaller) -> None:
    bare = compiled("bare", classifier=None, rewrite=None, categories={"hate": None})
    caller = await make_caller(policies=(with_rate(0), bare))
    for policy in ("default", "bare"):
        await caller.respond({"messages": [{"role": "user", "content": "Hi"}], "policy": policy})

    report = await read_misses(caller.database)

    assert (report.policies, report.decisions, report.no_chance) == ({}, 2, 2)


async def test_a_classifier_that_fails_audits_nothing(make_caller: MakeCaller) -> None:
    classifiers = FakeClassifiers(risks=[0.05, None])
    caller = await make_caller(classifiers=classifiers, policies=(with_rate(1.0),))

    for _ in range(2):
        await caller.respond()
    found = await by_classifier(caller)

    assert (found.passed, found.audited_passed) == (2, 1)


async def test_where_a_person_ruled_the_person_is_right(make_caller: MakeCaller) -> None:
    """The classifier flags three of five in the slice; a person releases one as it is."""
    policy = with_rate(1.0, on_disagreement="escalate")
    caller = await make_caller(
        classifiers=FakeClassifiers(risks=[0.9, 0.9, 0.9, 0.1, 0.1]), policies=(policy,), undo_s=0
    )
    answers = [(await caller.respond()).json() for _ in range(5)]
    cases = [each["escalation"]["id"] for each in answers if each["status"] == "held"]
    before = await by_classifier(caller)

    ada = await person(caller, "ada")
    await ada.rule(cases[0], "approve")
    await ada.rule(cases[1], "block")
    after = await by_classifier(caller)
    await ada.http.aclose()

    assert len(cases) == 3
    assert before.per_response.value == pytest.approx(3 / 5)
    assert after.per_response.value == pytest.approx(2 / 5)
    assert (after.passed, after.stopped) == (5, 0)


async def test_what_people_confirm_of_the_held_ones_is_a_catch(make_caller: MakeCaller) -> None:
    """Four are held because of the conscience; people say of three what they are."""
    caller = await make_caller(
        FakeModel(answers=[PASS, *[FAIL] * 4]),
        classifiers=FakeClassifiers(0.9),
        policies=(with_rate(1.0, on_harm="escalate"),),
        undo_s=0,
    )
    _, *held = [(await caller.respond()).json()["escalation"]["id"] for _ in range(5)]
    ada = await person(caller, "ada")
    for case, kind in zip(held, ("block", "approve", "approve"), strict=False):
        await ada.rule(case, kind)
    await ada.http.aclose()

    reading = Reading(datetime.now(UTC) - timedelta(1))
    await read_on(caller.database, reading)
    found = await by_classifier(caller)
    people = reading.report().policies["default"][Source.PEOPLE]

    assert {each.place for each in reading.tally.counts} == {Place.PASSED_ALONE, Place.STOPPED_HELD}
    assert (found.passed, found.stopped, found.audited_stopped) == (1, 4, 4)
    assert found.rate.value == pytest.approx(1 / (1 + 2))  # one blocked, one flagged and not ruled
    assert (people.stopped, people.audited_stopped, people.audited_passed) == (4, 3, 0)


async def test_policies_are_told_apart_and_the_report_is_json(make_caller: MakeCaller) -> None:
    strict = compiled("strict", classifier={"sample_rate": 1.0, "ask": []})
    caller = await make_caller(
        classifiers=FakeClassifiers(risks=[0.9, 0.1, 0.1]), policies=(with_rate(1.0), strict)
    )
    for policy in ("default", "default", "strict"):
        await caller.respond({"messages": [{"role": "user", "content": "Hi"}], "policy": policy})

    assert (await by_classifier(caller)).per_response.value == 0.5
    assert (await by_classifier(caller, "strict")).per_response.value == 0
    told = (await read_misses(caller.database)).as_json()
    assert told["policies"]["default"]["classifier"]["per_response"]["value"] == 0.5
    assert told["policies"]["default"]["people"]["rate"] == {
        "value": None,
        "low": None,
        "high": None,
        "method": None,
    }
