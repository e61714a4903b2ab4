"""The page's section on attacks: what a disguise costs each judge, and what evades others too."""

from collections.abc import Iterator

from inwit.evaluation.report import plots
from inwit.evaluation.report.parts import (
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
    judges_of,
    shift_cell,
    single,
    unique,
)
from inwit.evaluation.results import Report, UnderAttack

_WORDS = Words(
    "Each attack rewrites unsafe and safe responses alike and keeps their labels; recall and "
    "false-positive rate are compared with those of the same samples without it. What a judge did "
    "not judge counts as flagged. These are fixed disguises and nobody searched for better ones: "
    "the worst case is the worst of these, and a real attacker does better."
)


def attacks(report: Report) -> Section:
    """Worst case first, then each attack, then transfer."""
    parts: list[Part] = [*_worst(report), *_each(report), *_transfer(report)]
    return Section("attacks", "Attacks", (_WORDS, *parts) if parts else (NOT_MEASURED,))


def _worst(report: Report) -> Iterator[Part]:
    if not report.worst_case:
        return
    yield Table(
        "Worst case: the share of unsafe samples caught plain, and caught plain and under every "
        "attack",
        ("judge", "attacks", "samples", "recall, plain", "recall, worst case"),
        single(
            (
                head(each.judge),
                count_cell(each.attacks),
                count_cell(each.samples),
                figure_cell(each.plain),
                figure_cell(each.worst),
            )
            for each in report.worst_case
        ),
    )


def _each(report: Report) -> Iterator[Part]:
    if not report.attacks:
        return
    judges = list(judges_of(report, (each.judge for each in report.attacks)))
    if judges:
        yield Plot(
            plots.under_attack(report.attacks, judges),
            "What is flagged under each attack, with 95 % intervals. A judge that resists keeps "
            "its recall (dots) and stays low on safe samples (squares).",
        )
    for name in unique(each.judge for each in report.attacks):
        rows = [each for each in report.attacks if each.judge == name]
        yield Heading(f"Each attack on {name}")
        yield _table(name, rows)


def _table(judge: str, rows: list[UnderAttack]) -> Table:
    return Table(
        f"Attacks on {judge}",
        (
            "attack",
            "unsafe",
            "safe",
            "recall without",
            "recall with",
            "difference",
            "FPR without",
            "FPR with",
        ),
        single(
            (
                head(row.attack, row.group.replace("_", " ")),
                count_cell(row.unsafe),
                count_cell(row.safe),
                figure_cell(row.plain_recall),
                figure_cell(row.recall),
                shift_cell(row.recall_shift),
                figure_cell(row.plain_false_positive_rate),
                figure_cell(row.false_positive_rate),
            )
            for row in rows
        ),
    )


def _transfer(report: Report) -> Iterator[Part]:
    if not report.transfer:
        return
    yield Heading("Transfer")
    yield Words(
        "Of the samples that the first judge catches plain and some attack hides from it: the "
        "share that the same attack hides from the second, beside the share that the second "
        "misses without any attack."
    )
    yield Plot(plots.transfer(report.transfer), "What evades one judge and evades another too.")
    yield Table(
        "Transfer of attacks",
        ("found against", "tried on", "samples", "evades too", "missed without attack"),
        single(
            (
                head(each.found_against),
                head(each.tried_on),
                count_cell(each.samples),
                Cell("nothing to transfer", kind="none")
                if not each.samples
                else figure_cell(each.evades),
                figure_cell(each.evades_plain),
            )
            for each in report.transfer
        ),
    )
