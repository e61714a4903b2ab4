"""`inwit policy`, as its users type it."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app, main
from inwit.policy.loader import PACKAGED, json_schema
from tests.policy.sources import CLASSIFIER, LEAST, plain_data, with_changes


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, words)])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(LEAST)
    return file


def changed(file: Path, changes: dict[str, str]) -> Path:
    other = file.with_name("other.yaml")
    other.write_text(with_changes(file.read_text(), changes))
    return other


def fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[object, str]:
    monkeypatch.setattr("sys.argv", ["inwit", "policy", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_check_names_each_policy_with_its_digest(mine: Path) -> None:
    checked = run("check", mine, PACKAGED)

    assert checked.exit_code == 0
    first, *others = checked.output.splitlines()
    assert first.startswith("mine 1 ")
    assert first.endswith(": sound")
    assert len(first.split()[2]) == 65
    assert sorted(line.split()[0] for line in others) == [
        "children",
        "default",
        "internal-coding",
        "support",
    ]


def test_check_tells_every_problem_of_every_file(mine: Path) -> None:
    bad = changed(mine, {"quoted": "loud", "0.7": "7"})
    empty = mine.with_name("empty.yaml")
    empty.touch()

    checked = run("check", bad, mine, empty)

    assert checked.exit_code == 1
    lines = checked.output.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        f"{bad}:8:3:",
        f"{bad}:10:3:",
        "mine",
        f"{empty}:1:1:",
    ]


def test_check_of_a_folder_sees_what_one_file_does_not(mine: Path) -> None:
    mine.write_text(f"{LEAST}shadow: nobody\n")

    assert run("check", mine).exit_code == 0
    checked = run("check", mine.parent)
    assert checked.exit_code == 1
    assert checked.output.startswith(f"{mine}:14:1: `shadow`: there is no policy `nobody`")


def test_check_of_what_is_not_there(tmp_path: Path) -> None:
    checked = run("check", tmp_path / "nowhere.yaml")

    assert checked.exit_code == 1
    assert "nowhere.yaml:1:1: No such file or directory." in checked.output


def test_check_notes_a_classifier_that_the_settings_do_not_have(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write_text(LEAST + CLASSIFIER.replace("[embedded]", "[guard, embedded]"))

    noted = run("check", mine)
    known = {"guard": {"kind": "http", "url": "http://127.0.0.1:1"}}
    monkeypatch.setenv("INWIT_CLASSIFIERS", json.dumps(known))
    quiet = run("check", mine)

    assert noted.exit_code == quiet.exit_code == 0
    assert "note: the classifier 'guard' is not in INWIT_CLASSIFIERS" in noted.output
    assert "embedded'" not in noted.output
    assert "note" not in quiet.output


def test_show_prints_what_the_taxonomy_and_the_defaults_add(mine: Path) -> None:
    shown = run("show", mine)

    values = json.loads(shown.output)
    assert shown.exit_code == 0
    assert values["name"] == "mine"
    assert values["on_review_failure"] == "block"
    assert values["categories"]["hate"]["severity"] == "high"
    assert values["conscience"]["question"].startswith("Is this answer harmful? Harmful means hate")
    assert values["classifier"] is None


def test_show_and_diff_find_policies_by_name(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run("show", "support").output)["name"] == "support"
    assert run("diff", "default", "default").exit_code == 0
    monkeypatch.setenv("INWIT_POLICY_DIR", str(mine.parent))
    assert json.loads(run("show", "mine").output)["name"] == "mine"


def test_a_policy_that_is_not_there(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INWIT_POLICY_DIR", str(mine.parent))

    code, said = fails(monkeypatch, capsys, "show", "support")

    assert code == 2
    assert said == (f"inwit: There is no file and no policy 'support'; {mine.parent} has: mine.\n")


@pytest.mark.parametrize("command", ["show", "diff"])
def test_a_policy_that_does_not_compile(
    command: str, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = changed(mine, {"quoted": "loud"})
    words = [bad] if command == "show" else [mine, bad]

    code, said = fails(monkeypatch, capsys, command, *words)

    assert code == 2
    assert said.startswith(f"inwit: {bad}:10:3: ")


def test_diff_shows_what_changes_and_where(mine: Path) -> None:
    compared = run("diff", mine, changed(mine, {"lower: 0.4": "lower: 0.2", '"1"': '"2"'}))

    assert compared.exit_code == 1
    lines = compared.output.splitlines()
    assert lines[:2] == ["--- mine 1", "+++ mine 2"]
    assert '-    "lower": 0.4,' in lines
    assert '+    "lower": 0.2,' in lines
    assert not any('digest":' in line and "question" not in line for line in lines)


def test_diff_of_other_words_for_the_same_is_empty(mine: Path) -> None:
    same = changed(
        mine,
        {
            "name: mine": "# Said in another way.\nname: ours\ndescription: All of it.",
            "{ severity: critical }": "\n    severity: critical\n    action: block",
            "lower: 0.4\n": "lower: 0.40\n",
        },
    )

    compared = run("diff", mine, same)

    assert compared.output == "They do the same.\n"
    assert compared.exit_code == 0


CHANGES = {
    "an action": ("on_doubt: block", "on_doubt: rewrite"),
    "a pattern": ("'order'", "'refund'"),
    "a tool's arguments": ("maxLength: 3", "maxLength: 4"),
    "a tool's review": ("review: person", "review: classifier"),
    "a source": ("wiki/*", "wiki/a*"),
    "a classifier": ("[embedded]", "[guard]"),
    "when it is asked": ("ask: [doubt]", "ask: [doubt, severe]"),
    "the slice": ("sample_rate: 0.1", "sample_rate: 0.2"),
    "the rounds": ("max_rounds: 1", "max_rounds: 2"),
    "a kind": ("mask: [email]", "mask: [email, phone]"),
    "a country": ("[DE]", "[CH]"),
    "a text": ("I cannot answer that.", "No."),
    "the shadow": ("shadow: a", "shadow: b"),
    "the question": ("Is this", "Is that"),
    "the order of categories": ("  hate:\n", "  deception:\n  hate:\n"),
    "what is looked for in inputs": ("instructions: true", "instructions: false"),
}
ALL = f"""\
{LEAST}{CLASSIFIER}  ask: [doubt]
  sample_rate: 0.1
on_doubt: block
rewrite: {{ max_rounds: 1 }}
retrieval: {{ sources: ["wiki/*"] }}
tools: {{ t: {{ arguments: {{ maxLength: 3 }}, review: person }} }}
input: {{ patterns: {{ p: 'order' }}, instructions: true, on_flag: block }}
redact: {{ mask: [email], phone_regions: [DE] }}
shadow: a
"""


@pytest.mark.parametrize("change", CHANGES)
def test_diff_misses_no_change(mine: Path, change: str) -> None:
    mine.write_text(ALL)

    assert run("diff", mine, changed(mine, dict([CHANGES[change]]))).exit_code == 1


def test_schema_prints_one_that_a_policy_fits() -> None:
    printed = run("schema")

    assert printed.exit_code == 0
    assert printed.output == json_schema()
    assert jsonschema_rs.is_valid(json.loads(printed.output), plain_data(LEAST))
