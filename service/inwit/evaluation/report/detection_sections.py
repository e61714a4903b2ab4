"""The page's sections on detection: every set on its own, slices, and harmless look-alikes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from inwit.evaluation.report import plots
from inwit.evaluation.report.parts import (
    ALL,
    DISTRIBUTIONS,
    NOT_MEASURED,
    Cell,
    Group,
    Heading,
    Part,
    Plot,
    Section,
    Table,
    Words,
    count_cell,
    figure_cell,
    head,
    in_order,
    judges_of,
    single,
    unique,
)
from inwit.evaluation.results import Detection, Figure, Flagged, JudgeUsed, Report
from inwit.evaluation.rounding import counted
from inwit.evaluation.rubric.lookup import LOOK_ALIKES, first_flagging, whole
from inwit.evaluation.rubric.usefulness import LOOK_ALIKE_SETS

_FIGURES = ("AUROC", "recall", "false-positive rate")
_NOT_ASKED = Cell("not asked", kind="none")
_HOW_TO_READ = Words(
    "AUROC: the chance that an unsafe response has a higher risk than a safe one; 0.5 is no better "
    "than chance. Each figure has its 95 % interval under it, by a bootstrap that draws whole "
    "prompts. The baselines see nothing but the length of a response, or its words; both are "
    "fitted on other prompts of the same set, which flatters them. What is unsafe differs from set "
    "to set, so there is no figure over all sets."
)
_THRESHOLDS = Words(
    "Flagged means a risk of at least the threshold, or the decision not to release. The "
    "false-negative rate is 1 less the recall. Recall at a false-positive rate of 0.05 or less has "
    "its threshold chosen on the same samples, which flatters it; the policy's thresholds do not."
)


def detection(report: Report) -> Section:
    """All sets and judges at a glance, then each set in full."""
    rows = [each for each in report.detection if each.slice == ALL]
    if not rows:
        return Section("detection", "Detection", (NOT_MEASURED,))
    sets, judges = in_order(rows), list(judges_of(report, (row.judge for row in rows)))
    tables = [_side_by_side(figure, rows, sets, judges) for figure in _FIGURES]
    parts: list[Part] = [_HOW_TO_READ, tables[0]]
    caption = "AUROC by set and judge, with 95 % intervals. Dashed: chance. Squares: the baselines."
    parts += [Plot(plots.forest(rows, sets, judges), caption), _THRESHOLDS, *tables[1:]]
    for name in sets:
        some = [row for row in rows if row.dataset == name]
        parts += [Heading(f"{name} ({DISTRIBUTIONS[some[0].distribution]})")]
        parts += [_in_full(name, judges, some)]
    return Section("detection", "Detection", tuple(parts))


def slices(report: Report) -> Section:
    """Categories and languages of each set."""
    parts: list[Part] = []
    rows = [each for each in report.detection if each.slice not in (ALL, LOOK_ALIKES)]
    for name in in_order(rows):
        some = [row for row in rows if row.dataset == name]
        parts += [Heading(name), *_slices(name, some, list(judges_of(report, _names(some))))]
    parts = parts or [NOT_MEASURED]
    return Section("slices", "Categories and languages", tuple(parts))


def over_triggering(report: Report) -> Section:
    """False-positive rates on what only looks harmful."""
    rows = [
        (dataset, part, judge, found)
        for dataset, part in LOOK_ALIKE_SETS
        for judge in report.judges
        if (found := whole(report, judge.name, dataset, part)) is not None
    ]
    if not rows:
        return Section("over-triggering", "Over-triggering", (NOT_MEASURED,))
    table = Table(
        "Benign look-alikes that are flagged",
        ("set", "judge", "threshold", "safe", "flagged", "false-positive rate", "not judged"),
        single(
            (head(dataset), head(judge.name), Cell(name), *_wrong(found, flagging))
            for dataset, _, judge, found in rows
            for name, flagging in found.at.items()
        ),
    )
    words = Words(
        "Safe responses that only look harmful: the safe half of Inwit's own suite, where each one "
        "is the twin of a harmful one, and the safe responses to xstest's safe prompts."
    )
    return Section("over-triggering", "Over-triggering", (words, table))


def _names(rows: Sequence[Detection]) -> list[str]:
    return unique(row.judge for row in rows)


def _side_by_side(
    figure: str, rows: Sequence[Detection], sets: Sequence[str], judges: Sequence[JudgeUsed]
) -> Table:
    kinds = {row.dataset: row.distribution for row in rows}
    found = {(row.dataset, row.judge): row for row in rows}
    groups = [
        Group(words, count)
        for distribution, words in DISTRIBUTIONS.items()
        if (count := sum(kinds[name] == distribution for name in sets))
    ]

    def cells(judge: JudgeUsed) -> Iterator[Cell]:
        yield head(judge.name)
        for name in sets:
            row = found.get((name, judge.name))
            yield _NOT_ASKED if row is None else figure_cell(_figure(row, figure))

    at = "" if figure == "AUROC" else " at the lowest of the policy's thresholds, or by decision"
    return Table(
        f"{figure[0].upper()}{figure[1:]} of every judge on every set{at}, in and out of "
        "distribution side by side",
        ("judge", *sets),
        single(tuple(cells(judge)) for judge in judges),
        groups=(Group("", 1), *groups),
    )


def _in_full(name: str, judges: Sequence[JudgeUsed], rows: Sequence[Detection]) -> Table:
    found = {row.judge: row for row in rows}
    ranking = ("judge", "samples", "not judged", "AUROC", "AUPRC", "recall at FPR ≤ 0.05")
    return Table(
        f"{name}, by judge and threshold",
        (*ranking, "threshold", "recall", "FPR", "precision", "F1"),
        tuple(_body(found[judge.name]) for judge in judges if judge.name in found),
    )


def _body(row: Detection) -> tuple[tuple[Cell, ...], ...]:
    rows = max(1, len(row.at))
    at_fpr = row.recall_at_fpr.get("0.05")
    samples = Cell(f"{row.unsafe:,} unsafe", f"{row.safe:,} safe, {counted(row.prompts, 'prompt')}")
    cells = (samples, count_cell(row.not_judged), *map(figure_cell, (row.auroc, row.auprc, at_fpr)))
    first = [head(row.judge, rows=rows), *(replace(cell, rows=rows) for cell in cells)]
    lines = [_at(name, each) for name, each in row.at.items()] or [
        (Cell("none"),) + 4 * (Cell(""),)
    ]
    return ((*first, *lines[0]), *lines[1:])


def _at(name: str, each: Flagged) -> tuple[Cell, ...]:
    threshold = Cell(name, "" if each.threshold is None else f"{each.threshold:.3g}")
    figures = (each.recall, each.false_positive_rate, each.precision, each.f1)
    return threshold, *map(figure_cell, figures)


def _wrong(found: Detection, flagging: Flagged) -> tuple[Cell, ...]:
    return (
        count_cell(flagging.fp + flagging.tn),
        count_cell(flagging.fp),
        figure_cell(flagging.false_positive_rate),
        count_cell(found.not_judged),
    )


def _slices(
    name: str, rows: Sequence[Detection], judges: Sequence[JudgeUsed]
) -> Iterator[Table | Words]:
    """One table for each figure that some judge has on some slice."""
    for figure in _FIGURES:
        found = {(row.slice, row.judge): _figure(row, figure) for row in rows}
        if not any(found.values()):
            yield Words(f"{figure}: not defined on any slice of {name}.")
            continue
        yield _slice_table(f"{name}: {figure} by slice", rows, judges, found)


def _figure(row: Detection, figure: str) -> Figure | None:
    if figure == "AUROC":
        return row.auroc
    flagging = first_flagging(row)
    if flagging is None:
        return None
    return flagging.recall if figure == "recall" else flagging.false_positive_rate


def _slice_table(
    caption: str,
    rows: Sequence[Detection],
    judges: Sequence[JudgeUsed],
    found: dict[tuple[str, str], Figure | None],
) -> Table:
    sizes = {row.slice: f"{row.unsafe} unsafe, {row.safe} safe" for row in reversed(rows)}

    def cells(part: str) -> Iterator[Cell]:
        yield head(part, sizes[part])
        for judge in judges:
            asked = (part, judge.name) in found
            cell = figure_cell(found.get((part, judge.name)))
            yield cell if asked else _NOT_ASKED

    return Table(
        caption,
        ("slice", *(judge.name for judge in judges)),
        single(tuple(cells(part)) for part in unique(row.slice for row in rows)),
    )
