"""What the Helm chart has from elsewhere: the table of values in its README, and copies of files.

`python -m scripts.render_chart` writes them (`make docs` does). The table is of the comments in
values.yaml: one right above a key documents the key with all below it; a key without one is gone
into. Helm reads no file outside the chart, so the chart has the rules and dashboards of deploy/.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "inwit"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
_BEGIN, _END = "<!-- values: rendered from values.yaml -->", "<!-- end of values -->"


@dataclass(frozen=True, slots=True)
class Value:
    """One row: the path of a value, what it is for, and its default."""

    path: str
    words: str
    default: object


def documented(text: str) -> Iterator[Value]:
    """Every value of a values.yaml, in its order.

    Raises:
        ValueError: naming a value without a comment.
    """
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("values.yaml is no mapping")
    yield from _below(root, "", text.splitlines(), yaml.safe_load(text))


def _below(
    node: yaml.MappingNode, prefix: str, lines: list[str], values: dict[str, object]
) -> Iterator[Value]:
    for key, value in node.value:
        name = str(key.value)
        path, words = f"{prefix}{name}", _comment(lines, key.start_mark.line)
        if words:
            yield Value(path, words, values[name])
        elif isinstance(value, yaml.MappingNode) and value.value:
            below = values[name]
            assert isinstance(below, dict)  # noqa: S101  # the node says so
            yield from _below(value, f"{path}.", lines, below)  # pyright: ignore[reportUnknownArgumentType]  # YAML
        else:
            raise ValueError(f"{path} has no comment above it")


def _comment(lines: list[str], line: int) -> str:
    """The comment that ends right above a line, in one line."""
    words: list[str] = []
    while line > 0 and (above := lines[line - 1].strip()).startswith("#"):
        words.insert(0, above.removeprefix("#").strip())
        line -= 1
    return " ".join(words)


def table(text: str) -> str:
    """The Markdown table of a values.yaml."""
    rows = ["| value | what it is for | default |", "|---|---|---|"]
    for value in documented(text):
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        rows.append(f"| `{value.path}` | {value.words} | `{default}` |")
    return "\n".join(rows)


def rendered(readme: str, values: str) -> str:
    """The chart's README with its table as values.yaml has it."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table(values)}\n\n{_END}{after}"


def copy_files() -> None:
    """Bring the chart's copies of the rules and dashboards up to date."""
    files = CHART / "files"
    shutil.rmtree(files, ignore_errors=True)
    shutil.copytree(DASHBOARDS, files / "dashboards", ignore=_all_but_json)
    shutil.copy(RULES, files / "rules.yaml")


def _all_but_json(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".json")]


if __name__ == "__main__":
    copy_files()
    page = CHART / "README.md"
    page.write_text(rendered(page.read_text(), (CHART / "values.yaml").read_text()))
