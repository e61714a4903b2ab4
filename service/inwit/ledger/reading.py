"""How a ledger's database is opened by who only reads: nothing in it can be changed by that.

A file of SQLite may lie where nobody can write, as evidence does. SQLite in WAL mode wants files
of its own beside it; where it can have none, and no write-ahead file says that somebody writes,
it reads the file as one that does not change. Else it leaves two empty ones there. A write-ahead
file without its index (`-shm`), as a copy may have it, cannot be read where no index can be made.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from inwit.errors import SetupError


def read_only(url: sa.URL) -> sa.URL:
    """The same database; of SQLite by an address that takes no writes, and makes no file.

    Raises:
        SetupError: SQLite cannot read it where it lies.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    file = Path(url.database).absolute()
    options = {"mode": "ro", "uri": "true"}
    write_ahead, index = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm"))
    if not os.access(file.parent, os.W_OK):
        if not write_ahead.exists():
            options["immutable"] = "1"
        elif not index.exists():
            raise SetupError(
                f"{file} has a write-ahead file beside it ({write_ahead.name}), which SQLite "
                "cannot read in a folder that cannot be written to. Copy both files to one that "
                "can be, and let INWIT_DATA_DIR name that (docs/verify.md)."
            )
    return url.set(database=f"file:{quote(str(file))}", query=options)


def refuse_writing(connection: Any, _record: Any) -> None:
    """PostgreSQL then refuses it, in whatever transaction."""
    cursor = connection.cursor()
    cursor.execute("SET default_transaction_read_only = on")
    connection.commit()
    cursor.close()
