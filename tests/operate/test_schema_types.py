"""The dashboards against Grafana's own types (@grafana/schema), by TypeScript."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scripts.dashboards.__main__ import DASHBOARDS, ROOT

pytestmark = pytest.mark.operate

SCHEMA = Path(__file__).parent / "schema"
INSTALLED = ROOT / ".cache" / "grafana-schema"
TSC_S = 300


@pytest.fixture(scope="module")
def tsc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiler and the types."""
    if not (INSTALLED / "node_modules").is_dir():
        if os.environ.get("CI"):
            raise AssertionError("not installed: make operate-test does it")
        pytest.skip("Grafana's types are not here: make operate-test")
    folder = tmp_path_factory.mktemp("schema")
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    shutil.copy(SCHEMA / "board.ts", folder)
    return folder


def compiled(tsc: Path, boards: dict[str, dict[str, Any]]) -> str:
    """What the compiler says of dashboards, by name."""
    lines = [
        'import type { Board } from "./board";',
        *(f"export const {name}: Board = {json.dumps(board)};" for name, board in boards.items()),
    ]
    (tsc / "check.ts").write_text("\n".join(lines))
    strict = ["--noEmit", "--strict", "--skipLibCheck"]
    resolve = ["--module", "es2022", "--moduleResolution", "bundler"]
    checked = subprocess.run(
        [tsc / "node_modules/.bin/tsc", *strict, *resolve, "check.ts"],
        cwd=tsc,
        capture_output=True,
        text=True,
        timeout=TSC_S,
        check=False,
    )
    return checked.stdout + checked.stderr


def test_grafanas_types_take_every_dashboard_and_notice_what_is_wrong(tsc: Path) -> None:
    boards = {file.stem: json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))}
    wrong = {"schemaVersion": 36, "editable": "no", "graphTooltip": 1, "panels": [{"titel": "x"}]}

    said = compiled(tsc, {**boards, "wrong": wrong})

    lines = [line for line in said.splitlines() if "error TS" in line]
    assert lines, "the wrong one was not noticed"
    last = len(boards) + 2  # its line
    assert {line.partition(":")[0].partition(",")[0] for line in lines} == {f"check.ts({last}"}, (
        said
    )
    assert "editable" in said or "boolean" in said
