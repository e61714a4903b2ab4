"""Rows from a real ledger: what is read, filtered, left out and not believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import sqlalchemy as sa

from inwit.agreement.reading import read_rows
from inwit.agreement.rows import CaseRow, Filters, JudgeState, Rows, RulingRow, Standing
from inwit.cases import CaseState, RulingKind
from inwit.decisions import Reason
from inwit.ledger.database import Database
from inwit.ledger.tables import POLICIES
from inwit.types import Category, PolicyRef
from tests.agreement.book import ALL, DEFAULT, NOON, Closed, write
from tests.ledger.both_databases import database as database  # fixtures
from tests.ledger.both_databases import postgres as postgres

APPROVE, EDIT, BLOCK = RulingKind.APPROVE, RulingKind.EDIT, RulingKind.BLOCK
ONE = (("rev_ada", BLOCK, True, -10),)
SECOND = timedelta(seconds=1)


async def test_a_case_is_read_with_its_rulings_and_judges(database: Database) -> None:
    rulings = (("rev_ada", EDIT, True, -20), ("rev_ben", BLOCK, True, -10))
    await write(
        database,
        Closed(
            "a",
            rulings,
            language="de",
            categories=(Category.HATE, Category.WEAPONS),
            required=2,
            drawn=True,
            first=APPROVE,
            risks=(0.9, 0.01),
            reasons=(Reason.DISAGREEMENT, Reason.ABOVE_UPPER),
        ),
    )

    assert await read_rows(database, ALL) == Rows(
        (
            CaseRow(
                policy="default",
                language="de",
                categories=(Category.HATE, Category.WEAPONS),
                required=2,
                drawn=True,
                expired=False,
                expected=None,
                conscience=JudgeState.FLAGGED,
                classifier=JudgeState.PASSED,
                rulings=(
                    RulingRow(1, "rev_ada", EDIT, APPROVE, Standing.COUNTED),
                    RulingRow(2, "rev_ben", BLOCK, APPROVE, Standing.COUNTED),
                ),
            ),
        )
    )


async def test_late_and_undone_rulings_are_told_apart(database: Database) -> None:
    rulings = (
        ("rev_ada", BLOCK, False, -20),
        ("rev_ben", BLOCK, True, -10),
        ("rev_cy", BLOCK, False, 5),
    )
    await write(database, Closed("a", rulings, state=CaseState.EXPIRED))

    (case,) = (await read_rows(database, ALL)).cases

    assert [each.standing.value for each in case.rulings] == ["undone", "counted", "late"]
    assert case.expired


async def test_open_cases_and_other_times_are_not_read(database: Database) -> None:
    await write(
        database,
        Closed("early", ONE, closed=NOON - SECOND, language="aa"),
        Closed("first", ONE, closed=NOON, language="bb"),
        Closed("last", ONE, closed=NOON + SECOND, language="cc"),
        Closed("after", ONE, closed=NOON + 2 * SECOND, language="dd"),
        Closed("open", ONE, state=CaseState.CLAIMED, language="ee"),
    )
    east = timezone(timedelta(hours=5))
    period = Filters(NOON.astimezone(east), (NOON + 2 * SECOND).astimezone(east))

    found = await read_rows(database, period)

    assert [case.language for case in found.cases] == ["cc", "bb"]


async def test_each_filter_lets_through_its_own(database: Database) -> None:
    strict = PolicyRef("strict", "1", "cd" * 32)
    await write(
        database,
        Closed("a", ONE, language="aa", categories=(Category.HATE,)),
        Closed("b", ONE, language="bb", tenant="umbrella", categories=(Category.SEX_CRIMES,)),
        Closed("c", ONE, language="cc", policy=strict, categories=(Category.VIOLENT_CRIMES,)),
        Closed("d", ONE, language="dd", categories=(Category.NONVIOLENT_CRIMES, Category.HATE)),
    )

    async def languages(**changes: object) -> str:
        found = await read_rows(database, replace(ALL, **changes))  # pyright: ignore[reportArgumentType]  # names of fields
        return "".join(sorted(case.language[0] for case in found.cases))

    assert await languages() == "abcd"
    assert await languages(tenants=frozenset({"umbrella"})) == "b"
    assert await languages(tenants=frozenset({"acme", "umbrella"})) == "abcd"
    assert await languages(tenants=frozenset({"nobody"})) == ""
    assert await languages(policies=frozenset({"strict"})) == "c"
    assert await languages(languages=frozenset({"aa", "bb"})) == "ab"
    assert await languages(category=Category.HATE) == "ad"
    assert await languages(category=Category.VIOLENT_CRIMES) == "c"


async def test_pages_lose_and_repeat_nothing(database: Database) -> None:
    """Many cases are closed at one moment: the sweeper's."""
    cases = [
        Closed(f"{n}", ONE, closed=NOON + SECOND * (n // 4), language=f"{n}") for n in range(11)
    ]
    await write(database, *cases)

    everything = await read_rows(database, ALL, page=3)
    newest = await read_rows(database, ALL, most=7, page=3)

    assert {case.language for case in everything.cases} == {case.language for case in cases}
    assert len(everything.cases) == 11
    assert everything.left_out == 0
    assert newest == Rows(everything.cases[:7], left_out=4)


async def test_a_golden_case_is_read_as_one(database: Database) -> None:
    await write(database, Closed("a", ONE, expected=APPROVE))

    (case,) = (await read_rows(database, ALL)).cases

    assert case.expected is APPROVE


async def test_an_entry_that_was_changed_is_not_believed(database: Database) -> None:
    await write(database, Closed("a", ONE, drawn=True))
    body = (b'"risk":0.5', b'"risk":0.1')

    def change(connection: sa.Connection) -> None:
        (row,) = connection.execute(sa.text("SELECT body FROM entries")).all()
        query = sa.text("UPDATE entries SET body = :body")
        connection.execute(query, {"body": bytes(row.body).replace(*body)})

    await database.write(change)
    (case,) = (await read_rows(database, ALL)).cases

    assert (case.conscience, case.classifier) == (JudgeState.UNKNOWN,) * 2
    assert not case.drawn


async def test_a_policy_that_was_changed_or_never_kept_leaves_the_classifier_unknown(
    database: Database,
) -> None:
    lost = PolicyRef("lost", "1", "cd" * 32)
    await write(database, Closed("a", ONE, risks=(0.5, 0.5), policy=lost))
    (case,) = (await read_rows(database, ALL)).cases
    assert (case.conscience, case.classifier) == (JudgeState.DOUBT, JudgeState.UNKNOWN)

    await write(database, Closed("b", ONE, risks=(0.5, 0.5), closed=NOON + SECOND))
    assert (await read_rows(database, ALL)).cases[0].classifier is not JudgeState.UNKNOWN
    change = sa.update(POLICIES).values(text=DEFAULT + b"# and nobody sees it\n")
    await database.write(lambda connection: connection.execute(change))
    assert (await read_rows(database, ALL)).cases[0].classifier is JudgeState.UNKNOWN


async def test_an_empty_ledger_has_no_rows(database: Database) -> None:
    everything = Filters(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

    assert await read_rows(database, everything) == Rows(())


async def test_a_template_of_golden_cases_is_no_case(database: Database) -> None:
    template = Closed("a", ONE, state=CaseState.GOLDEN, expected=BLOCK)
    await write(database, template, Closed("b", ONE, expected=BLOCK))

    assert len((await read_rows(database, ALL)).cases) == 1
