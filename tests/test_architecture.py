"""The shape of the house: imports point down, files and functions stay small."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "service").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
# One file alone, by its purpose: it lies in every bundle, and a stranger reads and runs it.
ALONE = {ROOT / "service/inwit/ledger/verify.py"}
NO_NAMES = {"utils.py", "common.py", "helpers.py", "core.py", "models.py"}


def test_import_contracts_hold() -> None:
    found = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_files_stay_short() -> None:
    for file in [*(set(SOURCES) - ALONE), *sorted((ROOT / "tests").rglob("*.py"))]:
        assert len(file.read_text().splitlines()) <= LONGEST_FILE, file


def test_functions_stay_short() -> None:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{file}:{node.lineno} {node.name}: {length}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [file for file in SOURCES if file.name in NO_NAMES]


def test_public_functions_say_what_they_do() -> None:
    for file in SOURCES:
        if "migrations" in file.parts:
            continue
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree) or not tree.body, f"{file} has no docstring"
        for node in tree.body:
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if named and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{file}:{node.lineno} {node.name}"


def test_content_is_never_an_argument_of_a_log_call() -> None:
    """A log line names things; it never carries what people or models wrote."""
    forbidden = {"text", "content", "messages", "candidate", "reasoning", "output", "body"}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                named = {keyword.arg for keyword in node.keywords}
                assert not named & forbidden, f"{file}:{node.lineno}"


def test_no_package_index_is_named() -> None:
    for file in [*(ROOT / "requirements").iterdir(), ROOT / "pyproject.toml"]:
        text = file.read_text()
        assert "://" not in text, file
        assert "index-url" not in text, file
