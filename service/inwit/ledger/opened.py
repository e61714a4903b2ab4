"""Content read back, and told only where it is what its entry committed to."""

import hmac
import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from inwit.ledger.chain import commitment, leaf_hash
from inwit.ledger.tables import CONTENTS, ENTRIES


class Changed(Exception):
    """An entry, or content of it, is not what was written."""


def facts_of(row: sa.Row[Any]) -> dict[str, Any]:
    """The facts of a row of the entries.

    Raises:
        Changed: its bytes are not those that its hash was taken over.
    """
    if not isinstance(row.body, bytes) or leaf_hash(row.body) != row.hash:
        raise Changed
    return json.loads(row.body)


def facts_at(connection: sa.Connection, sequence: int) -> dict[str, Any]:
    """The facts of the entry at a place.

    Raises:
        Changed: it is not what was written.
    """
    return facts_of(connection.execute(sa.select(ENTRIES).filter_by(sequence=sequence)).one())


def contents_of(
    connection: sa.Connection, facts: dict[int, dict[str, Any]], kinds: Collection[str] | None
) -> dict[int, dict[str, Any]]:
    """The content of entries by sequence and kind, of all kinds or those named.

    Raises:
        Changed: a piece is not what its entry committed to.
    """
    query = sa.select(CONTENTS).where(CONTENTS.c.sequence.in_(facts))
    if kinds is not None:
        query = query.where(CONTENTS.c.kind.in_(kinds))
    contents: dict[int, dict[str, Any]] = {sequence: {} for sequence in facts}
    for row in connection.execute(query):
        if not _opens(row, facts[row.sequence]["commitments"].get(row.kind)):
            raise Changed
        contents[row.sequence][row.kind] = json.loads(row.content)
    return contents


def _opens(row: sa.Row[Any], committed: str | None) -> bool:
    """Whether this is the content to which its entry committed. SQLite lets any type stand."""
    if committed is None or not (isinstance(row.salt, bytes) and isinstance(row.content, bytes)):
        return False
    return hmac.compare_digest(commitment(row.salt, row.content), committed)
