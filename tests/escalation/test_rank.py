"""Which case is next, and the words for it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.cases import Case
from inwit.escalation.rank import NEVER_OVERTAKEN_AFTER, rank, reasons
from inwit.types import Severity
from tests.escalation.queue_cases import OPENED, case

spans = st.timedeltas(timedelta(0), timedelta(days=40))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    opened = OPENED + draw(spans)
    return replace(
        case("acme"),
        opened=opened,
        due=opened + draw(spans) - timedelta(hours=1),
        severity=draw(st.sampled_from(Severity)),
    )


@given(cases(), cases(), st.booleans(), st.booleans(), spans)
def test_nothing_starves(
    first: Case, second: Case, one_waits: bool, other_waits: bool, later: timedelta
) -> None:
    """Whatever comes long enough after a case comes after it in rank, too."""
    at = first.opened + NEVER_OVERTAKEN_AFTER + later
    behind = replace(second, opened=at, due=at + (second.due - second.opened))
    assert rank(first, waiting=one_waits) <= rank(behind, waiting=other_waits)


def test_the_bound_is_two_and_a_half_hours_and_is_reached() -> None:
    assert timedelta(hours=2.5) == NEVER_OVERTAKEN_AFTER
    patient = replace(case("acme"), due=OPENED + timedelta(days=1))
    at = OPENED + NEVER_OVERTAKEN_AFTER - timedelta(seconds=1)
    worst = replace(case("acme"), opened=at, due=at, severity=Severity.CRITICAL)
    assert rank(worst, waiting=True) < rank(patient, waiting=False)


@given(cases(), spans, st.booleans())
def test_who_opened_earlier_is_never_behind_all_else_alike(
    one: Case, more: timedelta, waiting: bool
) -> None:
    as_urgent = replace(one, opened=one.opened + more, due=one.due + more)
    assert rank(one, waiting=waiting) <= rank(as_urgent, waiting=waiting)
    same_end = replace(one, opened=one.opened + more, due=max(one.due, one.opened + more))
    assert rank(one, waiting=waiting) <= rank(same_end, waiting=waiting)


@given(cases(), spans, st.booleans())
def test_who_is_due_sooner_is_never_behind(one: Case, more: timedelta, waiting: bool) -> None:
    later = replace(one, due=one.due + more)
    assert rank(one, waiting=waiting) <= rank(later, waiting=waiting)


@given(cases())
def test_each_worse_severity_and_a_caller_in_line_come_first(one: Case) -> None:
    ranks = [rank(replace(one, severity=each), waiting=False) for each in Severity]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(Severity)
    assert rank(one, waiting=True) < rank(one, waiting=False)


def test_due_sooner_counts_among_cases_of_one_age() -> None:
    soon, late = (replace(case("acme"), due=OPENED + timedelta(minutes=m)) for m in (10, 60))
    assert rank(soon, waiting=False) < rank(late, waiting=False)


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=40), "low; caller is waiting; due in 59 min; has waited 40 s"),
        (timedelta(minutes=12), "low; caller is waiting; due in 48 min; has waited 12 min"),
        (timedelta(minutes=57), "low; due in 3 min; has waited 57 min"),
        (timedelta(minutes=60), "low; overdue by 0 s; has waited 1 h"),
        (timedelta(minutes=62), "low; overdue by 2 min; has waited 1 h 2 min"),
        (timedelta(hours=49), "low; overdue by 2 d; has waited 2 d 1 h"),
        (-timedelta(minutes=1), "low; caller is waiting; due in 1 h 1 min; has waited 0 s"),
    ],
)
def test_the_words_for_a_rank(passed: timedelta, words: str) -> None:
    waiting = replace(case("acme"), waits_until=OPENED + timedelta(minutes=20))
    assert "; ".join(reasons(waiting, OPENED + passed)) == words


def test_the_severity_is_said_first() -> None:
    assert reasons(case("acme", severity=Severity.CRITICAL), OPENED)[0] == "critical"
