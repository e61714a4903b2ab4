"""Reads decisions and outcomes from the ledger, page by page and so many at most, to report."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from inwit.cases import ActKind
from inwit.ledger.database import Database
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.tables import ENTRIES, POLICIES
from inwit.miss_rate.estimate import Estimate
from inwit.miss_rate.seen import Lenience, lenience_of
from inwit.miss_rate.tally import Source, Tally

WINDOW = timedelta(days=30)
MOST_ENTRIES = 100_000

_PAGE = 500  # entries; other work gets the reading thread in between
_SLACK = 1_000  # entries that one commit, or two gateways' clocks, may put out of order
_TYPES = ("decision", ActKind.OUTCOME.value)

_COLUMNS = ENTRIES.c


@dataclass(frozen=True, slots=True)
class MissReport:
    """What is known of misses since a time, by policy and by who says what is harmful.

    About `left_out` entries, of whatever kind, are older than the most that are read. `no_chance`
    decisions were made where no random slice could fall on them; `unreadable` entries were changed,
    are of another form, or lack their policy's text.
    """

    since: datetime
    policies: dict[str, dict[Source, Estimate]]
    decisions: int
    left_out: int
    no_chance: int
    unreadable: int

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return _REPORT.dump_python(self, mode="json")


_REPORT = TypeAdapter(MissReport)


@dataclass
class Reading:
    """How far a ledger was read, and what was found there. Goes on where it stopped.

    `last` is the place of the last entry that was read.
    """

    since: datetime
    tally: Tally = field(default_factory=Tally)
    last: int | None = None
    left_out: int = 0
    policies: dict[str, Lenience | None] = field(default_factory=dict[str, Lenience | None])

    def report(self) -> MissReport:
        """From all that was read so far; takes a moment, so not on the event loop."""
        tally = self.tally
        return MissReport(
            since=self.since,
            policies=tally.estimates(),
            decisions=tally.decisions,
            left_out=self.left_out,
            no_chance=tally.no_chance,
            unreadable=tally.unreadable,
        )


async def read_misses(
    database: Database, since: datetime | None = None, most: int = MOST_ENTRIES
) -> MissReport:
    """What the ledger says of misses since then (with a time zone; 30 days ago when None).

    Raises:
        LedgerError: the database failed.
    """
    reading = Reading(since or datetime.now(UTC) - WINDOW)
    await read_on(database, reading, most)
    return await asyncio.to_thread(reading.report)


async def read_on(
    database: Database,
    reading: Reading,
    most: int = MOST_ENTRIES,
    page: int = _PAGE,
    pause_s: float = 0.0,
) -> None:
    """Read what is new, the newest `most` entries of it, with a pause after each page.

    Raises:
        LedgerError: the database failed; what was read until then counts.
    """
    first, end = await database.read(partial(_stretch, reading=reading))
    start = max(first, end - most)
    reading.left_out += start - first
    reading.last = start
    more = True
    while more:
        more = await database.read(partial(_page, reading=reading, end=end, page=page))
        await asyncio.sleep(pause_s)


def _stretch(connection: sa.Connection, reading: Reading) -> tuple[int, int]:
    """The place of the last entry before what is new, and of the last one there is."""
    end = connection.execute(sa.select(sa.func.max(_COLUMNS.sequence))).scalar() or 0
    if reading.last is not None:
        return reading.last, end
    query = sa.select(_COLUMNS.sequence).where(_COLUMNS.time < reading.since.astimezone(UTC))
    before = connection.execute(query.order_by(_COLUMNS.time.desc()).limit(1)).scalar() or 0
    return max(0, before - _SLACK), end


def _page(connection: sa.Connection, reading: Reading, end: int, page: int) -> bool:
    """Read on; whether there may be more."""
    place = (_COLUMNS.sequence > reading.last, _COLUMNS.sequence <= end)
    query = sa.select(ENTRIES).where(*place, _COLUMNS.type.in_(_TYPES))
    rows = connection.execute(query.order_by(_COLUMNS.sequence).limit(page)).all()
    for row in rows:
        reading.last = row.sequence
        _read(connection, row, reading)
    if len(rows) < page:
        reading.last = end
    return len(rows) == page


def _read(connection: sa.Connection, row: sa.Row[Any], reading: Reading) -> None:
    try:
        facts = facts_of(row)
    except Changed:
        reading.tally.unreadable += 1
        return
    if datetime.fromisoformat(facts["time"]) >= reading.since:
        reading.tally.add(facts, lambda digest: _lenience(connection, digest, reading))


def _lenience(connection: sa.Connection, digest: str, reading: Reading) -> Lenience | None:
    """From the text that was in force; None where that is not kept, or was changed since."""
    if digest not in reading.policies:
        query = sa.select(POLICIES.c.text).where(POLICIES.c.digest == digest)
        text = connection.execute(query).scalar()
        if not isinstance(text, bytes) or hashlib.sha256(text).hexdigest() != digest:
            reading.policies[digest] = None
        else:
            reading.policies[digest] = lenience_of(text)
    return reading.policies[digest]
