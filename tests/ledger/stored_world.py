"""The signed ledger in a data folder, as commands find it: written by another process."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.ledger.database import sqlite_file
from tests.ledger.signed_world import SignedWorld


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorld:
    """What was written, and in `tmp_path / "data"` where it lies. The key is not beside it."""
    made = SignedWorld()
    made.live()
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    run("migrate")
    with made.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        tables = [
            row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        raw.execute(f"ATTACH DATABASE '{sqlite_file(tmp_path / 'data')}' AS stored")
        for table in tables:
            raw.execute(f"INSERT INTO stored.{table} SELECT * FROM main.{table}")  # noqa: S608  # ours
        raw.commit()
    made.close()
    return made


def run(*arguments: str) -> Result:
    """`inwit ledger` with these."""
    return CliRunner().invoke(app, ["ledger", *arguments])
