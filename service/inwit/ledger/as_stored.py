"""Rows of the ledger as they are stored, in pages, for those who check them or copy them out.

Plain SQL: it shares no code path with the writer's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

_PAGE = 1_000

_ENTRIES = sa.text(
    "SELECT sequence, id, time, type, tenant, response_id, body, hash, previous "
    "FROM entries WHERE sequence > :after ORDER BY sequence LIMIT :page"
)
_CONTENTS = sa.text(
    "SELECT sequence, kind, salt, content, nonce FROM contents "
    "WHERE sequence >= :first AND sequence <= :last ORDER BY sequence, kind"
)
_PLAIN_CONTENTS = sa.text(
    "SELECT sequence, kind, salt, content, NULL AS nonce FROM contents "
    "WHERE sequence >= :first AND sequence <= :last ORDER BY sequence, kind"
)


def one_snapshot(connection: sa.Connection) -> None:
    """Let all that follows be read as of one moment. SQLite does so by itself."""
    if connection.dialect.name == "postgresql" and not connection.in_transaction():
        connection.execution_options(isolation_level="REPEATABLE READ")


def entry_rows(connection: sa.Connection, after: int = 0) -> Iterator[list[sa.Row[Any]]]:
    """The rows of the entries in pages, oldest first."""
    while rows := connection.execute(_ENTRIES, {"after": after, "page": _PAGE}).all():
        yield list(rows)
        after = rows[-1].sequence


def checkpoint_rows(connection: sa.Connection) -> Iterator[sa.Row[Any]]:
    """The rows of the checkpoints, the smallest first."""
    query = sa.text(
        "SELECT size, root, time, note FROM checkpoints WHERE size > :after "
        "ORDER BY size LIMIT :page"
    )
    after = -1
    while rows := connection.execute(query, {"after": after, "page": _PAGE}).all():
        yield from rows
        after = rows[-1].size


def content_rows(connection: sa.Connection, first: int, last: int) -> Sequence[sa.Row[Any]]:
    """The content of the entries from one sequence to another."""
    columns = {each["name"] for each in sa.inspect(connection).get_columns("contents")}
    query = _CONTENTS if "nonce" in columns else _PLAIN_CONTENTS
    return connection.execute(query, {"first": first, "last": last}).all()
