"""The ready queries, on an export of a ledger of which everything is known."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from inwit.cases import RulingKind
from inwit.decisions import (
    CutReason,
    CutRecord,
    Decision,
    Origin,
    Reason,
    RewriteOutcome,
    Round,
    Sent,
)
from inwit.ledger import golden, rulings
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.following import export_all
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.parquet import queries
from inwit.ledger.exports.places import Folder
from inwit.types import (
    Action,
    Candidate,
    Category,
    Enforcement,
    PolicyRef,
    ReviewStatus,
    Usage,
    Verdict,
)
from tests.ledger.case_world import LEASE, REVIEWERS, SENIOR, World
from tests.ledger.exports.ledgers import DECISION, of
from tests.ledger.test_store import RECORD as HELD

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

T = TypeVar("T")
OPENED = HELD.time  # of every case in that world
Ask = Callable[[str], list[dict[str, Any]]]


class Reads:
    """A world, as an exporter reads it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        return self._world.read(work)


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


async def asked(world: World, folder: Path) -> Ask:
    """What answers a query by its name, as somebody in that folder would be."""
    exporter = Exporter(Reads(world), Folder(folder), Wanted(Form.PARQUET, rows=7))
    await exporter.open()
    await export_all(exporter)

    def ask(name: str) -> list[dict[str, Any]]:
        before = Path.cwd()
        os.chdir(folder / "parquet")
        try:
            with duckdb.connect() as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(Path("views.sql").read_text())
                found = connection.execute(Path(f"queries/{name}.sql").read_text())
                columns = [each[0] for each in found.description]
                return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
        finally:
            os.chdir(before)

    return ask


def decide(
    world: World,
    number: int,
    time: datetime,
    *categories: Category,
    action: Action = Action.ALLOW,
    reviewed: bool = True,
    policy: str = "default",
    enforcement: Enforcement = Enforcement.FULL,
    sent: Sent | None = None,
    checked: bool = False,
) -> None:
    verdict = Verdict("conscience", ReviewStatus.JUDGED, risk=0.5)
    decision = Decision(
        action, (Reason.IN_DOUBT,), (verdict,), "cd" * 32, reviewed=reviewed, categories=categories
    )
    record = of(number, time=time, decision=decision, sent=sent, checked=checked)
    origin: Origin = replace(
        record.origin,
        response_id=f"resp_plain_{number}",
        policy=PolicyRef(policy, "1", "ab" * 32),
        enforcement=enforcement,
    )
    world.do(lambda each: each.add(replace(record, origin=origin)))


async def test_all_of_them_are_tried() -> None:
    assert queries() == [
        "open_cases_by_age.sql",
        "overturns_by_policy.sql",
        "reviewer_decisions.sql",
        "time_to_rule.sql",
        "trigger_rate_by_category_by_week.sql",
        "unreviewed_releases.sql",
    ]


async def test_trigger_rate_by_category_by_week(world: World, tmp_path: Path) -> None:
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    for number in range(10):
        found = [Category.HATE] if number < 3 else []
        found += [Category.DECEPTION] if number == 0 else []
        decide(world, number, monday + timedelta(hours=number), *found)
    for number in range(10, 14):
        decide(world, number, monday + timedelta(days=7), *[Category.HATE][: number % 2])

    rows = (await asked(world, tmp_path))("trigger_rate_by_category_by_week")

    told = [(str(r["week"]), r["category"], r["triggered"], r["decisions"]) for r in rows]
    assert told == [
        ("2026-11-16", "deception", 1, 10),
        ("2026-11-16", "hate", 3, 10),
        ("2026-11-23", "hate", 2, 4),
    ]
    assert [round(row["rate"], 3) for row in rows] == [0.1, 0.3, 0.5]


