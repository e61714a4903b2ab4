"""The command line, as its users type it."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app, main
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.policies import keep
from inwit.types import PolicyRef
from tests.fakes_policy_folder import write_policies
from tests.process.processes import free_port


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


def test_a_key_lists_the_policies_it_may_use(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_policies(tmp_path / "policies", default="1", support="1", children="1")
    monkeypatch.setenv("INWIT_POLICY_DIR", str(folder))
    create = ("keys", "create", "--name", "n", "--tenant", "acme")

    assert run(*create, "--policy", "support", "--policy", "default").exit_code == 0
    assert run(*create).exit_code == 0
    refused = run(*create, "--policy", "support", "--policy", "no-such")

    assert refused.exit_code == 2
    assert "children, default, support" in refused.output
    rows = json.loads(run("keys", "list", "--json").output)
    assert [row["policies"] for row in rows] == ["support,default", "default"]
    assert data_dir.exists()


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

    assert ended.value.code == 3  # 2 says that something is missing from a ledger
    assert "no ledger" in capsys.readouterr().err
    assert not data_dir.exists()


@pytest.mark.usefixtures("data_dir")
def test_an_empty_ledger_verifies_and_says_what_that_does_not_show() -> None:
    run("keys", "list")
    verified = run("ledger", "verify")

    assert verified.exit_code == 2  # nothing was signed yet, and there is no key
    assert "\n0 entries, 0 breaks" in verified.output
    assert "Not proven by this" in verified.output
    assert run("ledger", "show", "resp_none").exit_code == 1


async def _keep(data_dir: Path, ref: PolicyRef, text: bytes) -> None:
    database = Database(sqlite_url(data_dir))
    await database.open()
    await keep(database, [(ref, text)])
    await database.close()


def test_a_policy_is_printed_as_the_bytes_that_its_digest_names(data_dir: Path) -> None:
    text = b"name: caf\xc3\xa9\r\nno newline at the end"
    digest = hashlib.sha256(text).hexdigest()
    data_dir.mkdir()
    asyncio.run(_keep(data_dir, PolicyRef("default", "1", digest), text))

    assert run("ledger", "policy", digest).stdout_bytes == text
    assert run("ledger", "policy", digest.upper()).stdout_bytes == text
    missing = run("ledger", "policy", "0" * 64)
    assert missing.exit_code == 1


def reload_policies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    monkeypatch.setattr("sys.argv", ["inwit", "policy", "reload"])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_a_reload_of_what_does_not_compile_names_the_place_and_tells_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_policies(tmp_path / "policies", default="1")
    (folder / "bad.yaml").write_text("name: [\n")
    monkeypatch.setenv("INWIT_POLICY_DIR", str(folder))
    monkeypatch.setenv("INWIT_REDIS_URL", f"redis://127.0.0.1:{free_port()}")

    code, said = reload_policies(monkeypatch, capsys)

    assert code == 2
    assert f"{folder / 'bad.yaml'}:" in said
    assert "Redis" not in said


def test_a_reload_that_reaches_no_redis_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INWIT_REDIS_URL", f"redis://127.0.0.1:{free_port()}")

    code, said = reload_policies(monkeypatch, capsys)

    assert code == 2
    assert "no gateway was told" in said


def test_a_reload_without_a_redis_says_what_helps_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = reload_policies(monkeypatch, capsys)

    assert code == 2
    assert "INWIT_REDIS_URL" in said
    assert "SIGHUP" in said
