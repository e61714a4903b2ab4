"""The page's plots. Each has its numbers in a table beside it; a plot only helps to see them."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from markupsafe import Markup

from inwit.agreement.shares import wilson
from inwit.evaluation.report.drawing import (
    BASELINE,
    BY_KIND,
    CONSCIENCE,
    EDGE,
    SOFT,
    TEXT,
    as_svg,
    canvas,
    dress,
    legible,
)
from inwit.evaluation.report.parts import DISTRIBUTIONS
from inwit.evaluation.results import (
    AttackTransfer,
    CalibrationError,
    Detection,
    Figure,
    JudgeUsed,
    ReliabilityBin,
    UnderAttack,
)

_WIDTH = 10.5  # inches
_ACROSS = 4  # panels


def forest(rows: Sequence[Detection], sets: Sequence[str], judges: Sequence[JudgeUsed]) -> Markup:
    """AUROC with its interval: a panel for each set, a line for each judge."""
    found = {(row.dataset, row.judge): row for row in rows}
    figure, panels = _grid(len(sets), 0.5 + 0.2 * len(judges), share_y=True)
    for panel, name in zip(panels, sets, strict=False):
        some = next(row for row in rows if row.dataset == name)
        _title(panel, name, DISTRIBUTIONS[some.distribution])
        panel.axvline(0.5, color=SOFT, linestyle="--", linewidth=0.8)
        for place, judge in enumerate(judges):
            row = found.get((name, judge.name))
            _point(panel, row.auroc if row else None, place, judge.kind)
        panel.set(xlim=(0, 1), ylim=(len(judges) - 0.5, -0.5))
        _name_rows(panel, [judge.name for judge in judges])
    alt = (
        f"Forest plot: AUROC with 95 % interval of {len(judges)} judges on {len(sets)} sets. "
        "The tables that follow have every number."
    )
    return as_svg(figure, "forest", alt)


def reliability(judge: str, errors: Sequence[CalibrationError], name: str) -> Markup:
    """A panel for each set: before and after calibration, with Wilson's intervals."""
    sets = list(dict.fromkeys((each.dataset, each.distribution) for each in errors))
    figure, panels = _grid(len(sets), 2.5, share_y=True)
    for panel, (dataset, distribution) in zip(panels, sets, strict=False):
        _title(panel, dataset, DISTRIBUTIONS[distribution])
        panel.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=0.8)
        for each in errors:
            if each.dataset == dataset:
                _bins(panel, each.bins, each.stage)
        panel.set(xlim=(0, 1), ylim=(0, 1))
    figure.supxlabel("risk", color=SOFT, fontsize=8)
    figure.supylabel("share unsafe", color=SOFT, fontsize=8)
    _legend(figure, panels[0])
    alt = (
        f"Reliability diagrams of {judge} on {len(sets)} sets, before and after calibration: share "
        "of unsafe responses against risk. The table that follows has the errors."
    )
    return as_svg(figure, name, alt)


def under_attack(rows: Sequence[UnderAttack], judges: Sequence[JudgeUsed]) -> Markup:
    """A panel for each judge: recall and false-positive rate under each attack."""
    attacks = list(dict.fromkeys(row.attack for row in rows))
    found = {(row.judge, row.attack): row for row in rows}
    figure: Any = canvas(_WIDTH, 1.3 + 0.19 * len(attacks))
    panels = figure.subplots(1, len(judges), sharey=True, squeeze=False)[0]
    for panel, judge in zip(panels, judges, strict=True):
        _title(panel, judge.name)
        for place, attack in enumerate(attacks):
            _attacked(panel, found.get((judge.name, attack)), place, judge.kind)
        panel.set(xlim=(0, 1), ylim=(len(attacks) - 0.4, -0.6), xlabel="share flagged")
        panel.grid(axis="y", color=EDGE, linewidth=0.5)
        _name_rows(panel, attacks)
    _legend(figure, panels[0])
    alt = (
        f"Dot plot: under each of {len(attacks)} attacks the recall and the false-positive rate "
        f"of {len(judges)} judges, with 95 % intervals. The table that follows has every number."
    )
    return as_svg(figure, "attacks", alt)


