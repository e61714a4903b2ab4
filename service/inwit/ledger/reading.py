"""How a ledger's database is opened by who only reads: nothing in it can be changed by that.

A file of SQLite may lie where nobody can write, as evidence does. SQLite in WAL mode wants files
of its own beside it; where it can have none, and no write-ahead file says that somebody writes,
it reads the file as one that does not change. Else it leaves two empty ones there.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa


def read_only(url: sa.URL) -> sa.URL:
    """The same database; of SQLite by an address that takes no writes, and makes no file."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    file = Path(url.database).absolute()
    options = {"mode": "ro", "uri": "true"}
    write_ahead = file.with_name(f"{file.name}-wal")
    if not os.access(file.parent, os.W_OK) and not write_ahead.exists():
        options["immutable"] = "1"
    return url.set(database=f"file:{quote(str(file))}", query=options)


def refuse_writing(connection: Any, _record: Any) -> None:
    """PostgreSQL then refuses it, in whatever transaction."""
    cursor = connection.cursor()
    cursor.execute("SET default_transaction_read_only = on")
    connection.commit()
    cursor.close()
