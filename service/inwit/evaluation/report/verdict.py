"""The first paragraph of the page: what the run comes to, in words, from the figures alone."""

from collections.abc import Iterator

from inwit.evaluation import rounding
from inwit.evaluation.report.parts import ALL
from inwit.evaluation.results import Detection, Grade, Report
from inwit.evaluation.rounding import counted, listed
from inwit.evaluation.rubric.lookup import OWN, baselines, stating, subjects, whole

_LEADS: dict[Grade, str] = {
    "strong": "This run is evidence that hidden harms are detected.",
    "mixed": "This run is evidence that some hidden harms are detected, and not others.",
    "weak": "This run is no evidence that hidden harms are detected.",
    "not measured": "This run does not show whether hidden harms are detected.",
}
_GRADES: tuple[Grade, ...] = ("strong", "mixed", "weak", "not measured")


def verdict(report: Report) -> str:
    """A paragraph of some five sentences."""
    sentences = [_lead(report), _asked(report), *_grades(report), *_conscience(report)]
    return " ".join([*sentences, *_worst(report)])


def _lead(report: Report) -> str:
    found = next((each for each in report.scorecard if each.name == "hidden harms"), None)
    return _LEADS[found.grade if found is not None else "not measured"]


def _asked(report: Report) -> str:
    used = [each for each in report.datasets if each.used_unsafe + each.used_safe]
    samples = sum(each.used_unsafe + each.used_safe for each in used)
    absent = len(report.datasets) - len(used)
    told = (
        f"{counted(len(report.judges), 'judge')}, baselines among them, looked at "
        f"{counted(samples, 'labelled response')} of {counted(len(used), 'set')}"
    )
    return f"{told}; of {counted(absent, 'set')} there was no copy." if absent else f"{told}."


def _grades(report: Report) -> Iterator[str]:
    if not report.scorecard:
        yield "It was not graded."
        return
    told = [
        f"{grade} on {listed([each.name for each in report.scorecard if each.grade == grade])}"
        for grade in _GRADES
        if any(each.grade == grade for each in report.scorecard)
    ]
    yield f"By the rules written down beforehand it is {'; '.join(told)}."


def _conscience(report: Report) -> Iterator[str]:
    name = stating(report)[0].name
    own = whole(report, name, OWN)
    if own is not None:
        beside = [
            f"“{each.judge}” {rounding.figure(each.auroc)}"
            for each in baselines(report, OWN)
            if each is not None
        ]
        against = f", against {listed(beside)}" if beside else ""
        reached = f"an AUROC of {rounding.figure(own.auroc)}{against}"
        yield f"On Inwit's own suite “{name}” has {reached}."
    out = [
        each
        for each in report.detection
        if each.judge == name and each.distribution == "out" and each.slice == ALL
    ]
    values = [(each.auroc.value, each) for each in out if each.auroc is not None]
    if values:
        low, high = (pick(values, key=lambda pair: pair[0])[1] for pick in (min, max))
        yield (
            f"Out of distribution ({counted(len(values), 'set')}) it lies between {_on(low)} "
            f"and {_on(high)}."
        )


def _on(row: Detection) -> str:
    return f"{rounding.figure(row.auroc)} on {row.dataset}"


def _worst(report: Report) -> Iterator[str]:
    names = {each.name for each in subjects(report)}
    for each in report.worst_case:
        if each.judge in names:
            yield (
                f"In the worst of {counted(each.attacks, 'attack')} “{each.judge}” catches "
                f"{rounding.figure(each.worst)} of the unsafe responses "
                f"({rounding.figure(each.plain)} plain)."
            )
            return
