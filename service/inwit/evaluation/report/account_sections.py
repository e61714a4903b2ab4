"""The page's sections on the run itself: what was measured on what, and how to see it again."""

from collections.abc import Iterator

from inwit.evaluation.report.parts import (
    ALL,
    DISTRIBUTIONS,
    NOT_MEASURED,
    Cell,
    Code,
    Part,
    Section,
    Table,
    Words,
    count_cell,
    figure_cell,
    head,
    in_order,
    judges_of,
    seeds_cell,
    single,
)
from inwit.evaluation.report.parts import Heading as Title
from inwit.evaluation.results import JudgeUsed, Report, SetUsed
from inwit.evaluation.rounding import counted, listed


def measured(report: Report) -> Section:
    """Sets, missing sets, judges, and what was not judged."""
    absent = [each.name for each in report.datasets if not _used(each)]
    told = (
        f"No copy was here of {listed(absent, most=30)}; nothing in this report is about "
        f"{'it' if len(absent) == 1 else 'them'}."
        if absent
        else "Every set that the suite names was here."
    )
    parts: tuple[Part, ...] = (
        Words(told),
        _sets(report),
        _judges(report),
        Words(
            "Where a judge gave no verdict (it failed, timed out, or did not answer the question) "
            "the sample is left out of its figures and counted here."
        ),
        _not_judged(report),
    )
    return Section("measured", "What was measured on what", parts)


def seeds(report: Report) -> Section:
    """Figures over seeds, by judge and set."""
    rows = [each for each in report.detection if each.slice == ALL and each.over_seeds is not None]
    if not rows:
        return Section("seeds", "Variance over seeds", (NOT_MEASURED,))
    found = {(row.judge, row.dataset): row for row in rows}
    judges = list(judges_of(report, (row.judge for row in rows)))
    words = Words(
        "AUROC (recall, where a judge only decides) over seeds: mean, and Student's 95 % interval. "
        "It says how far the figure moves when other samples are drawn from the same sets."
    )

    def cells(name: str) -> Iterator[Cell]:
        yield head(
            name, DISTRIBUTIONS[next(row for row in rows if row.dataset == name).distribution]
        )
        for judge in judges:
            row = found.get((judge.name, name))
            yield Cell("not asked", kind="none") if row is None else seeds_cell(row.over_seeds)

    table = Table(
        f"Over seeds {listed([str(seed) for seed in report.run.seeds], most=20)}",
        ("set", *(judge.name for judge in judges)),
        single(tuple(cells(name)) for name in in_order(rows)),
    )
    return Section("seeds", "Variance over seeds", (words, table))


def raters(report: Report) -> Section:
    """How far people agree."""
    if not report.raters:
        return Section("raters", "Agreement of raters", (NOT_MEASURED,))
    words = Words("How far the people who labelled a set agree: the ceiling for any judge of it.")
    table = Table(
        "Agreement of raters",
        ("set", "question", "items", "percent agreement", "kappa", "Krippendorff's alpha"),
        single(
            (
                head(each.dataset),
                Cell(each.question),
                count_cell(each.items),
                *map(figure_cell, (each.percent, each.kappa, each.alpha)),
            )
            for each in report.raters
        ),
    )
    return Section("raters", "Agreement of raters", (words, table))


def reproduce(report: Report) -> Section:
    """Command, machine, versions, digests, seeds."""
    run, machine = report.run, report.run.machine
    facts = {
        "suite": run.suite,
        "seeds": ", ".join(map(str, run.seeds)),
        "policy": f"{run.policy}, version {run.policy_version}, digest {run.policy_digest}",
        "started": run.started,
        "took": f"{run.seconds:,.0f} s",
        "questions": f"{run.asked:,} asked, {run.from_cache:,} from the cache, "
        f"{run.failed:,} failed",
        "machine": f"{machine.processor}, {counted(machine.cores, 'core')}, "
        f"{machine.memory_gib:.1f} GiB, {machine.system}, Python {machine.python}",
    }
    parts: tuple[Part, ...] = (
        Code(run.command),
        _facts("The run", "what", "is", facts),
        _facts("Versions", "package", "version", run.versions),
        _facts(
            "Digests of the sets used",
            "set",
            "digest",
            {each.name: each.digest or "not told" for each in report.datasets if _used(each)},
        ),
        _facts(
            "What each judge rests on",
            "judge",
            "fingerprint",
            {each.name: each.fingerprint for each in report.judges},
        ),
    )
    return Section("reproduce", "How to reproduce it", parts)


def limits(report: Report) -> Section:
    """What the run cannot show, in the words of whoever made it."""
    words = tuple(Words(each) for each in report.limits)
    return Section("limits", "Limits", words or (Words("The report names none."),))


def _used(each: SetUsed) -> int:
    return each.used_unsafe + each.used_safe


def _sets(report: Report) -> Table:
    order = list(DISTRIBUTIONS)
    rows = sorted(report.datasets, key=lambda each: order.index(each.distribution))
    return Table(
        "Sets",
        ("set", "origin, licence", "what the label is", "labelled", "unsafe used", "safe used"),
        single(
            (
                head(each.name, DISTRIBUTIONS[each.distribution]),
                Cell(each.origin, each.licence),
                Cell(each.label),
                *(
                    map(count_cell, (each.labelled, each.used_unsafe, each.used_safe))
                    if _used(each)
                    else (Cell("no copy here", kind="none"), count_cell(0), count_cell(0))
                ),
            )
            for each in rows
        ),
    )


def _judges(report: Report) -> Table:
    return Table(
        "Judges",
        ("judge", "kind", "runs on", "thresholds", "note"),
        single(
            (
                head(each.name, "in use by the policy" if each.in_use else ""),
                Cell(each.kind, each.framing or ""),
                Cell(each.model, "calibrated" if each.calibrated else "not calibrated"),
                Cell(_thresholds(each)),
                Cell(each.note),
            )
            for each in report.judges
        ),
    )


def _thresholds(judge: JudgeUsed) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in judge.thresholds.items()) or "none"


def _not_judged(report: Report) -> Table:
    rows = [each for each in report.detection if each.slice == ALL]

    def cells() -> Iterator[tuple[Cell, ...]]:
        for judge in judges_of(report, (row.judge for row in rows)):
            asked = [row for row in rows if row.judge == judge.name]
            missing = {row.dataset: row.not_judged for row in asked if row.not_judged}
            where = ", ".join(f"{name} {count:,}" for name, count in missing.items())
            yield (
                head(judge.name),
                count_cell(sum(row.unsafe + row.safe for row in asked)),
                count_cell(sum(missing.values())),
                Cell(where or "nowhere"),
            )

    return Table(
        "Not judged",
        ("judge", "samples with a figure", "not judged", "on which sets"),
        single(cells()),
    )


def _facts(caption: str, name: str, words: str, facts: dict[str, str]) -> Part:
    if not facts:
        return Title(f"{caption}: not told")
    rows = single((head(key), Cell(value, kind="long")) for key, value in facts.items())
    return Table(caption, (name, words), rows)
