"""A sealed ledger, in SQLite and in PostgreSQL: with both fixtures each test is told twice."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from inwit.ledger.database import Database, sqlite_url
from tests.ledger.both_databases import drop_everything
from tests.ledger.sealed import fixed_vault
from tests.ledger.test_postgres import postgres as postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """An empty ledger with a vault."""
    sqlite = request.param == "sqlite"
    address = sqlite_url(tmp_path) if sqlite else request.getfixturevalue("postgres")[0]
    opened = Database(address, vault=fixed_vault())
    await opened.open()
    yield opened
    if not sqlite:
        await opened.write(drop_everything)
    await opened.close()
