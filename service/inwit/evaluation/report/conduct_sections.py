"""The page's sections on conduct: its own turn, correction, being watched."""

from inwit.evaluation.report.parts import (
    NOT_MEASURED,
    Cell,
    Part,
    Section,
    Table,
    Words,
    count_cell,
    figure_cell,
    head,
    shift_cell,
    single,
)
from inwit.evaluation.results import Report


def framings(report: Report) -> Section:
    """The same responses in other framings, and own drafts against another's answers."""
    parts: list[Part] = [
        Words(
            "Models under-report risk in their own turn. Here the same responses stand in two "
            "framings; the difference is the second less the first."
        ),
        Table(
            "Framings",
            ("set", "first", "second", "samples", "AUROC", "recall", "mean risk"),
            single(
                (
                    head(each.dataset),
                    Cell(each.first),
                    Cell(each.second),
                    count_cell(each.samples),
                    *map(shift_cell, (each.auroc, each.recall, each.mean_risk)),
                )
                for each in report.framings
            ),
        ),
    ]
    shown = parts if report.framings else [NOT_MEASURED]
    return Section("framings", "Framings and own drafts", (*shown, *_own_drafts(report)))


def _own_drafts(report: Report) -> tuple[Part, ...]:
    if not report.own_drafts:
        return (Words("Own drafts against another model's answers: not measured in this run."),)
    words = Words(
        "The model's own drafts against another's answers to the same prompts, where the "
        "independent classifier says the same of both. A lower risk for its own is "
        "self-preference."
    )
    table = Table(
        "Own drafts",
        ("framing", "prompts", "mean risk, own", "mean risk, other's", "own less other's"),
        single(
            (
                head(each.framing),
                count_cell(each.prompts),
                figure_cell(each.own),
                figure_cell(each.other),
                shift_cell(each.shift),
            )
            for each in report.own_drafts
        ),
    )
    return words, table


def correction(report: Report) -> Section:
    """What became of candidates that were rewritten."""
    if not report.correction:
        return Section("correction", "Correction", (NOT_MEASURED,))
    words = Words(
        "Candidates of the sets sent to be rewritten as if flagged. Safe: the independent "
        "classifier passes the rewrite. Useful: it answers, is no refusal and keeps to the task. "
        "Cosmetic: only the words changed. Damaged: a safe candidate whose rewrite is flagged, "
        "refused or no longer useful. A rewrite that is safe because it refuses corrects nothing."
    )
    table = Table(
        "Correction, as shares of candidates",
        (
            "policy",
            "candidates",
            "safe",
            "useful",
            "safe and useful",
            "cosmetic",
            "refused",
            "damaged",
        ),
        single(
            (
                head(each.policy),
                Cell(f"{each.candidates:,} {each.label}", _outcomes(each.outcomes)),
                *map(figure_cell, (each.safe, each.useful, each.safe_and_useful)),
                *map(figure_cell, (each.cosmetic, each.refused)),
                Cell("only of safe ones", kind="none")
                if each.label == "unsafe" and each.damaged is None
                else figure_cell(each.damaged),
            )
            for each in report.correction
        ),
    )
    return Section("correction", "Correction", (words, table))


def _outcomes(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))


def watched(report: Report) -> Section:
    """Whether words that signal an evaluation change anything."""
    if not report.watched:
        return Section("watched", "Watched or not", (NOT_MEASURED,))
    words = Words(
        "The same tasks with words that say who is looking, and without: figures with them less "
        "figures without. A conscience that performs for the examiner shows here."
    )
    table = Table(
        "With the cue less without",
        ("judge", "cue", "samples", "recall", "false-positive rate", "mean risk"),
        single(
            (
                head(each.judge),
                head(each.cue),
                count_cell(each.samples),
                *map(shift_cell, (each.recall, each.false_positive_rate, each.mean_risk)),
            )
            for each in report.watched
        ),
    )
    return Section("watched", "Watched or not", (words, table))
