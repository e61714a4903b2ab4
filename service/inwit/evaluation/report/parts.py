"""What the page is made of: sections of words, tables and plots. The template knows no figure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

from inwit.evaluation import rounding
from inwit.evaluation.results import Detection, Figure, JudgeUsed, Report, SeedsFigure, Shift

DISTRIBUTIONS = {"in": "in distribution", "own": "own suite", "out": "out of distribution"}
ALL = "all"  # the slice that is the whole of a set


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table's cell says; `fine` stands smaller under it. A `head` names its row."""

    text: str
    fine: str = ""
    head: bool = False
    rows: int = 1
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A name over several columns."""

    name: str
    columns: int


@dataclass(frozen=True, slots=True)
class Table:
    """Bodies of rows; a body is not cut by the end of a printed page."""

    shape: ClassVar = "table"
    caption: str
    columns: tuple[str, ...]
    bodies: tuple[tuple[tuple[Cell, ...], ...], ...]
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    shape: ClassVar = "words"
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be typed."""

    shape: ClassVar = "code"
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: what it shows for those who see it is its caption."""

    shape: ClassVar = "plot"
    drawing: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A section within a section; with the grade where it has one."""

    shape: ClassVar = "heading"
    text: str
    grade: str = ""


Part = Words | Table | Plot | Heading | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that can be linked to."""

    id: str
    title: str
    parts: tuple[Part, ...]


NOT_MEASURED = Words("Not measured in this run.")


def head(text: str, fine: str = "", rows: int = 1) -> Cell:
    """The name of a row, or of several."""
    return Cell(text, fine, head=True, rows=rows)


def figure_cell(found: Figure | None) -> Cell:
    """Value and interval."""
    return Cell(rounding.value(found), rounding.interval(found), kind="" if found else "none")


def shift_cell(found: Shift | None) -> Cell:
    """Difference, interval, and whether it is beyond noise."""
    if found is None:
        return Cell(rounding.UNDEFINED, kind="none")
    told, _, ends = rounding.shift(found).partition(" ")
    noise = "beyond noise" if found.beyond_noise else "within noise"
    return Cell(told, f"{ends}, {rounding.probability(found.p)}, {noise}")


def seeds_cell(found: SeedsFigure | None) -> Cell:
    """Mean, interval and number of seeds."""
    if found is None:
        return Cell(rounding.UNDEFINED, kind="none")
    told = rounding.over_seeds(found)
    split = " " if found.low is not None and found.high is not None else ", "
    mean, _, rest = told.partition(split)
    return Cell(mean, rest)


def count_cell(count: int) -> Cell:
    """A number of things."""
    return Cell(f"{count:,}")


def single(rows: Iterable[tuple[Cell, ...]]) -> tuple[tuple[tuple[Cell, ...], ...], ...]:
    """Each row a body of its own."""
    return tuple((row,) for row in rows)


def unique(names: Iterable[str]) -> list[str]:
    """Each once, in the order of first coming."""
    return list(dict.fromkeys(names))


def in_order(rows: Sequence[Detection]) -> list[str]:
    """The sets of these rows: in distribution, the own suite, out of distribution."""
    return [
        each
        for distribution in DISTRIBUTIONS
        for each in unique(row.dataset for row in rows if row.distribution == distribution)
    ]


def judges_of(report: Report, names: Iterable[str]) -> Iterator[JudgeUsed]:
    """Those of the run's judges, the baselines last; one that the run does not list is left out."""
    wanted = set(names)
    found = [each for each in report.judges if each.name in wanted]
    yield from sorted(found, key=lambda judge: judge.kind == "baseline")
