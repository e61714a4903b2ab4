"""Reads responses back for those who asked for them, and tells nothing that was changed since."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import structlog

from inwit.errors import Gone
from inwit.ledger.database import Database
from inwit.ledger.opened import Changed, contents_of, facts_of
from inwit.ledger.read import Story
from inwit.ledger.sealing import Fate, fate_of
from inwit.ledger.stored import TOLD, Stored, stored
from inwit.ledger.tables import ENTRIES

log = structlog.get_logger()


class StoredResponses:
    """The responses in the ledger, each for its own tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def about(self, tenant: str, response_id: str) -> Stored | None:
        """What the ledger tells of a response; None where it has nothing for this tenant.

        Raises:
            Gone: it cannot be told any more.
            LedgerError: the database failed.
        """
        try:
            stories, fate = await self._database.read(
                lambda connection: _read(connection, tenant, response_id)
            )
        except Changed as error:
            log.error("ledger_changed", response=response_id)
            raise Gone(
                "What the ledger holds of this response was changed after it was written, and is "
                "not told. `inwit ledger verify` shows where."
            ) from error
        try:
            return stored(stories) if stories else None
        except Gone as error:
            if fate is None:
                raise
            raise Gone(f"The content of this response was {fate.value}.") from error


def _read(
    connection: sa.Connection, tenant: str, response_id: str
) -> tuple[list[Story], Fate | None]:
    """The entries, and what became of their content where there is none."""
    stories = _stories(connection, tenant, response_id)
    bare = stories and not any(story.contents for story in stories)
    return stories, fate_of(connection, response_id) if bare else None


def _stories(connection: sa.Connection, tenant: str, response_id: str) -> list[Story]:
    """The entries with the content that an answer needs, as they were written and for whom."""
    rows = connection.execute(
        sa.select(ENTRIES)
        .where(
            ENTRIES.c.response_id == response_id,
            ENTRIES.c.tenant == tenant,
            ENTRIES.c.type.in_(TOLD),
        )
        .order_by(ENTRIES.c.sequence)
    ).all()
    facts = {row.sequence: facts_of(row) for row in rows}
    for row in rows:
        own = facts[row.sequence]
        if (own["tenant"], own["response"], own["type"]) != (tenant, response_id, row.type):
            raise Changed
    kinds = {kind for each in facts.values() for kind in _needed(each)}
    contents = contents_of(connection, facts, kinds)
    return [Story(facts[row.sequence], row.hash.hex(), contents[row.sequence]) for row in rows]


def _needed(facts: dict[str, Any]) -> Iterator[str]:
    """What the model wrote is not even read, but for what was released of it."""
    yield "released"
    if facts.get("passages"):
        yield "request"
    if facts["type"] == "check":
        yield "candidate"