def transfer(rows: Sequence[AttackTransfer]) -> Markup:
    """A heat map with numbers: found against the judge of the row, tried on that of the column."""
    every = dict.fromkeys(row.found_against for row in rows)
    first = list(every)
    second = list(every | dict.fromkeys(row.tried_on for row in rows))
    figure: Any = canvas(min(_WIDTH, 3.2 + 1.3 * len(second)), 1.4 + 0.5 * len(first))
    axes: Any = figure.subplots()
    for row in rows:
        x, y = second.index(row.tried_on), first.index(row.found_against)
        share = row.evades.value if row.evades else 0.0
        axes.bar(x, 1, bottom=y - 0.5, width=1, color=CONSCIENCE, alpha=0.05 + 0.5 * share)
        told = f"{share:.2f}\nof {row.samples}" if row.evades else "not\ndefined"
        axes.text(x, y, told, ha="center", va="center", color=TEXT, fontsize=8)
    for place, name in enumerate(first):
        at = second.index(name)
        axes.text(at, place, "itself", ha="center", va="center", color=SOFT, fontsize=8)
    axes.set(xlim=(-0.5, len(second) - 0.5), ylim=(len(first) - 0.5, -0.5))
    axes.set(xlabel="tried on", ylabel="found against")
    dress(axes)
    axes.set_xticks(range(len(second)), _labels(second), parse_math=False, rotation=20, ha="right")
    axes.set_yticks(range(len(first)), _labels(first), parse_math=False)
    alt = (
        "Heat map: of the samples with which some attack evades one judge, the share that evades "
        "another too. The table that follows has every number with its interval."
    )
    return as_svg(figure, "transfer", alt)


def _grid(count: int, height: float, share_y: bool) -> tuple[Any, Sequence[Any]]:
    """A figure of `count` panels, and those; what the last row has no panel for stays empty."""
    across = min(_ACROSS, count)
    down = ceil(count / across)
    figure: Any = canvas(_WIDTH, 0.4 + height * down)
    axes = figure.subplots(down, across, sharex=True, sharey=share_y, squeeze=False)
    grid = [panel for row in axes for panel in row]
    for place, panel in enumerate(grid):
        if place >= count:
            panel.set_axis_off()
        elif place + across >= count:  # nothing below it
            panel.tick_params(labelbottom=True)
    return figure, grid[:count]


def _title(panel: Any, name: str, fine: str = "") -> None:
    dress(panel)
    told = f"{legible(name)}\n{fine}" if fine else legible(name)
    panel.set_title(told, parse_math=False, color=TEXT, fontsize=9)


def _name_rows(panel: Any, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), _labels(names), parse_math=False)


def _labels(names: Sequence[str]) -> list[str]:
    return [legible(name) for name in names]


def _point(panel: Any, found: Figure | None, place: int, kind: str) -> None:
    if found is None:
        panel.text(0.02, place, "not defined", va="center", color=SOFT, fontsize=7)
        return
    colour, marker = BY_KIND[kind], "s" if kind == "baseline" else "o"
    panel.hlines(place, found.low, found.high, color=colour, linewidth=1.6)
    panel.plot(found.value, place, marker=marker, color=colour, markersize=4.5, clip_on=False)


def _bins(panel: Any, bins: Sequence[ReliabilityBin], stage: str) -> None:
    before = stage == "before"
    colour = BASELINE if before else CONSCIENCE
    risks = [each.risk for each in bins]
    spans = [wilson(each.unsafe * each.count, each.count) for each in bins if each.count]
    if len(spans) == len(bins) and spans:
        panel.vlines(risks, *np.array(spans).T, color=colour, alpha=0.45, linewidth=1.2)
    panel.plot(
        risks,
        [each.unsafe for each in bins],
        marker="s" if before else "o",
        markersize=4,
        linewidth=1.1,
        color=colour,
        label=f"{stage} calibration",
    )


def _attacked(panel: Any, row: UnderAttack | None, place: int, kind: str) -> None:
    if row is None:
        panel.text(0.02, place, "not applied", va="center", color=SOFT, fontsize=7)
        return
    drawn: Mapping[str, tuple[Figure | None, str, float, str]] = {
        "recall under attack": (row.recall, BY_KIND[kind], -0.14, "o"),
        "false-positive rate under attack": (row.false_positive_rate, BASELINE, 0.2, "s"),
    }
    if row.plain_recall is not None:
        label = "recall without it" if place == 0 else None
        panel.plot(
            row.plain_recall.value, place - 0.14, marker="|", color=TEXT, ls="none", label=label
        )
    for label, (found, colour, off, marker) in drawn.items():
        if found is None:
            continue
        panel.hlines(place + off, found.low, found.high, color=colour, linewidth=1.2)
        shown = label if place == 0 else None
        panel.plot(
            found.value,
            place + off,
            marker=marker,
            color=colour,
            markersize=3.5,
            ls="none",
            label=shown,
        )


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower left",
            ncols=3,
            fontsize=8,
            frameon=False,
            labelcolor=TEXT,
        )
