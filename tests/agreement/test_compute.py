"""From rows to the report: which rulings count for what."""

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from inwit.agreement.compute import compute
from inwit.agreement.report import (
    BOTH,
    Both,
    Dimension,
    Group,
    Share,
)
from inwit.agreement.rows import CaseRow, JudgeState, Outcome, Rows, Standing
from inwit.cases import RulingKind
from inwit.types import Category
from tests.agreement.drawn import MANY, case, case_rows, said, two

APPROVE, REWRITE, EDIT, BLOCK, ESCALATE = RulingKind


def told(*cases: CaseRow) -> Both:
    return compute(Rows(cases), resamples=50)


def overall(*cases: CaseRow) -> Group:
    (found,) = [g for g in told(*cases).report.groups if g.dimension is Dimension.OVERALL]
    return found


def test_five_rulings_are_five_answers_and_two_sides() -> None:
    found = overall(two(APPROVE, EDIT), two(REWRITE, EDIT), two(BLOCK, BLOCK), two(EDIT, BLOCK))

    assert found.by_ruling.percent.value == 0.25
    assert found.by_side.percent.value == 0.75


def test_who_passes_a_case_on_takes_no_side() -> None:
    found = overall(two(APPROVE, ESCALATE), two(BLOCK, BLOCK))

    assert (found.by_ruling.cases, found.by_ruling.percent.value) == (2, 0.5)
    assert (found.by_side.cases, found.by_side.percent.value) == (1, 1)


def test_the_senior_who_settles_a_disagreement_does_not_make_it_worse() -> None:
    settled = case(said("ada", APPROVE), said("ben", BLOCK, slot=2), said("cy", BLOCK, slot=3))
    found = told(settled, two(BLOCK, BLOCK)).report

    assert found.groups[0].by_ruling.rulings == 4
    assert found.groups[0].by_ruling.percent.value == 0.5
    assert found.counts.two_people == 2


def test_late_and_undone_rulings_are_counted_and_nothing_else() -> None:
    late = case(said("ada", BLOCK), said("ben", APPROVE, slot=2, standing=Standing.LATE))
    undone = case(
        said("ada", APPROVE, standing=Standing.UNDONE, first=APPROVE),
        said("ada", BLOCK),
        said("ben", BLOCK, slot=2),
    )
    report = told(late, undone).report

    assert (report.counts.late, report.counts.undone) == (1, 1)
    assert (report.counts.two_people, report.counts.second_missing) == (1, 1)
    assert report.groups[0].by_ruling.percent.value == 1
    assert report.blind.rulings == 0


def test_one_person_twice_is_no_second_opinion() -> None:
    assert overall(case(said("ada", BLOCK), said("ada", BLOCK, slot=2))).by_ruling.cases == 0


def test_golden_cases_are_in_nothing_but_golden() -> None:
    state = JudgeState.FLAGGED
    golden = case(
        said("ada", BLOCK, first=APPROVE),
        said("ben", EDIT, slot=2),
        expected=BLOCK,
        conscience=state,
    )
    both = told(golden)
    counts = both.report.counts

    assert (counts.cases, counts.golden, counts.two_people) == (0, 1, 0)
    assert both.report.confusions[0].cases == both.report.blind.rulings == 0
    assert (both.report.golden.count, both.report.golden.of) == (1, 2)
    assert both.people.pairs == ()


def test_each_person_has_a_golden_score() -> None:
    both = told(
        case(said("ben", EDIT), expected=APPROVE),
        case(said("ada", BLOCK), expected=BLOCK),
        case(said("ada", ESCALATE), expected=BLOCK),
        case(said("ada", ESCALATE), expected=ESCALATE),
        case(said("ada", BLOCK, standing=Standing.LATE), expected=BLOCK),
    )
    ada, ben = both.people.golden

    assert (ada.reviewer, ada.exact.count, ada.same_side.count, ada.exact.of) == ("ada", 2, 2, 3)
    assert (ben.reviewer, ben.exact.count, ben.same_side.count, ben.exact.of) == ("ben", 0, 1, 1)


def test_cases_are_told_apart_by_policy_language_category_and_draw() -> None:
    hate = (Category.HATE,)
    groups = told(
        case(said("ada", BLOCK), said("ben", BLOCK, slot=2), categories=hate, drawn=True),
        case(said("ada", BLOCK), said("ben", EDIT, slot=2), policy="strict", language="de"),
        case(said("ada", BLOCK), said("ben", EDIT, slot=2), categories=(*hate, Category.WEAPONS)),
    ).report.groups

    assert [(g.dimension.value, g.name, g.by_ruling.cases) for g in groups] == [
        ("overall", "", 3),
        ("policy", "default", 2),
        ("policy", "strict", 1),
        ("language", "en", 2),
        ("language", "de", 1),
        ("category", "hate", 2),
        ("category", "indiscriminate_weapons", 1),
        ("second_ruling", "required", 2),
        ("second_ruling", "drawn", 1),
    ]


def test_a_pair_is_two_people_who_met() -> None:
    people = told(
        two(BLOCK, BLOCK),
        two(BLOCK, EDIT),
        case(said("cy", BLOCK), said("ada", BLOCK, slot=2)),
    ).people

    assert [(pair.reviewers, pair.by_ruling.cases) for pair in people.pairs] == [
        (("ada", "ben"), 2),
        (("ada", "cy"), 1),
    ]
    assert people.pairs_left_out == 0


