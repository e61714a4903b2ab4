"""Entries from a real ledger: pages, the cap, reading on, and what is not believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from inwit.decisions import Record, Round, Sampling
from inwit.ledger.database import Database
from inwit.ledger.policies import keep
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import POLICIES
from inwit.miss_rate.estimate import Estimate
from inwit.miss_rate.reading import Reading, read_misses, read_on
from inwit.miss_rate.tally import Source
from inwit.policy.decide import Evidence, decide
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import Candidate, ReviewStatus, Verdict
from tests.ledger.both_databases import database as database  # fixtures
from tests.ledger.both_databases import postgres as postgres
from tests.ledger.test_store import RECORD
from tests.miss_rate.entries import SLICE
from tests.miss_rate.test_seen import CLEARED, FLAGGED, PASS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEXT = (PACKAGED / "default.yaml").read_bytes()
POLICY = load_policy(PACKAGED / "default.yaml")
DOUBT = Verdict("conscience", ReviewStatus.JUDGED, risk=0.5, covers="c")


def record(number: int, *, flagged: bool, conscience: Verdict = PASS) -> Record:
    """A response that the slice fell on, `number` hours after noon."""
    evidence = Evidence("c", conscience, None, FLAGGED if flagged else CLEARED, SLICE)
    decision = decide(POLICY, evidence)
    judged = Round(Candidate("The moon.", "m"), decision, SLICE, sampling=Sampling(0.5, True))
    origin = replace(RECORD.origin, response_id=f"resp_{number}", policy=POLICY.ref)
    time = NOON + number * HOUR
    return replace(RECORD, origin=origin, time=time, decision=decision, rounds=(judged,))


async def append(database: Database, *records: Record) -> None:
    store = LedgerStore(database)
    async with store.running():
        for each in records:
            await store.append(each)


def by_classifier(reading: Reading) -> Estimate:
    return reading.report().policies["default"][Source.CLASSIFIER]


async def test_pages_lose_and_repeat_nothing(database: Database) -> None:
    await append(database, *(record(n, flagged=n % 3 == 0) for n in range(10)))
    reading = Reading(NOON)

    await read_on(database, reading, page=3)

    found = by_classifier(reading)
    assert (found.passed, found.audited_passed, reading.left_out) == (10, 10, 0)
    assert found.per_response.value == pytest.approx(0.4)


async def test_it_reads_on_where_it_stopped(database: Database) -> None:
    await append(database, record(0, flagged=True), record(1, flagged=False))
    reading = Reading(NOON)
    await read_on(database, reading)

    await read_on(database, reading)
    again = by_classifier(reading)
    await append(database, record(2, flagged=False), record(3, flagged=False))
    await read_on(database, reading)

    assert (again.passed, again.per_response.value) == (2, 0.5)
    assert by_classifier(reading).per_response.value == 0.25


async def test_the_newest_are_read_and_the_others_counted(database: Database) -> None:
    await append(database, *(record(n, flagged=n < 6) for n in range(10)))

    report = await read_misses(database, NOON, most=4)

    found = report.policies["default"][Source.CLASSIFIER]
    assert (report.decisions, report.left_out) == (4, 6)
    assert found.per_response.value == 0


async def test_what_is_older_is_not_counted(database: Database) -> None:
    await append(database, *(record(n, flagged=n < 2) for n in range(5)))

    report = await read_misses(database, NOON + 2 * HOUR)

    assert (report.decisions, report.left_out) == (3, 0)
    assert report.policies["default"][Source.CLASSIFIER].per_response.value == 0
    assert (await read_misses(database, NOON + 5 * HOUR)).policies == {}


async def test_clocks_that_disagree_lose_nothing(database: Database) -> None:
    """An entry from before the window stands behind one that is in it."""
    await append(database, record(1, flagged=True), record(-1, flagged=False))

    report = await read_misses(database, NOON)

    assert report.decisions == 1
    assert report.policies["default"][Source.CLASSIFIER].per_response.value == 1


async def test_thirty_days_unless_told_otherwise(database: Database) -> None:
    age = datetime.now(UTC) - NOON
    fresh = replace(record(0, flagged=True), time=NOON + age - timedelta(days=29))
    old = replace(record(1, flagged=False), time=NOON + age - timedelta(days=31))
    await append(database, old, fresh)

    report = await read_misses(database)

    assert report.policies["default"][Source.CLASSIFIER].per_response.value == 1


async def test_an_entry_that_was_changed_is_not_believed(database: Database) -> None:
    await append(database, record(0, flagged=True), record(1, flagged=False))

    def change(connection: sa.Connection) -> None:
        (row,) = connection.execute(sa.text("SELECT body FROM entries WHERE sequence = 1")).all()
        query = sa.text("UPDATE entries SET body = :body WHERE sequence = 1")
        changed = bytes(row.body).replace(b"classifier_flagged", b"classifier_agreed_")
        connection.execute(query, {"body": changed})

    await database.write(change)
    report = await read_misses(database, NOON)

    assert (report.unreadable, report.decisions) == (1, 1)
    assert report.policies["default"][Source.CLASSIFIER].passed == 1


async def test_the_policy_in_force_tells_what_doubt_comes_to(database: Database) -> None:
    """The classifier was asked by the slice alone, and flagged what the conscience doubted."""
    doubted = record(0, flagged=True, conscience=DOUBT)
    await append(database, doubted, record(1, flagged=False))
    lost = await read_misses(database, NOON)

    await keep(database, [(POLICY.ref, TEXT)])
    kept = await read_misses(database, NOON)
    change = sa.update(POLICIES).values(text=TEXT.replace(b"on_doubt: block", b"on_doubt: allow"))
    await database.write(lambda connection: connection.execute(change))
    changed = await read_misses(database, NOON)

    assert (lost.unreadable, kept.unreadable, changed.unreadable) == (1, 0, 1)
    found = kept.policies["default"][Source.CLASSIFIER]
    assert (found.passed, found.stopped) == (1, 1)


async def test_an_empty_ledger_tells_nothing(database: Database) -> None:
    report = await read_misses(database)

    assert (report.policies, report.decisions, report.left_out) == ({}, 0, 0)
