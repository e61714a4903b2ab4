"""`inwit queue agreement`, as its users type it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from inwit.cases import RulingKind
from inwit.cli.agreement import agreement
from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.types import Category
from tests.agreement.book import Closed, write

pytestmark = pytest.mark.process  # the report is computed in one

APPROVE, BLOCK = RulingKind.APPROVE, RulingKind.BLOCK
NOW = datetime.now(UTC)


def ruled(*kinds: RulingKind) -> tuple[tuple[str, RulingKind, bool, int], ...]:
    return tuple(
        (f"rev_{name}", kind, True, -9) for name, kind in zip(("ada", "ben"), kinds, strict=False)
    )


CASES = (
    Closed("a", ruled(BLOCK, BLOCK), NOW - timedelta(days=1), required=2),
    Closed("b", ruled(APPROVE, APPROVE), NOW - timedelta(days=2), required=2, language="de"),
    Closed("c", ruled(APPROVE, BLOCK), NOW - timedelta(days=60), required=2),
    Closed("d", ruled(BLOCK), NOW - timedelta(days=1), categories=(Category.HATE,)),
    Closed("e", ruled(BLOCK), NOW - timedelta(days=1), expected=BLOCK),
)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(sqlite_url(tmp_path))
        await database.open()
        await write(database, *CASES)
        await database.close()

    asyncio.run(fill())
    return tmp_path


def run(*words: str) -> Result:
    app = typer.Typer()
    app.command()(agreement)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(words))


def told(*words: str) -> dict[str, dict[str, int]]:
    result = run("--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.usefixtures("ledger")
def test_json_has_the_last_thirty_days_and_nobody_in_it() -> None:
    report = told()

    assert report["counts"]["cases"] == 3
    assert report["counts"]["two_people"] == 2
    assert report["counts"]["golden"] == 1
    assert "rev_" not in json.dumps(report)
    people = json.dumps(told("--people"))
    assert "rev_ada" in people


@pytest.mark.usefixtures("ledger")
def test_options_choose_the_cases() -> None:
    day = f"{NOW - timedelta(days=90):%Y-%m-%d}"

    assert told("--since", day)["counts"]["two_people"] == 3
    assert (
        told("--since", day, "--until", f"{NOW - timedelta(days=50):%Y-%m-%d}")["counts"]["cases"]
        == 1
    )
    assert told("--language", "de")["counts"]["cases"] == 1
    assert told("--language", "de", "--language", "en")["counts"]["cases"] == 3
    assert told("--category", "hate")["counts"]["cases"] == 1
    assert told("--tenant", "nobody")["counts"]["cases"] == 0
    assert told("--policy", "nothing")["counts"]["cases"] == 0


@pytest.mark.usefixtures("ledger")
def test_tables_say_what_is_missing_and_why() -> None:
    result = run("--people")

    assert result.exit_code == 0, result.output
    assert "3 cases closed, 2 with rulings of two people" in result.output
    assert "1.00 (0.34 to 1.00)" in result.output  # two of two agree
    assert "Everybody always ruled the same" in result.output
    assert "Golden cases: 1; ruled as expected 1/1* 100%" in result.output
    assert "rev_ada rev_ben" in result.output


def test_without_a_ledger_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "nothing"))

    assert isinstance(run().exception, SetupError)
    assert not (tmp_path / "nothing").exists()
