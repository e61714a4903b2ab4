"""Where the ledger is, and how its database is opened: by the gateway and by commands alike."""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from inwit.config import Settings
from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.vault_settings import configured_vault

_FREE_BYTES = 200 * 2**20


def ledger_url(settings: Settings) -> str:
    """Where the settings place the ledger; with its password."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return sqlite_url(settings.data_dir)


@asynccontextmanager
async def open_database(settings: Settings, *, keys: bool = True) -> AsyncGenerator[Database]:
    """Open the ledger's database alone; without `keys` also where its content's are not here.

    Raises:
        SetupError: the data folder or the database cannot be used.
    """
    if settings.database_url is None:
        prepare_data_dir(settings.data_dir)
    vault = configured_vault(settings)
    database = Database(ledger_url(settings), vault=vault, needs_keys=keys)
    async with _opened(database, migrate=settings.migrate):
        yield database


@asynccontextmanager
async def read_database(settings: Settings) -> AsyncGenerator[Database]:
    """The same for who only reads: nothing is made, migrated or written, nor can it be.

    Raises:
        SetupError: it cannot be reached, or has another schema than this version reads.
    """
    vault = configured_vault(settings)
    database = Database(ledger_url(settings), vault=vault, reads_only=True)
    async with _opened(database, migrate=False):
        yield database


@asynccontextmanager
async def database_as_it_is(settings: Settings) -> AsyncGenerator[Database]:
    """For entries without content alone: nothing is migrated, and no keys are made.

    Raises:
        SetupError: it cannot be reached, or has another schema than this version writes.
    """
    database = Database(ledger_url(settings))
    async with _opened(database, migrate=False):
        yield database


@asynccontextmanager
async def _opened(database: Database, *, migrate: bool) -> AsyncGenerator[None]:
    await database.open(migrate=migrate)
    try:
        yield
    finally:
        await database.close()


def prepare_data_dir(folder: Path) -> None:
    """Make the data folder, for this user alone.

    Raises:
        SetupError: it cannot be made or written to, or its disk is nearly full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise SetupError(
            f"INWIT_DATA_DIR: {folder} cannot be made or read ({error.strerror})."
        ) from error
    if not os.access(folder, os.W_OK):
        raise SetupError(f"INWIT_DATA_DIR: {folder} cannot be written to.")
    if free < _FREE_BYTES:
        raise SetupError(
            f"The disk under {folder} has only {free >> 20} MiB left; "
            f"free {_FREE_BYTES >> 20} MiB, or point INWIT_DATA_DIR elsewhere."
        )
