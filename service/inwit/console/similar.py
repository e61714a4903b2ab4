"""Earlier rulings on cases like one: the same tenant, a category in common, and a text near it.

Texts are near by how many of their words in threes they share (Jaccard). It is all read from the
ledger, the latest cases first, as many as a short time allows; nothing is kept.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import Case, CaseState, Reviewer, Ruling, RulingKind
from inwit.ledger.database import Database
from inwit.ledger.escalations import cases_of
from inwit.ledger.opened import Changed, contents_of, facts_at
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.settling import conclusion
from inwit.ledger.tables import ESCALATIONS

MOST_CASES = 200
MOST_SHOWN = 5
LEAST_LIKENESS = 0.2
LONGEST_S = 0.5

_BATCH = 20
_WORD = re.compile(r"\w+")
_SHINGLE = 3  # words
_MOST_SHINGLES = 5_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """A case that was ruled on before. `likeness` of its candidate lies in [0, 1]."""

    case_id: str
    likeness: float
    kind: RulingKind
    clause: str | None
    closed: datetime


@dataclass(frozen=True, slots=True)
class _Ruled:
    case: Case
    kind: RulingKind
    clause: str | None
    text: str


async def earlier_rulings(
    database: Database, reviewer: Reviewer, case: Case, sequence: int, candidate: str
) -> list[Earlier]:
    """Those most like it, at most MOST_SHOWN. `sequence` is the place of the case's decision.

    Raises:
        LedgerError: the database failed.
    """
    ends = time.monotonic() + LONGEST_S
    wanted, found = shingles(candidate), list[Earlier]()
    ids = await database.read(lambda each: _candidates(each, case, sequence))
    for start in range(0, len(ids), _BATCH):
        if time.monotonic() > ends:
            break
        batch = ids[start : start + _BATCH]
        for ruled in await database.read(lambda each, names=batch: _ruled(each, reviewer, names)):
            near = likeness(wanted, shingles(ruled.text))
            if near >= LEAST_LIKENESS:
                closed = ruled.case.closed or ruled.case.opened
                found.append(Earlier(ruled.case.id, near, ruled.kind, ruled.clause, closed))
    return sorted(found, key=lambda each: -each.likeness)[:MOST_SHOWN]


def shingles(text: str) -> frozenset[int]:
    """The words of a text in threes, in lower case, as hashes; a shorter text is one by itself."""
    words = _WORD.findall(text.lower())[: _MOST_SHINGLES + _SHINGLE - 1]
    if len(words) <= _SHINGLE:
        return frozenset({hash(tuple(words))}) if words else frozenset()
    last = len(words) - _SHINGLE + 1
    return frozenset(hash(tuple(words[start : start + _SHINGLE])) for start in range(last))


def likeness(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of what both have in what either has: 1 for the same, 0 for nothing in common."""
    either = len(one | other)
    return len(one & other) / either if either else 0.0


def _candidates(connection: sa.Connection, case: Case, sequence: int) -> Sequence[str]:
    """Ids of resolved cases, the latest first.

    Those of the same decision are left out: a golden copy would find its own answer among them.
    """
    columns = ESCALATIONS.c
    listed = sa.literal(",") + columns.categories + ","
    shared = [listed.contains(f",{each.value},", autoescape=True) for each in case.categories]
    query = (
        sa.select(columns.id)
        .where(
            columns.tenant == case.tenant,
            columns.state == CaseState.RESOLVED.value,
            columns.expected.is_(None),
            columns.sequence != sequence,
            sa.or_(*shared) if shared else columns.categories == "",
        )
        .order_by(columns.closed.desc())
        .limit(MOST_CASES)
    )
    return connection.execute(query).scalars().all()


def _ruled(connection: sa.Connection, reviewer: Reviewer, ids: Sequence[str]) -> list[_Ruled]:
    rows = connection.execute(sa.select(ESCALATIONS).where(ESCALATIONS.c.id.in_(ids))).all()
    sequences = {row.id: row.sequence for row in rows}
    found: list[_Ruled] = []
    for case in cases_of(connection, rows):
        counting = [each for each in rulings_of(connection, case.id) if each.counts]
        final = conclusion(case, counting)
        text = _text(connection, sequences[case.id])
        if reviewer.may_see(case) and isinstance(final, Ruling) and text is not None:
            found.append(_Ruled(case, final.kind, final.clause, text))
    return found


def _text(connection: sa.Connection, sequence: int) -> str | None:
    """The candidate of a decision; None where it is erased, or not what was written."""
    try:
        facts = {sequence: facts_at(connection, sequence)}
        contents: dict[str, Any] = contents_of(connection, facts, ("candidate",))[sequence]
    except Changed:
        return None
    return contents["candidate"]["text"] if "candidate" in contents else None
