"""Where the rubric finds its figures in a report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inwit.evaluation.datasets.recipes import RECIPES, Distribution
from inwit.evaluation.results import Detection, Flagged, JudgeKind, Report
from inwit.evaluation.statistics.detection import DECISION

ALL = "all"  # the slice that is the whole of a set
LOOK_ALIKES = "benign look-alikes"  # the slice of safe answers to prompts that only look harmful
OWN = "own"
LOWER = "lower"  # the lowest of the policy's thresholds

IN_SETS = tuple(each.name for each in RECIPES if each.distribution is Distribution.IN)
OUT_SETS = tuple(each.name for each in RECIPES if each.distribution is Distribution.OUT)
LABELLED_SETS = (OWN, *IN_SETS, *OUT_SETS)

_DECIDES: tuple[JudgeKind, ...] = ("pipeline", "gateway")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is graded: a judge by name, or one that the run should have had and has not."""

    name: str
    decides: bool


def consciences(report: Report) -> list[Subject]:
    """The conscience in use; all that were asked, where none is marked as that.

    None where only a running gateway was asked: its conscience cannot be seen from outside.
    """
    every = [each for each in report.judges if each.kind == "conscience"]
    chosen = [each for each in every if each.in_use] or every
    if not chosen and any(each.kind == "gateway" for each in report.judges):
        return []
    return [Subject(each.name, False) for each in chosen] or [Subject("conscience", False)]


def deciders(report: Report) -> list[Subject]:
    """Whole pipelines, asked in the process or by URL."""
    found = [Subject(each.name, True) for each in report.judges if each.kind in _DECIDES]
    return found or [Subject("pipeline", True)]


def subjects(report: Report) -> list[Subject]:
    """Both."""
    return consciences(report) + deciders(report)


def whole(report: Report, judge: str, dataset: str, part: str = ALL) -> Detection | None:
    """What a judge found on a set, or on a slice of it."""
    return next(
        (
            each
            for each in report.detection
            if (each.judge, each.dataset, each.slice) == (judge, dataset, part)
        ),
        None,
    )


def first_flagging(found: Detection | None) -> Flagged | None:
    """What the judge flags at the lowest of the policy's thresholds, or by its decision."""
    if found is None:
        return None
    return found.at.get(DECISION) or found.at.get(LOWER)


def baselines(report: Report, dataset: str) -> list[Detection | None]:
    """What every baseline of the run found on a set."""
    names = [each.name for each in report.judges if each.kind == "baseline"]
    return [whole(report, name, dataset) for name in names]


def stating(report: Report) -> list[Subject]:
    """Who states risks: the conscience, or the gateway where only that was asked."""
    return consciences(report) or deciders(report)


def pairs(graded: Sequence[Subject], sets: Sequence[str]) -> Iterator[tuple[Subject, str]]:
    """Every one of them on every set."""
    return ((subject, name) for subject in graded for name in sets)
