"""The database under the ledger: SQLite in WAL mode with full sync, or PostgreSQL.

SQLAlchemy Core runs synchronously in threads of its own: one for writing, so that commits come
one after another, and a few for reading. docs/decisions/0005 has the measurement behind this.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from inwit.errors import SetupError

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parent / "migrations"
_READERS = 4


def sqlite_file(data_dir: Path) -> Path:
    """The default ledger in a data folder."""
    return data_dir / "ledger.sqlite3"


def sqlite_url(data_dir: Path) -> str:
    """Its address."""
    return f"sqlite:///{sqlite_file(data_dir)}"


class Database:
    """One engine, one writing thread and a few reading ones. Open it with `open`, then `close`."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(_with_driver(url))
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _set_up_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")

    async def open(self) -> None:
        """Bring the schema up to date.

        Raises:
            SetupError: the database cannot be reached or migrated.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._migrate)
        except (SQLAlchemyError, OSError) as error:
            await self.close()
            reason = str(error.__cause__ or error).splitlines()[0]
            raise SetupError(
                f"The ledger's database cannot be opened: {reason}. "
                "Check INWIT_DATABASE_URL, or that INWIT_DATA_DIR can be written."
            ) from error

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction on the writing thread; durable when this returns."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on a reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def close(self) -> None:
        """Finish what is under way and close every connection."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        writing = self._engine.execution_options(inwit_writes=True)
        with writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                # One chain, many gateways: whoever appends holds this until the commit.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
            return work(connection)

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))

        def upgrade(connection: sa.Connection) -> None:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

        self._write(upgrade)


_CHAIN_LOCK = 0x1_1217  # any number, the same for every gateway


def _engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_size=_READERS + 1)
    except ModuleNotFoundError as error:
        raise SetupError(
            f"INWIT_DATABASE_URL needs the wheel {error.name}, which is not installed: "
            "pip install --require-hashes -r requirements/serve.txt."
        ) from error


def _with_driver(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise SetupError("INWIT_DATABASE_URL is not a database address.") from error
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+pysqlite")
        case "postgresql" | "postgres":
            if not parsed.username:
                raise SetupError("INWIT_DATABASE_URL names no user: postgresql://USER@HOST/NAME.")
            return parsed.set(drivername="postgresql+pg8000")
        case other:
            raise SetupError(
                f"INWIT_DATABASE_URL names {other!r}; Inwit takes sqlite or postgresql."
            )


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy begins transactions below; the driver must not begin any of its own.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock at once: two processes queue instead of failing half-way.
    writes = connection.get_execution_options().get("inwit_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
