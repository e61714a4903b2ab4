"""Reads responses back for those who asked for them, and tells nothing that was changed since."""

import hmac
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import structlog

from inwit.errors import Gone
from inwit.ledger.chain import commitment, leaf_hash
from inwit.ledger.database import Database
from inwit.ledger.read import Story
from inwit.ledger.stored import Stored, stored
from inwit.ledger.tables import CONTENTS, ENTRIES

log = structlog.get_logger()


class _Changed(Exception):
    """An entry, or content of it, is not what was written."""


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
            stories = await self._database.read(
                lambda connection: _stories(connection, tenant, response_id)
            )
        except _Changed as error:
            log.error("ledger_changed", response=response_id)
            raise Gone(
                "What the ledger holds of this response was changed after it was written, and is "
                "not told. `inwit ledger verify` shows where."
            ) from error
        return stored(stories) if stories else None


def _stories(connection: sa.Connection, tenant: str, response_id: str) -> list[Story]:
    """The entries with the content that an answer needs, as they were written and for whom."""
    rows = connection.execute(
        sa.select(ENTRIES)
        .where(ENTRIES.c.response_id == response_id, ENTRIES.c.tenant == tenant)
        .order_by(ENTRIES.c.sequence)
    ).all()
    facts = {row.sequence: _facts(row) for row in rows}
    if any((each["tenant"], each["response"]) != (tenant, response_id) for each in facts.values()):
        raise _Changed
    contents = _contents(connection, facts)
    return [Story(facts[row.sequence], row.hash.hex(), contents[row.sequence]) for row in rows]


def _facts(row: sa.Row[Any]) -> dict[str, Any]:
    if not isinstance(row.body, bytes) or leaf_hash(row.body) != row.hash:
        raise _Changed
    return json.loads(row.body)


def _contents(
    connection: sa.Connection, facts: dict[int, dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """By sequence and kind."""
    kinds = {kind for each in facts.values() for kind in _needed(each)}
    rows = connection.execute(
        sa.select(CONTENTS).where(CONTENTS.c.sequence.in_(facts), CONTENTS.c.kind.in_(kinds))
    )
    contents: dict[int, dict[str, Any]] = {sequence: {} for sequence in facts}
    for row in rows:
        if not _opens(row, facts[row.sequence]["commitments"].get(row.kind)):
            raise _Changed
        contents[row.sequence][row.kind] = json.loads(row.content)
    return contents


def _opens(row: sa.Row[Any], committed: str | None) -> bool:
    """Whether this is the content to which its entry committed. SQLite lets any type stand."""
    if committed is None or not (isinstance(row.salt, bytes) and isinstance(row.content, bytes)):
        return False
    return hmac.compare_digest(commitment(row.salt, row.content), committed)


def _needed(facts: dict[str, Any]) -> Iterator[str]:
    """What the model wrote is not even read, but for what was released of it."""
    yield "released"
    if facts.get("passages"):
        yield "request"
    if facts["type"] == "check":
        yield "candidate"
