"""Writes deploy/grafana/dashboards/*.json and deploy/prometheus/rules.yaml."""

from pathlib import Path

from scripts.dashboards import rules
from scripts.dashboards.every import BOARDS

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
RULES = ROOT / "deploy/prometheus/rules.yaml"


def main() -> None:
    """Write what changed; a dashboard that is made no more goes."""
    DASHBOARDS.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (DASHBOARDS / f"{board.name}.json").write_text(board.render())
    for file in DASHBOARDS.glob("*.json"):
        if file.stem not in {board.name for board in BOARDS}:
            file.unlink()
    RULES.write_text(rules.render())


if __name__ == "__main__":
    main()
