"""The ledger's database, as commands use it: opened for one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from inwit.config import Settings, load_settings
from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_file
from inwit.ledger_setup import database_as_it_is, open_database, read_database

T = TypeVar("T")


def with_ledger(work: Callable[[Database], Awaitable[T]]) -> T:
    """Like `with_database`, for what needs a ledger: one that is not there is not made."""
    _there(load_settings())
    return with_database(work)


def reading_ledger(work: Callable[[Database], Awaitable[T]]) -> T:
    """For reading alone: nothing of the ledger is made, migrated or written."""
    settings = load_settings()
    _there(settings)

    async def run() -> T:
        async with read_database(settings) as database:
            return await work(database)

    return asyncio.run(run())


def noting_in_ledger(work: Callable[[Database], Awaitable[T]]) -> T:
    """For an entry without content, after `reading_ledger`: its schema is looked at, and left."""
    settings = load_settings()

    async def run() -> T:
        async with database_as_it_is(settings) as database:
            return await work(database)

    return asyncio.run(run())


def _there(settings: Settings) -> None:
    if settings.database_url is None and not sqlite_file(settings.data_dir).is_file():
        raise SetupError(
            f"There is no ledger in {settings.data_dir}. "
            "Set INWIT_DATA_DIR or INWIT_DATABASE_URL as the gateway has it."
        )


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database the settings name, work, and close it. Content needs its keys, no more."""
    settings = load_settings()

    async def run() -> T:
        async with open_database(settings, keys=False) as database:
            return await work(database)

    return asyncio.run(run())
