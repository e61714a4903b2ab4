"""training_card.md: what an adapter was taught, what it is worth by the evaluation, and its limits.

Figures are copied from reports, never computed here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inwit.evaluation.results import Detection, Figure, Report
from inwit.training.card_cells import (
    MOST_RISE,
    NONE,
    REWRITES,
    figure,
    rewrites,
    rose,
    share,
    shift,
    table,
)
from inwit.training.facts import Facts

FILE = "training_card.md"
BENIGN = "benign look-alikes"
_ALL_ALIKE = {"own": BENIGN}  # evaluation/suites/own/GUIDE.md: safe answers that look harmful

_ABOUT = """\
A conscience adapter: LoRA on the model that it reviews. It answers one question with Yes or No, and
never writes: whatever generates uses the base weights alone.
"""
_DATA = """\
Training parts only. A tenth of the prompts is held back to stop by; test parts were never read, and
no row is in the adapter's files. Half of a set's samples are unsafe where it has as many; at most
half of the safe answers are refusals.
"""
_DETECTION = """\
95 % bootstrap intervals over prompts; over seeds: mean of the draws. The baselines know
the set that they are measured on.
"""
_BENIGN = f"""\
Share of safe answers at or above the policy's lower threshold, or decided so: of {BENIGN} by every
judge, of all safe answers by the conscience in use and by the pipeline. Of Inwit's own set all are
look-alikes. A rise of more than {MOST_RISE * 100:.0f} points is told as such; of fewer than
{1 / MOST_RISE:.0f} answers a smaller one cannot be seen.
"""
_WATCHED = """\
The same tasks with and without words that announce an examination, or privacy: the shift.
"""
_LIMITS = """\
- Each set has its own notion of unsafe, and the adapter has learnt a mixture of four and of Inwit's
  own. A policy whose question means something else needs its own measurement.
- English. What it says of other languages is whatever the base model carries over.
- A high AUROC on a training set's test part says little about harms that no set holds.
- Long prompts and answers were cut while learning; the review when serving is whole.
- A review by an adapter does not find the conversation in the model server's prefix cache: its own
  pass over the whole text is what it costs (docs/conscience.md has the measurement).
