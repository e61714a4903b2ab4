"""Reliability plots: in each bin of risk, the mean risk beside the share that is unsafe."""

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from inwit.evaluation.statistics.calibration_error import BINS, Bin
from inwit.policy.calibration import Calibration, Quality

_BAR = 24  # characters


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share among `count` independent samples (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def bin_table(title: str, bins: list[Bin]) -> Table:
    """The bins for a terminal: the bar is the share unsafe, the mark the mean risk."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("risk")
    table.add_column("samples", justify="right")
    table.add_column("mean risk", justify="right")
    table.add_column("unsafe", justify="right")
    table.add_column("0" + " " * (_BAR - 2) + "1")
    for each in bins:
        span = f"{each.low:.2f}-{each.high:.2f}"
        table.add_row(span, str(each.count), f"{each.risk:.2f}", f"{each.unsafe:.2f}", _bar(each))
    return table


def draw(file: Path, calibration: Calibration, before: list[Bin], after: list[Bin]) -> None:
    """Write a PNG: both reliability plots side by side, with the samples of each bin below.

    Raises:
        OSError: the file cannot be written.
    """
    figure: Any = Figure(figsize=(9.5, 6.2), layout="constrained")
    axes: Any = figure.subplots(2, 2, height_ratios=[3, 1], sharex=True, sharey="row")
    facts, mark = calibration.facts, calibration.fingerprint
    count = facts.safe + facts.unsafe
    about = f"{count} samples of {facts.prompts} prompts, {facts.samples_prior:.0%} unsafe"
    named = f"{mark.model}, {mark.framing.value}, question {mark.question_digest}"
    # A model's name is no formula, whatever dollar signs it holds.
    title = f"{named}\n{about}, AUROC {facts.auroc}"
    figure.suptitle(title, fontsize="medium", parse_math=False)
    _panel(axes[0, 0], axes[1, 0], "Before: raw risk", before, facts.before)
    title = f"After: {calibration.method}, cross-validated"
    _panel(axes[0, 1], axes[1, 1], title, after, facts.after)
    axes[0, 0].set_ylabel("share unsafe")
    axes[1, 0].set_ylabel("samples")
    figure.savefig(file, format="png", dpi=110)


def _panel(above: Any, below: Any, title: str, bins: list[Bin], quality: Quality) -> None:
    risks, counts = [each.risk for each in bins], [each.count for each in bins]
    above.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="risk = share")
    shares = [each.unsafe for each in bins]
    spans = np.array([wilson(each.unsafe, each.count) for each in bins]).T
    above.vlines(risks, *spans, color="tab:blue", alpha=0.4, label="95 % (Wilson)")
    above.plot(risks, shares, marker="o", color="tab:blue", label="bins")
    above.set(xlim=(0, 1), ylim=(0, 1), title=title)
    above.legend(loc="lower right", fontsize="small")
    told = f"ECE {quality.ece}\nECE, adaptive {quality.ece_adaptive}\nBrier {quality.brier}"
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none"}
    above.text(0.03, 0.97, told, va="top", fontsize="small", transform=above.transAxes, bbox=box)
    middles = [(each.low + each.high) / 2 for each in bins]
    bars = below.bar(middles, counts, width=0.9 / BINS, color="0.7")
    below.bar_label(bars, fontsize="x-small")
    below.margins(y=0.25)
    below.set_xlabel("risk")


def _bar(each: Bin) -> Text:
    filled, mark = round(each.unsafe * _BAR), min(_BAR - 1, int(each.risk * _BAR))
    cells = ["█" if place < filled else "·" for place in range(_BAR)]
    cells[mark] = "◆"
    return Text("".join(cells))
