"""The schema of a database that is older, newer or migrated by two at once."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from typer.testing import CliRunner

from inwit.cli import app
from inwit.errors import SetupError
from inwit.ledger import schema
from inwit.ledger.database import Database, sqlite_url

VERSIONS = Path(schema.__file__).parent / "migrations" / "versions"
HEAD = "0005_from_0005"
BEFORE_THE_RULE = {"0001", "0002", "0003", "0004"}


async def _open(folder: Path, *, migrate: bool = True) -> schema.Schema:
    database = Database(sqlite_url(folder))
    found = await database.open(migrate=migrate)
    await database.close()
    return found


def _run(folder: Path, *statements: str) -> None:
    engine = sa.create_engine(sqlite_url(folder))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def _as_of(folder: Path, revision: str) -> None:
    _run(folder, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608  # ours


def migrate(folder: Path) -> str:
    ran = CliRunner(env={"INWIT_DATA_DIR": str(folder)}).invoke(app, ["ledger", "migrate"])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_the_command_says_from_which_to_which_and_can_be_repeated(tmp_path: Path) -> None:
    assert migrate(tmp_path) == f"Migrated from an empty database to {HEAD}.\n"
    assert migrate(tmp_path) == f"The schema is {HEAD} already.\n"


async def test_an_older_schema_is_refused_where_starts_do_not_migrate(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="inwit ledger migrate"):
        await _open(tmp_path, migrate=False)
    await _open(tmp_path)
    found = await _open(tmp_path, migrate=False)

    assert found.current


async def test_two_at_once_from_nothing(tmp_path: Path) -> None:
    found = await asyncio.gather(*(_open(tmp_path) for _ in range(4)))

    assert sorted(each.found or "" for each in found) == ["", HEAD, HEAD, HEAD]


@pytest.mark.parametrize("starts_migrate", [True, False])
async def test_a_newer_schema_that_says_so_is_worked_on(
    tmp_path: Path, starts_migrate: bool
) -> None:
    """Two versions side by side, and the step back after an upgrade."""
    await _open(tmp_path)
    _run(
        tmp_path,
        "ALTER TABLE entries ADD COLUMN later TEXT",
        "CREATE TABLE later (id INTEGER)",
    )
    _as_of(tmp_path, "0006_from_0005")

    with capture_logs() as logs:
        found = await _open(tmp_path, migrate=starts_migrate)

    assert found.usable
    assert not found.older
    assert [line["event"] for line in logs] == ["schema_newer"]
    assert "Nothing was changed" in await asyncio.to_thread(migrate, tmp_path)


@pytest.mark.parametrize("newer", ["0006", "0007_from_0006", "head", "0003_from_0001"])
async def test_any_other_schema_is_refused(tmp_path: Path, newer: str) -> None:
    await _open(tmp_path)
    _as_of(tmp_path, newer)

    for starts_migrate in (True, False):
        with pytest.raises(SetupError, match=f"has the schema {newer}, which this version"):
            await _open(tmp_path, migrate=starts_migrate)


def test_the_names_of_revisions_say_who_may_work_on_them() -> None:
    names: Sequence[str] = [
        name
        for file in VERSIONS.glob("0*.py")
        if (name := re.search(r'^revision = "(.*)"$', file.read_text(), re.MULTILINE).group(1))  # pyright: ignore[reportOptionalMemberAccess]
    ]

    assert set(names) >= BEFORE_THE_RULE
    for name in set(names) - BEFORE_THE_RULE:
        assert re.fullmatch(r"[0-9]{4}_from_[0-9]{4}", name), name
