"""What an entry says of each candidate's categories, and that its readers need no new schema."""

from dataclasses import replace
from typing import Any

import pytest

from inwit.decisions import CutReason, CutRecord, Record, WindowRecord
from inwit.ledger.chain import SCHEMA, entry_facts
from inwit.types import Action, Category, ReviewStatus, Verdict
from tests.ledger.test_store import DECISION, ORIGIN, RECORD

HATE, DECEPTION = Category.HATE, Category.DECEPTION


def judged(*categories: Category) -> Verdict:
    return Verdict("guard", ReviewStatus.JUDGED, risk=0.5, categories=categories)


def cured(found: tuple[Category, ...], *named: Category) -> Record:
    """A first candidate of which so much was found, and a rewrite of which nothing was."""
    bad = replace(
        DECISION, action=Action.REWRITE, categories=found, verdicts=(judged(), judged(*named))
    )
    good = replace(DECISION, categories=(), verdicts=(judged(),))
    first = replace(RECORD.rounds[0], decision=bad)
    return replace(
        RECORD, decision=good, rounds=(first, replace(first, decision=good)), contents={}
    )


def facts_of(record: Any) -> dict[str, Any]:
    return entry_facts(record, "ent_1", {})


def test_what_only_the_first_candidate_had_is_told() -> None:
    facts = facts_of(cured((HATE, DECEPTION)))

    first, second = facts["rounds"]
    assert first["categories"] == ["hate", "deception"]
    assert "categories" not in second
    assert (facts["categories"], facts["schema"], SCHEMA) == ([], 5, 5)


@pytest.mark.parametrize(
    ("found", "named", "told"),
    [
        ((HATE, DECEPTION), (DECEPTION, HATE), None),
        ((HATE,), (HATE, DECEPTION), ["hate"]),
        ((), (HATE,), []),
        ((), (), None),
    ],
)
def test_what_the_verdicts_name_is_not_told_twice(
    found: tuple[Category, ...], named: tuple[Category, ...], told: list[str] | None
) -> None:
    assert facts_of(cured(found, *named))["rounds"][0].get("categories") == told


def test_windows_and_cut_streams_tell_it_too() -> None:
    round_ = cured((HATE,)).rounds[0]
    window = WindowRecord(ORIGIN, RECORD.time, 0, 9, round_, {})
    cut = CutRecord(ORIGIN, RECORD.time, CutReason.CALLER_GONE, 9, round_, {})
    for each in (window, cut):
        assert facts_of(each)["rounds"][0]["categories"] == ["hate"]
