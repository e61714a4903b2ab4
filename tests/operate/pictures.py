"""Draws a dashboard's panels from Prometheus's answers. It is not Grafana's picture of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

_MATPLOTLIB: Any = matplotlib  # some of its types are not told in full
_MATPLOTLIB.use("agg")

_INCH_X, _INCH_Y = 0.62, 0.36  # of one cell of Grafana's grid
_COLOURS = {
    "green": "#4a9d5b",
    "orange": "#e08b2d",
    "red": "#c8413f",
    "blue": "#3f78b5",
    "purple": "#8459a8",
}
_STYLE: dict[str, Any] = {
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
}
_MOST_IN_LEGEND = 6


@dataclass(frozen=True)
class Series:
    """One line: its legend, seconds from the start, values."""

    legend: str
    times: Sequence[float]
    values: Sequence[float]
    labels: Mapping[str, str]

    @property
    def last(self) -> float:
        """The last value that is one."""
        return next((each for each in reversed(self.values) if not math.isnan(each)), math.nan)


Answers = Mapping[int, Sequence[Series]]  # by the panel's number


def draw(board: Mapping[str, Any], answers: Answers, file: Path) -> None:
    """Write the picture of a dashboard."""
    height = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in board["panels"]) + 1
    with _MATPLOTLIB.rc_context(_STYLE):
        figure: Any = Figure(figsize=(24 * _INCH_X, height * _INCH_Y), dpi=90)
        figure.text(0.012, 1 - 0.45 / height, board["title"], fontsize=13, weight="bold")
        for panel in board["panels"]:
            _panel(figure, panel, answers.get(panel["id"], ()), height)
        figure.savefig(file, facecolor="white", metadata={"Software": None})


def _panel(figure: Any, panel: Mapping[str, Any], found: Sequence[Series], height: int) -> None:
    place = panel["gridPos"]
    top = 1 - (place["y"] + 1) / height
    if panel["type"] == "row":
        figure.text(0.012, top - 0.7 / height, panel["title"], fontsize=10, weight="bold")
        return
    left, width = place["x"] / 24, place["w"] / 24
    bottom = top - place["h"] / height
    if panel["type"] == "stat":
        box = (left + 0.006, bottom + 0.25 / height, width - 0.012, (place["h"] - 0.5) / height)
        _stat(figure.add_axes(box), panel, found)
        return
    margin = 0.13 if panel["type"] == "bargauge" else 0.04
    inner = (place["h"] - 2.9) / height
    axes = figure.add_axes((left + margin, bottom + 1.7 / height, width - margin - 0.012, inner))
    axes.set_title(panel["title"], x=-margin / (width - margin - 0.012) * 0.9)
    {"timeseries": _lines, "heatmap": _heat, "bargauge": _bars}[panel["type"]](axes, panel, found)


def _stat(axes: Any, panel: Mapping[str, Any], found: Sequence[Series]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0].last if found else math.nan
    steps = defaults["thresholds"]["steps"]
    colour = next(
        step["color"] for step in reversed(steps) if step["value"] is None or value >= step["value"]
    )
    solid = panel["options"]["colorMode"] == "background_solid"
    axes.set_facecolor(_COLOURS[colour] if solid else "#eef2f7")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    ink = "white" if solid else _COLOURS[colour]
    if "decimals" in defaults and not math.isnan(value):
        value = round(value, defaults["decimals"])
    words = told(value, defaults["unit"])
    axes.text(0.5, 0.4, words, ha="center", va="center", color=ink, fontsize=15, weight="bold")
    axes.text(0.04, 0.88, panel["title"], va="center", fontsize=7.5, color=ink)


def _lines(axes: Any, panel: Mapping[str, Any], found: Sequence[Series]) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    fixed = {
        each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"]
        for each in panel["fieldConfig"]["overrides"]
    }
    shown = sorted(found, key=lambda each: -_largest(each.values))
    if custom.get("stacking", {}).get("mode") == "normal" and shown:
        _stack(axes, shown, fixed)
    else:
        for each in shown:
            colour = _COLOURS[fixed[each.legend]] if each.legend in fixed else None
            axes.plot(each.times, each.values, label=each.legend, lw=1.1, color=colour)
    _limit(axes, panel)
    _finish(axes, panel, shown)


def _stack(axes: Any, shown: Sequence[Series], fixed: Mapping[str, str]) -> None:
    times = sorted({time for each in shown for time in each.times})
    rows = [_at(each, times) for each in shown]
    colours = [
        _COLOURS[fixed[each.legend]] if each.legend in fixed else f"C{number % 10}"
        for number, each in enumerate(shown)
    ]
    legends = [each.legend for each in shown]
    axes.stackplot(times, rows, labels=legends, colors=colours, alpha=0.75, lw=0)


def _at(series: Series, times: Sequence[float]) -> list[float]:
    known = dict(zip(series.times, series.values, strict=True))
    values = [known.get(time, 0.0) for time in times]
    return [0.0 if math.isnan(value) else value for value in values]


def _limit(axes: Any, panel: Mapping[str, Any]) -> None:
    if "thresholdsStyle" not in panel["fieldConfig"]["defaults"].get("custom", {}):
        return
    limit = panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
    if axes.get_ylim()[1] > limit / 4:  # else what is measured would be a line at the bottom
        axes.axhline(limit, color=_COLOURS["red"], lw=0.9, ls="--")
    else:
        words = f"limit: {told(limit, panel['fieldConfig']['defaults']['unit'])}, far above"
        axes.text(0.99, 0.95, words, ha="right", color=_COLOURS["red"], transform=axes.transAxes)


def _finish(axes: Any, panel: Mapping[str, Any], shown: Sequence[Series]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    axes.set_ylim(bottom=0, top=defaults.get("max"))
    axes.yaxis.set_major_formatter(_teller(defaults["unit"]))
    axes.xaxis.set_major_formatter("{x:.0f} s")
    axes.grid(color="#dddddd", lw=0.5)
    _legend(axes, shown)


def _legend(axes: Any, shown: Sequence[Series]) -> None:
    """The largest ones by name; what is 0 all the while only where all is."""
    moving = sum(_largest(each.values) > 0 for each in shown)
    handles, legends = axes.get_legend_handles_labels()
    kept = legends[: min(_MOST_IN_LEGEND, moving or len(legends))]
    if not any(kept):
        return
    title = f"and {len(legends) - len(kept)} more" if len(legends) > len(kept) else None
    axes.legend(
        handles[: len(kept)],
        kept,
        loc="upper center",
        bbox_to_anchor=(0.45, -0.13),
        ncols=3 if max(map(len, kept)) < 22 else 2,
        fontsize=6,
        frameon=False,
        title=title,
        title_fontsize=5.5,
        handlelength=1,
        columnspacing=1,
        borderpad=0,
        labelspacing=0.25,
    )


def _heat(axes: Any, panel: Mapping[str, Any], found: Sequence[Series]) -> None:
    """Cumulative buckets become what fell into each, as Grafana does."""
    rows = sorted(found, key=lambda each: float(each.labels["le"]))
    times = sorted({time for each in rows for time in each.times})
    cumulative = [[0.0] * len(times), *(_at(each, times) for each in rows)]
    inside = [
        [max(0.0, upper - lower) for lower, upper in zip(below, above, strict=True)]
        for below, above in pairwise(cumulative)
    ]
    axes.pcolormesh(times, range(len(rows)), inside, cmap="Oranges", shading="nearest")
    unit = panel["options"]["yAxis"]["unit"]
    axes.set_yticks(
        range(len(rows)),
        [f"≤ {told(float(each.labels['le']), unit)}" for each in rows],
        fontsize=5.5,
    )
    axes.xaxis.set_major_formatter("{x:.0f} s")


def _bars(axes: Any, panel: Mapping[str, Any], found: Sequence[Series]) -> None:
    shown = sorted((each for each in found if each.last > 0), key=lambda each: each.last)
    axes.barh(
        [each.legend for each in shown], [each.last for each in shown], color=_COLOURS["blue"]
    )
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for number, each in enumerate(shown):
        axes.text(each.last, number, f" {told(each.last, unit)}", va="center", fontsize=7)
    axes.set_xticks([])
    axes.margins(x=0.15)


def _teller(unit: str) -> Callable[[float, int], str]:
    return lambda value, _place: told(value, unit)


def _largest(values: Sequence[float]) -> float:
    return max((each for each in values if not math.isnan(each)), default=0.0)


def told(value: float, unit: str) -> str:
    """A value with its unit, short."""
    if math.isnan(value):
        return "no data"
    if math.isinf(value):
        return "∞"
    match unit:
        case "percentunit":
            return f"{_short(value * 100)} %"
        case "s":
            return _seconds(value)
        case "reqps":
            return f"{_short(value)} req/s"
        case "cps":
            return f"{_short(value)} /s"
        case _:
            return _short(value)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{_short(value / 60)} min"
    return f"{_short(value)} s" if value >= 1 or value == 0 else f"{_short(value * 1000)} ms"


def _short(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