async def test_a_harm_that_a_rewrite_cured_was_found(world: World, tmp_path: Path) -> None:
    bad = replace(DECISION, action=Action.REWRITE, categories=(Category.HATE,))
    rounds = tuple(Round(Candidate("", "m"), each) for each in (bad, DECISION))
    record = of(1, rounds=rounds, rewrites=(RewriteOutcome.PASSED,))
    world.do(lambda each: each.add(record))

    (row,) = (await asked(world, tmp_path))("trigger_rate_by_category_by_week")

    assert (row["category"], row["triggered"], row["decisions"]) == ("hate", 1, 1)


async def test_what_people_made_of_what_was_held(world: World, tmp_path: Path) -> None:
    ada, ben, _ = REVIEWERS
    for seconds, who, kind in (
        (60, ada, RulingKind.APPROVE),
        (120, ada, RulingKind.BLOCK),
        (500, ben, RulingKind.APPROVE_REWRITE),
    ):
        world.now = OPENED
        case = world.held()
        world.later(seconds)
        world.claim(case, who, "token")
        world.rule(case, who, "token", kind)
    world.now = OPENED
    raised = world.held()
    world.claim(raised, ben, "token")
    world.rule(raised, ben, "token", RulingKind.ESCALATE)
    world.claim(raised, SENIOR, "other")
    world.rule(raised, SENIOR, "other", RulingKind.BLOCK)
    world.held()  # on which nobody rules
    world.later(10_000)
    world.sweep()
    still = [world.held(), world.held()]

    ask = await asked(world, tmp_path)

    (overturns,) = ask("overturns_by_policy")
    assert overturns == {
        "policy": "default",
        "ruled": 4,
        "overturned": 1,
        "changed": 1,
        "upheld": 2,
        "overturn_rate": 0.25,
    }
    (times,) = ask("time_to_rule")
    assert (times["ruled"], times["median_s"]) == (4, 90.0)  # of 0, 60, 120 and 500
    assert times["p95_s"] == pytest.approx(443.0)
    people = {row.pop("reviewer"): row for row in ask("reviewer_decisions")}
    zero = dict.fromkeys(
        ("approved", "approved_rewrite", "edited", "blocked", "escalated", "late", "undone"), 0
    )
    assert people == {
        ada.id: {**zero, "rulings": 2, "approved": 1, "blocked": 1},
        ben.id: {**zero, "rulings": 2, "approved_rewrite": 1, "escalated": 1},
        SENIOR.id: {**zero, "rulings": 1, "blocked": 1},
    }
    waiting = ask("open_cases_by_age")
    assert [row["case_id"] for row in waiting] == still
    age = (datetime.now(UTC) - OPENED).total_seconds()
    assert waiting[0]["age_s"] == pytest.approx(age, abs=60)
    assert waiting[0]["severity"] == "high"


async def test_rulings_that_stand_on_real_cases(world: World, tmp_path: Path) -> None:
    ada, ben, _ = REVIEWERS
    case = world.held()
    world.claim(case, ada, "token")
    wrong, _ = world.rule(case, ada, "token", RulingKind.APPROVE, undo_s=60)
    world.do(lambda each: rulings.undo(each, case, wrong.id, ada.id, "again", LEASE))
    world.rule(case, ada, "again", RulingKind.BLOCK)
    world.do(lambda each: golden.make_golden(each, case, RulingKind.BLOCK, "rev_admin"))
    practice = world.do(lambda each: golden.next_golden(each, ben, "token", LEASE))
    assert practice is not None
    world.rule(practice[0].id, ben, "token", RulingKind.APPROVE)

    (row,) = (await asked(world, tmp_path))("reviewer_decisions")

    assert {name: value for name, value in row.items() if value} == {
        "reviewer": ada.id,
        "rulings": 1,
        "blocked": 1,
        "undone": 1,
    }


