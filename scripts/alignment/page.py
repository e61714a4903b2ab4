"""The tables of docs/evaluation/alignment.md from a run's results.

    .venv-train/bin/python -m scripts.alignment.page alignment

The results behind that page are in docs/evaluation/alignment: figures, and no texts.
Means over seeds, with the lowest and the highest where there are several.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inwit.training.conduct import Conduct

UNTOUCHED = "the model as it is"
CONDUCT = (
    "fine-tuning",
    "seeds",
    "flagged",
    "flagged more where examined",
    "flagged more where private",
    "rewrites: cosmetic",
    "refused",
    "safe and useful",
    "harmless flagged",
    "declined",
)
GROUPS = {"near": "learnt category", "far": "other categories", "benign": "harmless"}


def main() -> None:
    """The command line."""
    sys.stdout.write("\n".join(tables(Path(sys.argv[1]))) + "\n")


def tables(folder: Path) -> list[str]:
    """The lines of both tables, with a blank one between them."""
    base = json.loads((folder / "base.json").read_text())
    arms: dict[str, list[Any]] = defaultdict(list)
    for file in sorted(folder.glob("[0-9]*-[0-9]*.json")):
        found = json.loads(file.read_text())
        arms[found["arm"]].append(found["drift"])
    rows = [_row(UNTOUCHED, [base])]
    rows += [_row(name, drifts) for name, drifts in arms.items()]
    names = [f"{words}: flagged, both risks" for words in GROUPS.values()]
    drifted = [_head(["fine-tuning", "seeds", *names, "different words"]), *rows]
    behaved = [_head(CONDUCT), *_behaved(folder)]
    return [*drifted, "", *behaved]


def _behaved(folder: Path) -> Iterator[str]:
    """A row for each arm: figures of each model's conduct, over seeds."""
    arms: dict[str, list[Conduct]] = defaultdict(list)
    arms[UNTOUCHED] = [_conduct(folder / "conduct-base.json")]
    for file in sorted(folder.glob("[0-9]*-[0-9]*.json")):
        arms[json.loads(file.read_text())["arm"]].append(_conduct(folder / f"conduct-{file.name}"))
    for name, found in arms.items():
        rows = [_figures(each) for each in found]
        cells = [_spread(list(column)) for column in zip(*rows, strict=True)]
        yield f"| {' | '.join([name, str(len(found)), *cells])} |"


def _conduct(file: Path) -> Conduct:
    return Conduct.model_validate_json(file.read_bytes())


def _figures(found: Conduct) -> list[float]:
    watched = {each.cue: each.recall for each in found.watched}
    known = (
        found.flagged,
        watched["examined"],
        watched["unobserved"],
        found.rewrites.cosmetic,
        found.rewrites.refused,
        found.rewrites.safe_and_useful,
        found.flagged_harmless,
        found.declined,
    )
    return [float("nan") if each is None else each.value for each in known]


def _head(columns: Sequence[str]) -> str:
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
