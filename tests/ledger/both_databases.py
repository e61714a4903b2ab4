"""An empty ledger, in SQLite and in PostgreSQL: with both fixtures each test is told twice."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import sqlalchemy as sa

from inwit.ledger.database import Database, sqlite_url
from tests.ledger.test_postgres import postgres as postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """An empty ledger."""
    sqlite = request.param == "sqlite"
    address = sqlite_url(tmp_path) if sqlite else request.getfixturevalue("postgres")[0]
    opened = Database(address)
    await opened.open()
    yield opened
    if not sqlite:
        await opened.write(drop_everything)
    await opened.close()


def drop_everything(connection: sa.Connection) -> None:
    """Leave PostgreSQL as it was."""
    connection.execute(sa.text("DROP SCHEMA public CASCADE"))
    connection.execute(sa.text("CREATE SCHEMA public"))