- It is one control among several. Nothing here makes it proof."""


@dataclass(frozen=True, slots=True)
class Reports:
    """The evaluation without and with the adapter; either may be missing."""

    before: Report | None
    after: Report | None

    @property
    def both(self) -> tuple[Report | None, Report | None]:
        """Before and after."""
        return self.before, self.after


def write_card(folder: Path, facts: Facts, reports: Reports) -> Path:
    """Write the card beside the adapter, and give its file."""
    file = folder / FILE
    file.write_text("\n".join(_card(facts, reports)) + "\n", "utf-8")
    return file


def _card(facts: Facts, reports: Reports) -> Iterator[str]:
    yield f"# Training card: {facts.adapter}"
    yield ""
    yield from _about(facts)
    yield from _data(facts)
    yield from _validation(facts)
    if reports.after is not None:
        yield from _detection(reports)
        yield from _benign(reports)
        yield from _attacks(facts, reports)
        yield from _watched(reports)
        yield from _corrections(reports)
    yield from _limits()


def _about(facts: Facts) -> Iterator[str]:
    plan = facts.plan
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    yield _ABOUT
    yield f"- Base: {facts.base}, weights `{facts.base_digest[:16]}`."
    yield (
        f"- Adapter: rank {plan['rank']:.0f} on all projections from layer {plan['frozen']:.0f}; "
        "loss: minus the log-probability of the right answer word, labels smoothed by .05."
    )
    yield (
        f"- {facts.passes} passes over {facts.share:.0%} of what each set gives, "
        f"{plan['batch']:.0f} samples a step, learning rate "
        f"{plan['learning_rate']:g}, stopped by the validation samples."
    )
    questions = ", ".join(facts.questions)
    yield f"- Questions (digests): {questions}; measured with policy `{facts.policy}`."
    yield f"- Made {facts.made} by {facts.tool} on {facts.machine}: {versions}."
    yield ""


def _data(facts: Facts) -> Iterator[str]:
    yield "## Data"
    yield ""
    yield _DATA
    yield from table(
        ("set", "origin", "licence", "copy", "unsafe", "safe", "held back", "weight"),
        (
            (
                each.name,
                each.origin,
                each.licence,
                f"`{each.digest[:16]}`",
                str(each.unsafe),
                str(each.safe),
                str(each.validation),
                f"{each.weight:g}",
            )
            for each in facts.datasets
        ),
    )
    if facts.missing:
        yield f"Not there, and so not learnt: {', '.join(facts.missing)}."
    yield f"Disguises learnt, each label kept: {', '.join(facts.disguises)}."
    yield ""


def _validation(facts: Facts) -> Iterator[str]:
    yield "## Validation samples, by seed"
    yield ""
    names = [name for name in facts.seeds[0].auroc if name != "auroc"]
    yield from table(
        ("seed", *names, "mean AUROC", "steps", "minutes"),
        (
            (
                f"{each.seed}{' (kept)' if each.seed == facts.chosen else ''}",
                *(share(each.auroc.get(name)) for name in names),
                share(each.auroc["auroc"]),
                str(each.steps),
                f"{each.seconds / 60:.0f}",
            )
            for each in facts.seeds
        ),
    )


def _detection(reports: Reports) -> Iterator[str]:
    yield "## AUROC before and after, on test parts and foreign sets"
    yield ""
    yield _DETECTION
    after = reports.after
    sets = [] if after is None else [each for each in after.datasets if each.digest]
    yield from table(
        ("set", "before", "after", "after, over seeds", "embedded classifier", "bag of words"),
        (
            (
                f"{each.name} ({each.distribution})",
                _auroc(reports.before, each.name, _conscience(reports.before)),
                _auroc(after, each.name, _conscience(after)),
                _over_seeds(after, each.name),
                _auroc(after, each.name, "classifier, embedded"),
                _auroc(after, each.name, "baseline, bag of words"),
            )
            for each in sets
        ),
    )
    yield "ECE of the conscience after calibration (Platt, fitted on what is held back), and where"
    yield "it is known what chance alone would show of risks that are right:"
    yield ""
    yield from table(
        ("set", "before", "after"),
        (
            (each.name, *(_ece(report, each.name) for report in reports.both))
            for each in sets
            if each.distribution == "in"
        ),
    )


def _benign(reports: Reports) -> Iterator[str]:
    yield "## Benign answers withheld"
    yield ""
    yield _BENIGN
    rows: list[tuple[str, ...]] = []
    for each, rates in _false_positives(reports):
        alike = BENIGN in (each.slice, _ALL_ALIKE.get(each.dataset))
        kind = "look-alikes" if alike else "all safe"
        told = (*map(figure, rates), rose(*rates, each.safe))
        rows.append((each.judge, each.dataset, kind, str(each.safe), *told))
    yield from table(("judge", "set", "answers", "number", "before", "after", "rose"), rows)


def _attacks(facts: Facts, reports: Reports) -> Iterator[str]:
    yield "## Under attack"
    yield ""
    report = reports.after
    found = [] if report is None else report.attacks
    rows = [
        (each.attack, "learnt" if each.attack in facts.disguises else "new", figure(each.recall))
        for each in found
        if each.judge == _conscience(report)
    ]
    yield from table(("attack", "in training", "recall of the conscience"), rows)
    yield from table(
        ("judge", "worst case before", "worst case after"),
        (
            (
                each.judge,
                figure(_worst(reports.before, each.judge)),
                figure(each.worst),
            )
            for each in ([] if report is None else report.worst_case)
        ),
    )


def _watched(reports: Reports) -> Iterator[str]:
    yield "## Watched or not"
    yield ""
    yield _WATCHED
    rows: list[tuple[str, ...]] = []
    for when, report in zip(("before", "after"), reports.both, strict=True):
        judge = _conscience(report)
        rows += [
            (each.cue, when, shift(each.recall), shift(each.mean_risk))
            for each in ([] if report is None else report.watched)
            if each.judge == judge
        ]
    yield from table(("cue", "adapter", "recall", "mean risk"), sorted(rows))


def _corrections(reports: Reports) -> Iterator[str]:
    yield "## Rewrites"
    yield ""
    rows: list[tuple[str, ...]] = []
    for when, report in zip(("before", "after"), reports.both, strict=True):
        found = [] if report is None else report.correction
        rows += [(each.label, when, *rewrites(each)) for each in found]
    yield from table(("candidates", "adapter", *REWRITES), sorted(rows))


def _limits() -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield _LIMITS


def _conscience(report: Report | None) -> str | None:
    judges = [] if report is None else report.judges
    return next((each.name for each in judges if each.kind == "conscience" and each.in_use), None)


def _auroc(report: Report | None, dataset: str, judge: str | None) -> str:
    for each in [] if report is None else report.detection:
        if (each.judge, each.dataset, each.slice) == (judge, dataset, "all"):
            return figure(each.auroc)
    return NONE


def _over_seeds(report: Report | None, dataset: str) -> str:
    judge = _conscience(report)
    for each in [] if report is None else report.detection:
        if (each.judge, each.dataset, each.slice) == (judge, dataset, "all") and each.over_seeds:
            return f"{share(each.over_seeds.mean)} ({each.over_seeds.seeds})"
    return NONE


def _ece(report: Report | None, dataset: str) -> str:
    judge = _conscience(report)
    for each in [] if report is None else report.calibration:
        if (each.judge, each.dataset, each.stage) == (judge, dataset, "after"):
            chance = "" if each.ece_by_chance is None else f"; {each.ece_by_chance:.2f} by chance"
            return f"{figure(each.ece)}{chance}"
    return NONE


def _false_positives(
    reports: Reports,
) -> Iterator[tuple[Detection, tuple[Figure | None, Figure | None]]]:
    report = reports.after
    whole = _conscience(report)
    for each in [] if report is None else report.detection:
        counts = each.judge == whole or each.judge.startswith("pipeline")
        benign = each.slice == BENIGN and not each.judge.startswith("baseline")
        if each.safe and (benign or (each.slice == "all" and counts)):
            yield each, (_false_positive(reports.before, each), _false_positive(report, each))


def _false_positive(report: Report | None, like: Detection) -> Figure | None:
    """Of the same judge on the same answers; the conscience by itself has one name in both."""
    for each in [] if report is None else report.detection:
        if (each.judge, each.dataset, each.slice) == (like.judge, like.dataset, like.slice):
            at = each.at.get("lower") or each.at.get("decision")
            return at.false_positive_rate if at else None
    return None


def _worst(report: Report | None, judge: str) -> Figure | None:
    found = [] if report is None else report.worst_case
    return next((each.worst for each in found if each.judge == judge), None)
