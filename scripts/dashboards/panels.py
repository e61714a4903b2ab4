"""The kinds of panel that the dashboards have, each with a title, a description and a unit."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from scripts.dashboards.queries import selected

GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = Builder[model.Panel]
Steps = Sequence[tuple[float | None, str]]
Queries = Sequence[tuple[str, str]]  # PromQL and legend


def worse_above(warn: float, bad: float) -> Steps:
    """Green, and orange and red from these values on."""
    return [(None, GREEN), (warn, ORANGE), (bad, RED)]


def better_above(warn: float, good: float) -> Steps:
    """Red, orange from `warn` on, green from `good` on."""
    return [(None, RED), (warn, ORANGE), (good, GREEN)]


PLAIN: Steps = [(None, BLUE)]


def number(
    title: str,
    description: str,
    query: str,
    unit: str,
    steps: Steps = PLAIN,
    *,
    width: int = 3,
    legend: str = "",
    decimals: int | None = None,
    named: dict[str, tuple[str, str]] | None = None,
) -> Panel:
    """A number to be read from afar. `named` gives values words and colours."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(4)
        .span(width)
        .unit(unit)
        .no_value("no data")
        .thresholds(_thresholds(steps))
        .color_mode(kinds.BigValueColorMode.BACKGROUND_SOLID if steps is not PLAIN else _VALUE)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .text_mode(kinds.BigValueTextMode.VALUE_AND_NAME if legend else _VALUE_ONLY)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target("A", query, legend))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel.mappings([_mapping(named)]) if named else panel


_VALUE = kinds.BigValueColorMode.VALUE
_VALUE_ONLY = kinds.BigValueTextMode.VALUE


def lines(
    title: str,
    description: str,
    queries: Queries,
    unit: str,
    *,
    width: int = 8,
    limit: float | None = None,
    stacked: bool = False,
    most: float | None = None,
    colours: dict[str, str] | None = None,
) -> Panel:
    """Series over time. `limit` is drawn as a line: an objective, or what an alert waits for."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .unit(unit)
        .min(0)
        .fill_opacity(25 if stacked else 8)
        .line_width(1)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(_BIGGEST))
    )
    if most is not None:
        panel = panel.max(most)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if limit is not None:
        panel = panel.thresholds(_thresholds([(None, "transparent"), (limit, RED)]))
        line = common.GraphThresholdsStyleConfig().mode(kinds.GraphTresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(line)
    for name, colour in (colours or {}).items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        value = model.DynamicConfigValue(id_val="color", value=fixed)
        panel = panel.override_by_name(name, [value])
    last = len(queries) - 1  # each of them would ask for the same exemplars
    for number, (letter, (query, legend)) in enumerate(zip("ABCDEFGHIJ", queries, strict=False)):
        target = _target(letter, query, legend)
        if number == last and any(name in query for name in _WITH_EXEMPLARS):
            target = target.exemplar(True)
        panel = panel.with_target(target)
    return panel


_WITH_EXEMPLARS = ("inwit_overhead_seconds_bucket", "inwit_stage_duration_seconds_bucket")
_BIGGEST = kinds.SortOrder.DESCENDING


def heat(title: str, description: str, query: str, unit: str, *, width: int = 8) -> Panel:
    """A histogram over time: a row for each bucket, darker where more fell into it."""
    colour = (
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .exponent(0.5)
        .steps(64)
        .fill("dark-orange")
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .unit("reqps")
        .calculate(False)
        .color(colour)
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(kinds.AxisPlacement.LEFT))
        .show_legend()
        .with_target(_target("A", query, "{{le}}").format(PromQueryFormat.HEATMAP))
    )


def bars(
    title: str,
    description: str,
    query: str,
    unit: str,
    legend: str,
    *,
    width: int = 8,
    steps: Steps = PLAIN,
) -> Panel:
    """One bar for each series, over the whole time shown."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .unit(unit)
        .min(0)
        .decimals(0)
        .no_value("no data")
        .thresholds(_thresholds(steps))
        .orientation(kinds.VizOrientation.HORIZONTAL)
        .display_mode(kinds.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target("A", query, legend).instant())
    )


def _target(letter: str, query: str, legend: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).expr(selected(query)).legend_format(legend)
    return target.datasource(_reference())


def _reference() -> Any:
    return DATASOURCE


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _mapping(named: dict[str, tuple[str, str]]) -> model.ValueMap:
    options = {
        value: model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(named.items())
    }
    return model.ValueMap(options=options)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
