"""Renders a report as one page that needs nothing else: no script, and no request to anywhere."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inwit.evaluation.report import (
    account_sections,
    attack_section,
    calibration_section,
    conduct_sections,
    detection_sections,
    parts,
)
from inwit.evaluation.report.verdict import verdict
from inwit.evaluation.results import Grade, Question, Report
from inwit.evaluation.rubric.pieces import Mark

_TEMPLATES = Path(__file__).parent / "templates"

# In the order in which a sceptic asks.
_SECTIONS = (
    account_sections.measured,
    detection_sections.detection,
    detection_sections.slices,
    detection_sections.over_triggering,
    calibration_section.calibration,
    attack_section.attacks,
    conduct_sections.framings,
    conduct_sections.correction,
    conduct_sections.watched,
    account_sections.seeds,
    account_sections.raters,
    account_sections.reproduce,
    account_sections.limits,
)
_KINDS: dict[Grade, str] = {
    "strong": "strong",
    "mixed": "mixed",
    "weak": "weak",
    "not measured": "unmeasured",
}


def render(report: Report) -> str:
    """The page. Whatever the report says is text in it, never markup."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_scorecard(report), *(section(report) for section in _SECTIONS)]
    return environment.get_template("page.html").render(
        run=report.run,
        verdict=verdict(report),
        sections=sections,
        kinds=_KINDS,
    )


def _scorecard(report: Report) -> parts.Section:
    title = "Scorecard"
    if not report.scorecard:
        return parts.Section("scorecard", title, (parts.Words("This report was not graded."),))
    overview = parts.Table(
        "The five questions",
        ("question", "grade", "pieces of evidence"),
        parts.single(
            (
                parts.head(each.question),
                parts.Cell(each.grade, kind=_KINDS[each.grade]),
                parts.Cell(_tally(each)),
            )
            for each in report.scorecard
        ),
    )
    return parts.Section(
        "scorecard",
        title,
        (overview, *(part for each in report.scorecard for part in _question(each))),
    )


def _tally(question: Question) -> str:
    marks = [each.value.partition(":")[0] for each in question.evidence]
    return ", ".join(f"{marks.count(mark)} {mark}" for mark in Mark if mark in marks)


def _question(question: Question) -> tuple[parts.Part, ...]:
    evidence = parts.Table(
        f"What answers it: {question.name}",
        ("about", "found"),
        parts.single(
            (parts.head(each.label), parts.Cell(each.value, kind="long"))
            for each in question.evidence
        ),
    )
    return (
        parts.Heading(question.question, grade=question.grade),
        evidence,
        parts.Words(f"The rule: {question.rule}"),
        parts.Words(f"What would change the grade: {question.would_change}"),
    )
