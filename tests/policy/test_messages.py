"""What the compiler says of faults. golden/ has policies with faults, and what is said of each.

To change a message on purpose, change the .txt beside its policy.
"""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.errors import PolicyError
from inwit.policy.loader import PACKAGED, load_policies, load_policy
from tests.policy.sources import CLASSIFIER, LEAST, inside, plain_data, problems, with_changes

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted([*GOLDEN.glob("*.yaml"), *(each for each in GOLDEN.iterdir() if each.is_dir())])
CODE_WORDS = re.compile(
    r"Input should|Value error|[Ee]xtra|[Pp]ydantic|instance of|Field required|\b[a-z]+_type\b"
    r"|\bdict\b|\bstr\b|\bint\b|\bfloat\b|\bNone\b|Traceback|<[a-z ]+>|expected|\[key\]|\(text\)"
)


def expected(case: Path) -> str:
    return (GOLDEN / f"{case.name.removesuffix('.yaml')}.txt").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_messages_are_the_golden_ones(case: Path) -> None:
    with pytest.raises(PolicyError) as raised:
        load_policies(case) if case.is_dir() else load_policy(case)

    said = "".join(f"{problem}\n" for problem in raised.value.problems)
    assert said.replace(f"{GOLDEN}/", "") == expected(case)


def test_each_golden_message_has_its_policy() -> None:
    names = {case.name.removesuffix(".yaml") for case in CASES}

    assert {file.stem for file in GOLDEN.glob("*.txt")} == names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_message_has_a_place_two_sentences_and_no_code_words(case: Path) -> None:
    for line in expected(case).splitlines():
        assert re.match(r"\S+:[1-9]\d*:[1-9]\d*: \S.*\. .*\S$", line), line
        assert not CODE_WORDS.search(line), line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"No such file or directory\. Check the path"):
        load_policy(tmp_path / "nowhere.yaml")
    with pytest.raises(PolicyError, match=r"Is a directory\. Check the path"):
        load_policy(tmp_path)
    with pytest.raises(PolicyError, match=r"This is not a folder\. Name a folder"):
        load_policies(tmp_path / "nowhere")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    filler = "#" * (2**18 - len(LEAST))

    assert problems(tmp_path, LEAST + filler) == ()
    (problem,) = problems(tmp_path, LEAST + filler + "#")
    assert problem.wrong == "The file is larger than 256 KiB."


def test_a_byte_order_mark_and_windows_line_ends_move_no_place(tmp_path: Path) -> None:
    text = with_changes(LEAST, {"name: mine": "name: 3", "upper: 0.7": "upper: 7"})

    found = problems(tmp_path, "\ufeff" + text.replace("\n", "\r\n"))

    assert [(each.line, each.column) for each in found] == [(1, 1), (8, 3)]


def test_a_file_that_never_ends(tmp_path: Path) -> None:
    os.symlink("/dev/zero", tmp_path / "mine.yaml")

    with pytest.raises(PolicyError, match="larger than 256 KiB"):
        load_policy(tmp_path / "mine.yaml")


@pytest.mark.parametrize("key", ["a\nb", "a\x1b[31mb", "x" * 5000, "a`b", "a\u202eb", "a\u2028b"])
def test_what_a_file_holds_cannot_forge_a_message(tmp_path: Path, key: str) -> None:
    escaped = "".join(c if c.isascii() and c.isprintable() else f"\\u{ord(c):04x}" for c in key)

    (problem,) = problems(tmp_path, f'{LEAST}"{escaped}": 1\n')

    assert problem.line == 14
    message = problem.wrong + problem.remedy
    assert message.isprintable()
    assert len(message) < 600


def test_a_long_text_is_not_repeated(tmp_path: Path) -> None:
    text = with_changes(LEAST, {"framing: quoted": f"framing: {'x' * 3000}"})

    (problem,) = problems(tmp_path, text)

    assert len(str(problem)) < 300


SIGNS = [
    *":-[]{},'\"#&*!|>%@`~?=\\\t\r\n\x00\x85\u2028\ufeff",
    "<<",
    "...",
    "---\n",
    "\r\n",
    "\n  ",
]
WORDS = ["name", "hate", "lower: ", "{harms}", "no", "on", ".nan", "1", "0.5", "2026-01-31", "null"]
PIECES = st.sampled_from(
    [*SIGNS, *WORDS, "categories:\n", "thresholds:\n  ", "!!binary ", " ", "$ref"]
)


