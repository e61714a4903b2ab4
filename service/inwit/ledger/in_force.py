"""Entries about policies: that one came into force, went out of it, or was refused.

However many gateways bring the same folder into force, there is one entry for each change: the
newest one about a policy says what stands, and the ledger lets in one writer at a time.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind
from inwit.ledger.administration import note, short_list
from inwit.ledger.database import Database
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.tables import ENTRIES
from inwit.types import PolicyRef

Standing = Mapping[str, str | None]
"""The digest that was last said to be in force, by the policy's name; None where it went."""

_AT_ONCE = 50
_IN_FORCE = (ActKind.POLICY_IN_FORCE.value, ActKind.POLICY_WITHDRAWN.value)


async def standing(database: Database, names: Collection[str]) -> tuple[int, Standing]:
    """What the entries say of these policies, and the place up to which that holds.

    It is read before the ledger is locked: the entry of an old policy may lie far back.

    Raises:
        LedgerError: the database failed.
    """

    def work(connection: sa.Connection) -> tuple[int, Standing]:
        end = connection.execute(sa.select(sa.func.max(ENTRIES.c.sequence))).scalar() or 0
        return end, _said(connection, names, 0)

    return await database.read(work)


def note_in_force(
    connection: sa.Connection,
    known: tuple[int, Standing],
    refs: Iterable[PolicyRef],
    gone: Iterable[str],
) -> None:
    """Append an entry for each policy of which another one, or none, was last in force.

    `known` is what `standing` gave; `gone` are the names that are in force no more.
    """
    place, before = known
    refs, gone = sorted(refs, key=lambda ref: ref.name), sorted(gone)
    names = {ref.name for ref in refs} | set(gone)
    said = {**before, **_said(connection, names, place)}
    for ref in refs:
        previous = said.get(ref.name)
        if previous != ref.digest:
            facts = {"policy": ref.name, "version": ref.version, "digest": ref.digest}
            note(connection, ActKind.POLICY_IN_FORCE, facts | {"previous": previous})
    for name in gone:
        if (previous := said.get(name)) is not None:
            note(connection, ActKind.POLICY_WITHDRAWN, {"policy": name, "previous": previous})


async def note_refused(database: Database, digests: Iterable[str], why: str, problems: int) -> None:
    """Append an entry about a folder that does not compile, by the digests of its new files.

    Not where the newest such entry says the same: another gateway has the folder, too.

    Raises:
        LedgerError: the database failed.
    """
    facts = {"files": short_list(sorted(digests)), "why": why, "problems": problems}

    def work(connection: sa.Connection) -> None:
        newest = next(_newest(connection, (ActKind.POLICY_REFUSED.value,), 0), None)
        if newest != facts:
            note(connection, ActKind.POLICY_REFUSED, facts)

    await database.write(work)


def _said(connection: sa.Connection, names: Collection[str], after: int) -> Standing:
    """What entries after a place say, of these names."""
    found: dict[str, str | None] = {}
    for facts in _newest(connection, _IN_FORCE, after):
        if len(found) == len(names):
            break
        name = str(facts.get("policy"))
        if name in names and name not in found:
            found[name] = facts.get("digest")
    return found


def _newest(
    connection: sa.Connection, kinds: Collection[str], after: int
) -> Iterator[dict[str, Any]]:
    """The facts of such entries, the newest first. One that was changed says nothing."""
    column = ENTRIES.c
    query = (
        sa.select(ENTRIES)
        # Entries without a response are few, and an index leads to them.
        .where(column.response_id == "", column.type.in_(kinds), column.sequence > after)
        .order_by(column.sequence.desc())
        .limit(_AT_ONCE)
    )
    rows = connection.execute(query).all()
    while rows:
        for row in rows:
            with contextlib.suppress(Changed):
                yield facts_of(row).get("facts") or {}
        rows = connection.execute(query.where(column.sequence < rows[-1].sequence)).all()
