"""The table of docs/evaluation/alignment.md from a run's results.

    .venv-train/bin/python -m scripts.alignment.page alignment

Means over seeds, with the lowest and the highest where there are several.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

GROUPS = {"near": "learnt category", "far": "other categories", "benign": "harmless"}


def main() -> None:
    """The command line."""
    folder = Path(sys.argv[1])
    base = json.loads((folder / "base.json").read_text())
    arms: dict[str, list[Any]] = defaultdict(list)
    for file in sorted(folder.glob("[0-9]*-[0-9]*.json")):
        found = json.loads(file.read_text())
        arms[found["arm"]].append(found["drift"])
    rows = [_row("the model as it is", [base])]
    rows += [_row(name, drifts) for name, drifts in arms.items()]
    sys.stdout.write("\n".join([_head(), *rows]) + "\n")


def _head() -> str:
    names = [f"{words}: flagged, both risks" for words in GROUPS.values()]
    columns = ["fine-tuning", "seeds", *names, "different words"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def _row(name: str, drifts: list[Any]) -> str:
    cells = [name, str(len(drifts))]
    for group in GROUPS:
        kinds = ("flagged", "conscience", "classifier")
        cells.append(", ".join(_spread([each[group][kind] for each in drifts]) for kind in kinds))
    cells.append(_spread([each["near"]["distinct"] for each in drifts]))
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.2f}"
    return f"{mean:.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