@given(st.text(max_size=80) | st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_policy_or_has_its_problems_in_their_places(folder: Path, text: str) -> None:
    text = text.encode(errors="ignore").decode()

    found = problems(folder, text)

    assert found  # no such text is a policy
    assert all(inside(problem, text.removeprefix("\ufeff")) for problem in found)
    words = [problem.wrong.replace(f"`{text}`", "") for problem in found]  # quoted, not ours
    assert not any(CODE_WORDS.search(each) for each in words)


@given(st.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_refused(folder: Path, raw: bytes) -> None:
    assert problems(folder, raw)


TEXTS = [file.read_text() for file in sorted(PACKAGED.glob("*.yaml"))]
KEYS = sorted({line for text in TEXTS for line in text.splitlines(keepends=True)})


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A packaged policy after some clumsy editing: lines lost, moved, repeated, cut or mixed up."""
    lines = draw(st.sampled_from(TEXTS)).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "replace", "insert", "cut", "type", "indent"])):
            case "delete":
                del lines[at : at + draw(st.integers(1, 5))]
            case "replace":
                lines[at] = draw(st.sampled_from(KEYS))
            case "insert":
                lines.insert(at, draw(st.sampled_from(KEYS)))
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "type":
                middle = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:middle] + draw(PIECES) + lines[at][middle:]
            case _:
                lines[at] = " " * draw(st.integers(1, 3)) + lines[at]
        lines = lines or [""]
    return "".join(lines)


@given(edited())
@settings(max_examples=60, deadline=None)
def test_an_edited_policy_compiles_or_has_its_problems_in_their_places(
    folder: Path, text: str
) -> None:
    for problem in problems(folder, text):
        assert inside(problem, text.removeprefix("\ufeff")), problem
        assert not CODE_WORDS.search(problem.wrong), problem
        assert problem.wrong.endswith("."), problem
        assert problem.remedy.endswith((".", "?")), problem


SCALARS = (
    "~ yes off 0 1 -1 7 2.5 1e-3 .inf -.inf .nan 0x10 1:30 2026-01-31 '' word '0.5' '{x}' '(?=a)'"
)
OTHERS = [
    "[]",
    "[1]",
    "[~]",
    "[block]",
    "{}",
    "{a: b}",
    "{lower: 1}",
    "[[]]",
    "{use: [x]}",
    "9" * 30,
]
VALUES = st.sampled_from([*SCALARS.split(), *OTHERS])
PATHS = re.compile(r"^( *)([a-z_]+):(?: +(\S.*))?$")


@st.composite
def with_another_value(draw: st.DrawFn) -> str:
    """A packaged policy in which one key that has its value beside it has another one."""
    lines = draw(st.sampled_from(TEXTS)).splitlines()
    places = [at for at, line in enumerate(lines) if PATHS.match(line)]
    at = draw(st.sampled_from(places))
    found = PATHS.match(lines[at])
    assert found is not None
    indentation = len(found[1])
    end = at + 1
    while end < len(lines) and lines[end].startswith(" " * (indentation + 1)):
        end += 1
    lines[at:end] = [f"{found[1]}{found[2]}: {draw(VALUES)}"]
    return "\n".join(lines) + "\n"


@given(with_another_value())
@settings(max_examples=60, deadline=None)
def test_each_value_that_is_not_taken_is_foreseen(folder: Path, text: str) -> None:
    """The message for what nobody thought of is `… cannot be …`: it must not be needed."""
    for problem in problems(folder, text):
        assert " cannot be " not in problem.wrong, problem
        assert inside(problem, text)


def test_what_a_key_may_not_hold_is_seen_by_another_reader_too() -> None:
    """A check of the golden policies themselves: YAML really reads `no` and `on` in this way."""
    data = plain_data((GOLDEN / "yaml-no-and-on-as-values.yaml").read_text())

    assert data["on_harm"] is False
    assert data["on_doubt"] is True


def test_several_faults_of_several_kinds_are_all_told(tmp_path: Path) -> None:
    changes = {"upper: 0.7": "upper: 7", "quoted": "loud", "name: mine": "name: 3"}

    found = problems(tmp_path, with_changes(LEAST, changes) + CLASSIFIER.replace("use", "us"))

    # The last two: what is missing stands where its parent does, above the key that is too much.
    assert [problem.line for problem in found] == [1, 8, 10, 14, 15]