def test_judges_stand_against_the_ruling_that_closed_the_case() -> None:
    flagged, passed = JudgeState.FLAGGED, JudgeState.PASSED
    settled = case(
        said("ada", BLOCK),
        said("ben", EDIT, slot=2),
        said("cy", APPROVE, slot=3),
        conscience=flagged,
    )
    conscience, classifier = told(
        settled,
        case(said("ada", BLOCK), conscience=flagged, classifier=passed),
        case(said("ada", REWRITE), conscience=flagged, classifier=passed),
        case(said("ada", ESCALATE), said("cy", BLOCK, slot=3), classifier=passed),
        case(said("ada", BLOCK), conscience=flagged, expired=True),
        case(conscience=flagged, expired=True),
    ).report.confusions

    rows = {row.state: row for row in conscience.rows}
    assert (conscience.judge, conscience.cases, rows[flagged].cases) == ("conscience", 4, 3)
    assert [s.count for s in rows[flagged].outcomes.values()] == [1, 1, 1]
    assert rows[passed].outcomes[Outcome.BLOCKED] == Share(0, 0, None, None, None, too_few=True)
    rows = {row.state: row for row in classifier.rows}
    assert (rows[passed].cases, rows[JudgeState.NOT_ASKED].cases) == (3, 1)
    assert rows[passed].outcomes[Outcome.AS_WRITTEN].count == 0


def moved(first: RulingKind, final: RulingKind, *states: JudgeState) -> tuple[int, ...]:
    """Changed, stricter, milder, towards, away; and how many could be towards or away."""
    conscience, classifier = states
    found = told(
        case(said("ada", final, first=first), conscience=conscience, classifier=classifier)
    ).report.blind
    assert found.rulings == found.changed.of == found.stricter.of == found.milder.of == 1
    assert found.towards.of == found.away.of
    shares = (found.changed, found.stricter, found.milder, found.towards, found.away)
    return (*(each.count for each in shares), found.towards.of)


def test_a_change_goes_towards_the_judges_or_away_from_them() -> None:
    passed, flagged = JudgeState.PASSED, JudgeState.FLAGGED
    doubt, alone = JudgeState.DOUBT, JudgeState.NOT_ASKED

    assert moved(APPROVE, BLOCK, flagged, alone) == (1, 1, 0, 1, 0, 1)
    assert moved(APPROVE, EDIT, doubt, flagged) == (1, 1, 0, 1, 0, 1)
    assert moved(BLOCK, APPROVE, flagged, flagged) == (1, 0, 1, 0, 1, 1)
    assert moved(BLOCK, REWRITE, passed, alone) == (1, 0, 1, 1, 0, 1)
    assert moved(APPROVE, BLOCK, passed, passed) == (1, 1, 0, 0, 1, 1)


def test_a_change_has_no_direction_where_the_judges_have_none() -> None:
    passed, flagged, doubt = JudgeState.PASSED, JudgeState.FLAGGED, JudgeState.DOUBT

    for states in ((passed, flagged), (doubt, passed), (doubt, doubt), (JudgeState.UNKNOWN,) * 2):
        assert moved(APPROVE, BLOCK, *states) == (1, 1, 0, 0, 0, 0)


def test_a_rewrite_in_place_of_an_edit_is_no_change_and_passing_on_has_no_direction() -> None:
    flagged = (JudgeState.FLAGGED, JudgeState.NOT_ASKED)

    assert moved(EDIT, REWRITE, *flagged) == (0,) * 6
    assert moved(BLOCK, BLOCK, *flagged) == (0,) * 6
    assert moved(ESCALATE, BLOCK, *flagged) == (1, 0, 0, 0, 0, 0)
    assert moved(APPROVE, ESCALATE, *flagged) == (1, 0, 0, 0, 0, 0)


@MANY
@given(st.lists(case_rows(), max_size=12), st.integers(0, 5))
def test_the_report_adds_up_and_survives_json(cases: Sequence[CaseRow], left_out: int) -> None:
    both = compute(Rows(tuple(cases), left_out), resamples=20)
    counts = both.report.counts

    assert counts.cases + counts.golden == len(cases)
    assert counts.two_people == both.report.groups[0].by_ruling.cases
    assert counts.left_out == left_out
    assert counts.second_missing >= 0
    for confusion in both.report.confusions:
        assert confusion.cases == counts.cases - counts.undecided
        assert confusion.cases == sum(row.cases for row in confusion.rows)
        for row in confusion.rows:
            assert row.cases == sum(each.count for each in row.outcomes.values())
    assert BOTH.validate_json(BOTH.dump_json(both)) == both
    assert both.report.as_json()["counts"]["cases"] == counts.cases
    assert not {"ada", "ben", "cy", "dee", "eve"} & set(_words(both.report.as_json()))


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for each in cast("dict[str, Any]", value).values() for word in _words(each)]
    if isinstance(value, list):
        return [word for each in cast("list[Any]", value) for word in _words(each)]
    return [str(value)]
