"""Content read back, and told only where it is what its entry committed to."""

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from inwit.ledger import verify
from inwit.ledger.chain import commitment, leaf_hash
from inwit.ledger.sealing import names_of, vault_for
from inwit.ledger.tables import CONTENTS, ENTRIES
from inwit.ledger.vault import Shut


class Changed(Exception):
    """An entry, or content of it, is not what was written."""


class Pruned(Changed):
    """The entry's time was over: nothing but its hash is kept."""


def facts_of(row: sa.Row[Any]) -> dict[str, Any]:
    """The facts of a row of the entries.

    Raises:
        Pruned: its bytes are not kept any more.
        Changed: its bytes are not those that its hash was taken over.
    """
    if row.body == b"":
        raise Pruned
    if not isinstance(row.body, bytes) or leaf_hash(row.body) != row.hash:
        raise Changed
    facts = verify.facts_of(row.body)
    if facts is None:  # whoever changed the bytes has made a hash for them
        raise Changed
    return facts


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
    rows = connection.execute(query).all()
    for row, opened in zip(rows, _opened(connection, rows, facts), strict=True):
        committed = facts[row.sequence]["commitments"].get(row.kind)
        if opened is None or not _opens(*opened, committed):
            raise Changed
        contents[row.sequence][row.kind] = json.loads(opened[1])
    return contents


def open_rows(connection: sa.Connection, rows: Sequence[Any]) -> list[tuple[bytes, bytes] | None]:
    """The salt and the content of rows of `contents`, plain ones too; None where one is shut.

    It says nothing of what the entries committed to: that is for the caller to compare.

    Raises:
        KeyMissing: a row is sealed, and its master key is not held.
    """
    wanted = sorted({row.sequence for row in rows})
    bodies = connection.execute(
        sa.select(ENTRIES.c.sequence, ENTRIES.c.body).where(ENTRIES.c.sequence.in_(wanted))
    )
    facts = {row.sequence: facts for row in bodies if (facts := named(row.body)) is not None}
    return _opened(connection, rows, facts)


def _opened(
    connection: sa.Connection, rows: Sequence[Any], facts: Mapping[int, Mapping[str, Any]]
) -> list[tuple[bytes, bytes] | None]:
    """The salt and the content of each row; None where it is not what was sealed."""
    sealed = {row.sequence for row in rows if row.nonce is not None and row.sequence in facts}
    if not sealed:
        return [None if row.nonce is not None else (row.salt, row.content) for row in rows]
    vault = vault_for(connection)
    names = names_of(connection, {sequence: facts[sequence] for sequence in sealed})
    keys = vault.keys_of(connection, set(names.values()))
    found: list[tuple[bytes, bytes] | None] = []
    for row in rows:
        try:
            key = keys.get(names.get(row.sequence, ""))
            found.append((row.salt, row.content) if row.nonce is None else vault.open(key, row))
        except Shut:
            found.append(None)
    return found


def named(body: Any) -> dict[str, Any] | None:
    """The facts that name the key of an entry's content, as far as there are any."""
    try:
        own = json.loads(body)
        named = {name: own.get(name) or "" for name in ("response", "case", "tenant")}
    except (ValueError, TypeError, AttributeError):
        return None
    return named if all(isinstance(each, str) for each in named.values()) else None


def _opens(salt: Any, content: Any, committed: str | None) -> bool:
    """Whether this is the content to which its entry committed. SQLite lets any type stand."""
    if committed is None or not (isinstance(salt, bytes) and isinstance(content, bytes)):
        return False
    return hmac.compare_digest(commitment(salt, content), committed)
