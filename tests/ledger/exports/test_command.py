"""`inwit ledger export`, as its users type it."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.exports.forms import Form
from tests.ledger.exports.ledgers import RECORD, append, lines, of

NOON = RECORD.time


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", "export", *words])


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with six decisions on as many days, of two tenants."""
    folder = tmp_path / "var"
    folder.mkdir()
    monkeypatch.setenv("INWIT_DATA_DIR", str(folder))

    async def fill() -> None:
        database = Database(sqlite_url(folder))
        await database.open()
        days = [
            of(day, "acme" if day % 2 else "globex", time=NOON + timedelta(days=day))
            for day in range(6)
        ]
        await append(database, days)
        await database.close()

    asyncio.run(fill())
    return folder


def acts(folder: Path) -> list[dict[str, Any]]:
    return [line["entry"] for line in lines(folder) if line["entry"]["type"] == "exported"]


@pytest.mark.usefixtures("data_dir")
def test_it_goes_on_and_records_that_it_began(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("--to", str(out))
    again = run("--to", out.as_uri())

    assert first.output == "jsonl: 7 rows in 1 parts, up to entry 7.\n"
    assert again.output == "jsonl: 0 rows in 0 parts, up to entry 7.\n"
    (act,) = acts(out)
    assert (act["actor"], act["tenant"], act["response"]) == ("operator", "", "")
    assert act["facts"] == {
        "what": "entries",
        "forms": ["jsonl"],
        "to": str(out),
        "follow": False,
        "since": None,
        "until": None,
        "tenants": [],
        "with_content": False,
    }


@pytest.mark.usefixtures("data_dir")
def test_a_range_ends_and_is_recorded(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    words = ("--to", str(out), "--since", "2026-11-24", "--until", "2026-11-28")

    assert "4 rows" in run(*words).output
    assert "0 rows" in run(*words).output
    some = run(*words[2:], "--to", str(tmp_path / "some"), "--tenant", "acme")

    assert "2 rows" in some.output
    assert [each["sequence"] for each in lines(out)] == [2, 3, 4, 5]
    assert [each["entry"]["tenant"] for each in lines(tmp_path / "some")] == ["acme", "acme"]
    run("--to", str(whole))
    told = [(act["facts"]["since"], act["facts"]["tenants"]) for act in acts(whole)]
    day = "2026-11-24T00:00:00+00:00"
    assert told == [(day, []), (day, []), (day, ["acme"]), (None, [])]


@pytest.mark.usefixtures("data_dir")
def test_a_range_without_an_end_takes_in_nothing_newer(tmp_path: Path) -> None:
    words = ("--to", str(tmp_path / "out"), "--since", "2026-11-26", "--rows", "2")
    assert "3 rows in 2 parts, up to entry 6" in run(*words).output
    assert "0 rows" in run(*words).output
    assert [each["sequence"] for each in lines(tmp_path / "out")] == [4, 5, 6]


@pytest.mark.usefixtures("data_dir")
def test_every_form_in_one_run(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    grounds = tmp_path / "grounds.toml"
    grounds.write_text("ground = 'incompatible'\nreference = 'r'\nexplanation = 'e'\n")
    forms = [word for form in Form for word in ("--form", form.value)]

    told = run("--to", str(tmp_path / "out"), *forms, "--dsa", str(grounds))

    assert told.exit_code == 0, told.output
    assert len(told.output.splitlines()) == len(Form)
    assert (tmp_path / "out" / "parquet" / "views.sql").is_file()
    assert json.loads((tmp_path / "out" / "inwit-export-dsa.json").read_text())["done"] == 7


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--follow", "--since", "2026-11-24"), "--follow goes with neither"),
        (("--config", "aws_region"), "--config is NAME=VALUE"),
    ],
)
def test_words_that_do_not_go_together(
    tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    told = run("--to", str(tmp_path), *words)
    assert told.exit_code == 2
    assert problem in told.output


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("words", "module"),
    [(("--form", "parquet", "--to", "out"), "pyarrow.parquet"), (("--to", "s3://b/p"), "obstore")],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], module: str
) -> None:
    for name in (module, f"{module}.store"):
        monkeypatch.setitem(sys.modules, name, None)
    told = run(*words)
    assert isinstance(told.exception, SetupError)
    assert "pip install 'inwit[export]'" in str(told.exception)


@pytest.mark.usefixtures("data_dir")
def test_the_canonical_form_needs_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.parquet", "obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run("--to", str(tmp_path / "out")).exit_code == 0