async def test_streams_that_left_before_their_review(world: World, tmp_path: Path) -> None:
    day = datetime(2026, 11, 16, tzinfo=UTC)
    at_once = Enforcement.AUDIT_ONLY
    decide(world, 1, day, enforcement=at_once, sent=Sent(500, 0, Usage(), retracted=False))
    decide(
        world,
        2,
        day,
        action=Action.BLOCK,
        enforcement=at_once,
        sent=Sent(500, 0, Usage(), retracted=True),
    )
    decide(world, 3, day, enforcement=at_once)  # a call of a tool: it left after its decision
    decide(world, 4, day, action=Action.BLOCK, enforcement=at_once)
    decide(
        world,
        5,
        day,
        action=Action.BLOCK,
        enforcement=Enforcement.WINDOWED,
        sent=Sent(500, 2, Usage(), retracted=True),
    )
    origin = replace(of(6).origin, enforcement=at_once)
    cut = CutRecord(origin, day, CutReason.CALLER_GONE, 70, None, {})
    world.do(lambda each: each.add(cut))

    (row,) = (await asked(world, tmp_path))("unreviewed_releases")

    del row["day"], row["policy"]
    assert row == {
        "enforcement": "audit_only",
        "asked": "response",
        "released": 2,
        "withheld_too_late": 1,
        "cut": 1,
        "unreviewed": 3,
        "rate": 0.75,
    }


def _without(folder: Path, columns: list[str]) -> None:
    arrow = import_module("pyarrow.parquet")
    for part in folder.rglob("part-*.parquet"):
        table = arrow.read_table(part, partitioning=None)
        arrow.write_table(table.drop_columns(columns), part)


async def test_parts_of_before_are_asked_too(world: World, tmp_path: Path) -> None:
    """They do not have the columns that came later."""
    day = datetime(2026, 11, 16, tzinfo=UTC)
    decide(world, 1, day, enforcement=Enforcement.AUDIT_ONLY)
    ask = await asked(world, tmp_path)
    _without(tmp_path, ["sent_length", "retracted"])

    (row,) = ask("unreviewed_releases")

    assert (row["released"], row["unreviewed"]) == (1, 1)


async def test_unreviewed_releases(world: World, tmp_path: Path) -> None:
    day = datetime(2026, 11, 16, tzinfo=UTC)
    decide(world, 1, day)
    decide(world, 2, day, reviewed=False)
    decide(world, 3, day, reviewed=False, action=Action.REDACT)
    decide(world, 4, day, reviewed=False, action=Action.BLOCK)
    decide(world, 5, day, policy="strict")

    (row,) = (await asked(world, tmp_path))("unreviewed_releases")

    assert (str(row["day"]), row["policy"], row["enforcement"]) == ("2026-11-16", "default", "full")
    assert (row["asked"], row["released"], row["unreviewed"]) == ("response", 3, 2)
    assert row["rate"] == pytest.approx(2 / 3)


async def test_checked_candidates_that_might_leave_unreviewed(world: World, tmp_path: Path) -> None:
    """As they are counted in metrics, and apart from responses. No check is a stream."""
    day = datetime(2026, 11, 16, tzinfo=UTC)
    decide(world, 1, day, checked=True, enforcement=Enforcement.AUDIT_ONLY)
    decide(world, 2, day, checked=True, reviewed=False, enforcement=Enforcement.AUDIT_ONLY)
    decide(world, 3, day, checked=True, reviewed=False, policy="strict")
    decide(world, 4, day, checked=True, policy="strict", action=Action.REDACT)
    decide(world, 5, day, checked=True, reviewed=False, policy="strict", action=Action.BLOCK)
    decide(world, 6, day, reviewed=False, policy="strict")

    rows = (await asked(world, tmp_path))("unreviewed_releases")

    assert [(r["policy"], r["asked"], r["released"], r["unreviewed"]) for r in rows] == [
        ("default", "check", 2, 1),
        ("strict", "check", 2, 1),
        ("strict", "response", 1, 1),
    ]
    assert [row["rate"] for row in rows] == [0.5, 0.5, 1.0]
