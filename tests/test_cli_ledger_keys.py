"""Keys of the ledger on the command line: made, shown, rotated, dropped."""

from pathlib import Path

from typer.testing import CliRunner, Result

from inwit.cli import app
from inwit.errors import SetupError
from inwit.ledger.notes import keys_of, new_key, read_keys


def run(folder: Path, *words: str, **settings: str) -> Result:
    runner = CliRunner(env={"INWIT_DATA_DIR": str(folder), **settings})
    return runner.invoke(app, ["ledger", "key", *words])


def test_a_rotation_from_the_first_key_to_the_next(tmp_path: Path) -> None:
    first = run(tmp_path, "new", "--name", "log.example.com/inwit").output.strip()
    second = run(tmp_path, "new").output.strip()

    assert first.startswith("log.example.com/inwit+")
    assert second.startswith("log.example.com/inwit+")
    assert run(tmp_path, "show").output.split() == [first, second]
    assert run(tmp_path, "drop", first).output.split() == [second]
    assert [key.vkey for key in read_keys(tmp_path / "ledger.key")] == [second]
    assert (tmp_path / "ledger.key").stat().st_mode & 0o777 == 0o600


def test_a_key_for_a_secret_is_printed_and_kept_nowhere(tmp_path: Path) -> None:
    made = run(tmp_path, "new", "--print", "--name", "log.example.com")

    (key,) = keys_of(made.stdout, "stdout")
    assert made.stderr.strip() == key.vkey
    assert key.name == "log.example.com"
    assert list(tmp_path.iterdir()) == []


def test_keys_in_the_settings_are_shown_and_no_file_is_written_beside_them(tmp_path: Path) -> None:
    """As in the pods of Helm and the containers of Compose."""
    held = new_key("log.example.com")

    def inside(*words: str) -> Result:
        return run(tmp_path, *words, INWIT_LEDGER_KEY=held.line())

    assert inside("show").output.strip() == held.vkey
    for words in (["new"], ["new", "--name", "other"], ["drop", held.id]):
        refused = inside(*words)
        assert isinstance(refused.exception, SetupError)
        assert "--print --name log.example.com" in str(refused.exception)
    assert list(tmp_path.iterdir()) == []
    assert inside("new", "--print").exit_code == 0
    assert inside("new", "--file", str(tmp_path / "next"), "--name", "next").exit_code == 0
    assert inside("show", "--file", str(tmp_path / "next")).output.startswith("next+")


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    absent = run(tmp_path, "show")
    run(tmp_path, "new", "--name", "one")
    key = run(tmp_path, "show").output.strip()

    assert isinstance(absent.exception, SetupError)
    assert "are for one" in _words(run(tmp_path, "new", "--name", "two"))
    assert "only one" in _words(run(tmp_path, "drop", key))
    assert "no such key" in _words(run(tmp_path, "drop", "00000000"))
    other = tmp_path / "other" / "ledger.key"
    assert "no spaces" in _words(run(tmp_path, "new", "--file", str(other), "--name", "a b"))


def _words(result: Result) -> str:
    assert result.exit_code == 2
    return " ".join(result.output.replace("│", " ").split())
