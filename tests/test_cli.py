"""The command line, as its users type it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app, main


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))
    return tmp_path / "var"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.usefixtures("data_dir")
def test_a_key_is_made_listed_and_revoked() -> None:
    made = json.loads(run("keys", "create", "--name", "n", "--tenant", "acme", "--json").output)
    assert made["key"].startswith(f"inwit_{made['id']}_")

    listed = run("keys", "list").output
    assert made["id"] in listed
    assert made["key"] not in listed

    assert run("keys", "revoke", made["id"]).output == f"revoked {made['id']}\n"
    (row,) = json.loads(run("keys", "list", "--json").output)
    assert row["revoked"]


def test_only_a_hash_of_the_key_is_stored(data_dir: Path) -> None:
    made = json.loads(run("keys", "create", "--name", "n", "--tenant", "acme", "--json").output)
    secret = made["key"].split("_", 2)[2]

    stored = b"".join(file.read_bytes() for file in data_dir.rglob("*") if file.is_file())

    assert made["id"].encode() in stored
    assert secret.encode() not in stored
    assert data_dir.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("data_dir")
def test_a_role_that_does_not_exist_is_named_with_those_that_do() -> None:
    result = run("keys", "create", "--name", "n", "--tenant", "t", "--roles", "boss")

    assert result.exit_code == 2
    assert "respond, review, audit, admin" in result.output


@pytest.mark.usefixtures("data_dir")
def test_a_key_that_does_not_exist_cannot_be_revoked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("keys", "create", "--name", "n", "--tenant", "t")
    monkeypatch.setattr("sys.argv", ["inwit", "keys", "revoke", "nope"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "There is no key nope" in capsys.readouterr().err


def test_reading_a_ledger_that_is_not_there_makes_none(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["inwit", "ledger", "verify"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "no ledger" in capsys.readouterr().err
    assert not data_dir.exists()


@pytest.mark.usefixtures("data_dir")
def test_an_empty_ledger_verifies_and_says_what_that_does_not_show() -> None:
    run("keys", "list")
    verified = run("ledger", "verify")

    assert verified.exit_code == 0
    assert verified.output.startswith("0 entries, 0 breaks")
    assert "Not shown by this" in verified.output
    assert run("ledger", "show", "resp_none").exit_code == 1
