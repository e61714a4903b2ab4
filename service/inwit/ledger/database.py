"""The database under the ledger: SQLite in WAL mode with full sync, or PostgreSQL.

SQLAlchemy Core runs synchronously in threads of its own: one for writing, so that commits come
one after another, and a few for reading. docs/decisions/0005 has the measurement behind this.
"""

import asyncio
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
import structlog
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from inwit.errors import LedgerError, SetupError
from inwit.ledger import schema
from inwit.ledger.content_keys import KeyMissing, NoKeys
from inwit.ledger.reading import read_only, refuse_writing
from inwit.ledger.schema import Schema
from inwit.ledger.scrubbing import empty_write_ahead_file
from inwit.ledger.turns import Turns
from inwit.ledger.vault import OPTION, Shut, Vault

T = TypeVar("T")

log = structlog.get_logger()

_READERS = 4
_TIMEOUT_S = 10
_CLOSE_S = 15.0
_BUSY_MS = 5_000


def sqlite_file(data_dir: Path) -> Path:
    """The default ledger in a data folder."""
    return data_dir / "ledger.sqlite3"


def sqlite_url(data_dir: Path) -> str:
    """Its address."""
    return f"sqlite:///{sqlite_file(data_dir)}"


class Database:
    """One engine, one writing thread and a few reading ones. Open it with `open`, then `close`.

    Nothing waits longer for the database than `timeout_s` seconds. Content is sealed where there
    is a `vault`, which every connection has with it. Without the keys that sealed it, all but
    content can be read, and none is written; with `needs_keys` it is not opened then. With
    `reads_only` the database itself refuses every write; open it without migrating.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: int = _TIMEOUT_S,
        vault: Vault | None = None,
        needs_keys: bool = False,
        reads_only: bool = False,
    ) -> None:
        self.vault = vault
        self._needs_keys = needs_keys
        self._reads_only = reads_only
        self._engine = _engine(url, timeout_s, vault, reads_only=reads_only)
        self._turns = Turns(timeout_s)
        self._writing = self._engine.execution_options(inwit_writes=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", partial(_set_up_sqlite, reads_only))
            event.listen(self._engine, "begin", _begin_sqlite)
        else:
            event.listen(
                self._engine, "connect", partial(_set_up_postgresql, timeout_s, self._turns.wait_s)
            )
            if reads_only:
                event.listen(self._engine, "connect", refuse_writing)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")

    async def open(self, *, migrate: bool = True) -> Schema:
        """Bring the schema up to date, or only look at it; give what was found.

        Raises:
            SetupError: the database cannot be reached or migrated; it has a newer schema that this
                version cannot work on; it has an older one, and `migrate` is off; or it needs the
                keys that sealed it.
        """
        try:
            if migrate:
                found = await self.write(schema.migrate)
            else:
                found = await self.read(schema.check)
            await self._open_vault()
        except SetupError:
            await self.close()
            raise
        except KeyMissing as error:
            await self.close()
            raise SetupError(str(error)) from error
        except (LedgerError, CommandError) as error:
            await self.close()
            raise SetupError(
                f"The ledger's database cannot be opened: {reason_of(error)}. "
                "Check INWIT_DATABASE_URL, or that INWIT_DATA_DIR can be written."
            ) from error
        if found.usable:
            log.warning("schema_newer", found=found.found, known=found.wanted)
        return found

    async def _open_vault(self) -> None:
        """Whether the keys are this database's. Without, what is sealed stays shut, and no content
        is written in the clear beside it.
        """
        vault = self.vault or Vault(NoKeys())
        try:
            await self.read(vault.check)
        except Shut:  # nothing is sealed here yet
            if self.vault is not None and not self._reads_only:
                await self.write(vault.prepare)
                await self.read(vault.check)
        except KeyMissing:
            if self._needs_keys:
                raise
            for engine in (self._engine, self._writing):
                engine.update_execution_options(**{OPTION: vault})

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction on the writing thread; durable when this returns.

        Raises:
            LedgerError: the database failed, or did not answer in time.
        """
        return await self._run(self._writer, self._write, work)

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on a reading thread.

        Raises:
            LedgerError: the database failed, or did not answer in time.
        """
        return await self._run(self._readers, self._read, work)

    async def scrub(self) -> bool | None:
        """Have nothing left of deleted rows in the files of SQLite; False where others read on.

        What is deleted is overwritten in the database itself; here its write-ahead file is emptied.
        On PostgreSQL that is VACUUM's work: None. Nobody waits long for it: see `Scrubbing`. Where
        it fails, by a full disk, what was deleted before is deleted all the same: False.
        """
        if self._engine.dialect.name != "sqlite":
            return None
        try:
            return await self._run(self._writer, self._scrub)
        except LedgerError as error:
            log.warning("scrubbing_failed", error=type(error.__cause__ or error).__name__)
            return False

    def _scrub(self) -> bool:
        raw = self._engine.raw_connection()
        try:
            return empty_write_ahead_file(cast("sqlite3.Connection", raw), _BUSY_MS)
        finally:
            raw.close()

    async def close(self) -> None:
        """Close every connection. What hangs is left to its own timeout, and not waited for."""
        for threads in (self._writer, self._readers):
            threads.shutdown(wait=False, cancel_futures=True)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.to_thread(self._join)
        except TimeoutError:
            log.error("database_not_closed")

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        run: Callable[..., T],
        *work: Callable[[sa.Connection], T],
    ) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, run, *work)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            log.error("database_failed", error=type(error.__cause__ or error).__name__)
            detail = "The ledger's database does not answer as it should."
            raise LedgerError(detail, retry_after=5) from error

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        if self._writing.dialect.name != "postgresql":
            with self._writing.begin() as connection:
                return work(connection)
        try:
            with self._writing.begin() as connection:
                self._turns.take(connection)
                return work(connection)
        except DBAPIError as error:
            self._turns.lost(self._engine, error)
            raise

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)

    def _join(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()


def reason_of(error: BaseException) -> str:
    """What the database itself said, in a line."""
    cause = error.__cause__ or error
    return str(cause.__cause__ or cause).splitlines()[0]


def _engine(url: str, timeout_s: int, vault: Vault | None, *, reads_only: bool) -> sa.Engine:
    parsed = read_only(_parse(url)) if reads_only else _parse(url)
    options: dict[str, Any] = {}
    remote = parsed.get_backend_name() == "postgresql"
    if remote:
        parsed, options = _postgresql(parsed, timeout_s)
    try:
        engine = sa.create_engine(
            parsed,
            pool_size=_READERS + 1,
            pool_timeout=timeout_s,
            pool_pre_ping=remote,  # a connection that was cut meanwhile is replaced unnoticed
            connect_args=options,
            execution_options={OPTION: vault},
            hide_parameters=True,  # they hold content, and errors reach logs
        )
    except ModuleNotFoundError as error:
        raise SetupError(
            f"INWIT_DATABASE_URL needs the wheel {error.name}, which is not installed: "
            "pip install --require-hashes -r requirements/serve.txt."
        ) from error
    if remote:
        # pg8000 sends many rows one by one, and waits for each: have them sent in one statement.
        engine.dialect.use_insertmanyvalues_wo_returning = True
    return engine


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise SetupError("INWIT_DATABASE_URL is not a database address.") from error
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+pysqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+pg8000")
        case other:
            raise SetupError(
                f"INWIT_DATABASE_URL names {other!r}; Inwit takes sqlite or postgresql."
            )


def _postgresql(url: sa.URL, timeout_s: int) -> tuple[sa.URL, dict[str, Any]]:
    """pg8000's arguments: a bound on every wait, and TLS as libpq's `sslmode` says it."""
    if not url.username:
        raise SetupError("INWIT_DATABASE_URL names no user: postgresql://USER@HOST/NAME.")
    query = dict(url.query)
    mode = str(query.pop("sslmode", "prefer"))
    if query or mode not in _SSL_MODES:
        raise SetupError(
            "INWIT_DATABASE_URL takes one option, sslmode, as one of: " + ", ".join(_SSL_MODES)
        )
    arguments: dict[str, Any] = {"timeout": timeout_s}
    verify = _SSL_MODES[mode]
    if verify is not None:
        context = ssl.create_default_context()
        context.check_hostname = mode == "verify-full"
        context.verify_mode = verify
        arguments["ssl_context"] = context
    return url.set(query={}), arguments


# libpq's words. `prefer` (and its default) is without TLS here: pg8000 cannot fall back.
_SSL_MODES: dict[str, ssl.VerifyMode | None] = {
    "disable": None,
    "prefer": None,
    "require": ssl.CERT_NONE,
    "verify-ca": ssl.CERT_REQUIRED,
    "verify-full": ssl.CERT_REQUIRED,
}


# `secure_delete` overwrites what is deleted, on all connections: a draft that was written anew
# long before its writer is forgotten must be gone then, too.
_PRAGMAS = (f"busy_timeout={_BUSY_MS}", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def _set_up_sqlite(reads_only: bool, connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy begins transactions below; the driver must not begin any of its own.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if not reads_only:
        _write_ahead(connection)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Change a new file's journal to WAL, which it then stays.

    SQLite does not wait here for another gateway that is doing the same: it is told to try again.
    """
    ends = time.monotonic() + _TIMEOUT_S / 2
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)  # in the database's own thread
        else:
            return


def _set_up_postgresql(timeout_s: int, wait_s: int, connection: Any, _record: Any) -> None:
    """A lock or a statement that hangs ends before the socket's own timeout closes everything."""
    # pg8000 lets its socket wait 40 ms in the middle of each statement that is larger than its
    # buffer, for word of the first part (Nagle's algorithm), and has no option for it.
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{wait_s}s'")
    cursor.execute(f"SET statement_timeout = '{timeout_s - 1}s'")
    connection.commit()
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock at once: two processes queue instead of failing half-way.
    writes = connection.get_execution_options().get("inwit_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
