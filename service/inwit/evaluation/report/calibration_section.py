"""The page's section on calibration: whether a risk can be read as a probability."""

from collections.abc import Iterator, Sequence

from inwit.evaluation.report import plots
from inwit.evaluation.report.parts import (
    DISTRIBUTIONS,
    NOT_MEASURED,
    Cell,
    Heading,
    Part,
    Plot,
    Section,
    Table,
    Words,
    count_cell,
    figure_cell,
    head,
    seeds_cell,
    unique,
)
from inwit.evaluation.results import CalibrationError, Report

_WORDS = Words(
    "ECE: how far the risk is from the share that is unsafe, on average over bins of risk (of one "
    "width, and adaptive: of one size); by chance: what the same risks would show were they right, "
    "which is much where samples are few. In use: by the calibration that a gateway applies, where "
    "there is one; after: by one that is fitted here. Brier score: the mean square of risk less "
    "label; it is reliability less resolution plus uncertainty plus what lies within the bins "
    "(Murphy). "
    "Resolution is what the risks tell; uncertainty is the score of always stating the set's own "
    "share. The parts have no interval of their own. All but resolution are best at 0. In "
    "distribution is where calibration was fitted, on other prompts."
)


def calibration(report: Report) -> Section:
    """Each judge: diagrams, then a table."""
    parts: list[Part] = [_WORDS]
    for number, judge in enumerate(unique(each.judge for each in report.calibration)):
        rows = _ordered([each for each in report.calibration if each.judge == judge])
        drawn = [each for each in rows if each.stage != "in use"]
        stages = sorted({each.stage for each in drawn}, reverse=True)
        caption = (
            f"Reliability of {judge}, {' and '.join(stages)} calibration. On the dashed line risks "
            "are probabilities. Lines: 95 % intervals (Wilson)."
        )
        drawing = plots.reliability(judge, drawn, f"reliability-{number}")
        parts += [Heading(judge), Plot(drawing, caption), _table(judge, rows)]
        if "after" not in stages:
            parts.append(Words("It was not calibrated: there are no figures after calibration."))
    if len(parts) == 1:
        parts = [NOT_MEASURED]
    return Section("calibration", "Calibration", tuple(parts))


def _ordered(rows: Sequence[CalibrationError]) -> list[CalibrationError]:
    order = list(DISTRIBUTIONS)
    return sorted(rows, key=lambda row: order.index(row.distribution))


def _table(judge: str, rows: Sequence[CalibrationError]) -> Table:
    return Table(
        f"Calibration of {judge}",
        (
            "set",
            "stage",
            "judged",
            "ECE",
            "by chance",
            "ECE, adaptive",
            "ECE over splits",
            "Brier",
            "reliability",
            "resolution",
            "uncertainty",
            "within",
        ),
        tuple(
            tuple(_cells([row for row in rows if row.dataset == name]))
            for name in unique(row.dataset for row in rows)
        ),
    )


def _cells(rows: Sequence[CalibrationError]) -> Iterator[tuple[Cell, ...]]:
    for place, row in enumerate(rows):
        named = head(row.dataset, DISTRIBUTIONS[row.distribution], rows=len(rows))
        parts = (row.reliability, row.resolution, row.uncertainty, row.within)
        yield (
            *((named,) if place == 0 else ()),
            Cell(row.stage),
            count_cell(row.samples),
            figure_cell(row.ece),
            _by_chance(row),
            figure_cell(row.ece_adaptive),
            _over_splits(row),
            figure_cell(row.brier),
            *(Cell(f"{part:.3f}") for part in parts),
        )


def _by_chance(row: CalibrationError) -> Cell:
    if row.ece_by_chance is None:
        return Cell("not measured", kind="none")
    return Cell(f"{row.ece_by_chance:.2f}")


def _over_splits(row: CalibrationError) -> Cell:
    """Only what is fitted here has splits to vary."""
    if row.stage != "after" and row.ece_over_seeds is None:
        return Cell("only after", kind="none")
    return seeds_cell(row.ece_over_seeds)
