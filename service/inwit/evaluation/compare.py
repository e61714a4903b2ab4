"""What got better or worse from one run to another, beyond noise.

Samples are paired by judge, set, digest and label, and only as their set has them: what an attack
made of them is left out. Both runs are drawn anew with the same prompts (statistics/paired.py), and
the p of all comparisons are corrected together by Holm's method (1979): the chance that anything at
all is called a change where nothing changed stays below 5 %.
"""

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inwit.evaluation.inspect_log import PLAIN
from inwit.evaluation.results import Report, SampleScore, SetUsed, Shift
from inwit.evaluation.rounding import UNDEFINED, counted, listed, probability, shift
from inwit.evaluation.statistics.bootstrap import RESAMPLES
from inwit.evaluation.statistics.observations import Decisions, Integers, Observations
from inwit.evaluation.statistics.paired import Change, paired_decisions, paired_difference

LEVEL = 0.05
AUROC, RECALL, FALSE_POSITIVES = "AUROC", "recall", "false-positive rate"
FIGURES = (AUROC, RECALL, FALSE_POSITIVES)

_FINER = 80  # resamples for each comparison: Holm divides the level by their number
_WIDTH = 120  # characters of a terminal
_MOST_DRAWN = 2**25  # numbers in memory: prompts times resamples

Verdict = Literal["better", "worse", "no difference beyond noise", "not defined"]
_Key = tuple[str, str]  # judge and set
_Scores = dict[tuple[str, str], SampleScore]  # by digest and label


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one judge on one set: the second run less the first.

    `samples` are those that both runs judged, of which there are `prompts` prompts; `left_out`
    those that both have and one did not judge. `p` is corrected. `change` is None where the figure
    is not defined.
    """

    judge: str
    dataset: str
    figure: str
    samples: int
    prompts: int
    left_out: int
    change: Change | None
    p: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """What could be compared, and in `notes` what could not, and why."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The samples of one judge and set that both runs have."""

    judge: str
    dataset: str
    before: tuple[SampleScore, ...]
    after: tuple[SampleScore, ...]

    @property
    def groups(self) -> Integers:
        """Their prompts; each sample by itself where neither run tells them."""
        for side in (self.before, self.after):
            if any(each.group for each in side):
                return np.array([each.group for each in side], np.int64)
        return np.arange(len(self.before), dtype=np.int64)


def compare(
    before: Report,
    after: Report,
    samples_before: Iterable[SampleScore],
    samples_after: Iterable[SampleScore],
    seed: int = 0,
) -> Comparison:
    """Every judge and set that both runs have."""
    first, second = _by_key(samples_before), _by_key(samples_after)
    same = _same_sets(before, after)
    same_policy = before.run.policy_digest == after.run.policy_digest
    notes = [*_set_notes(before, after, same), *_policy_notes(before, after)]
    notes += _only_in_one(first, second)
    pairs: list[_Pair] = []
    for judge, dataset in (key for key in first if key in second and key[1] in same):
        pair = _paired(judge, dataset, first[judge, dataset], second[judge, dataset])
        if pair.before:
            pairs.append(pair)
        else:
            notes.append(f"{judge} on {dataset}: the runs have no sample in common.")
    rows = [row for pair in pairs for row in _rows(pair, same_policy, seed, RESAMPLES)]
    if not rows:
        notes.append("Nothing could be compared: these runs are not comparable.")
    return Comparison(_judged(_finer(pairs, rows, same_policy, seed)), tuple(notes))


def render_comparison(comparison: Comparison) -> str:
    """What changed first, then every figure, then what could not be compared.

    Names are those of the reports: control characters in them do not reach the terminal.
    """
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, no_color=True, highlight=False)
    console.print(Text(_summary(comparison)))
    if comparison.rows:
        console.print(_table(comparison))
        console.print(
            Text(
                "The second run less the first, over samples that both judged; 95 % intervals, "
                "clustered by prompt; p corrected for all comparisons (Holm)."
            )
        )
    for note in comparison.notes:
        console.print(Text(_clean(f"- {note}")))
    return out.getvalue()


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values that may be held against the level together."""
    corrected, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda each: values[each])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = highest
    return corrected


def _by_key(samples: Iterable[SampleScore]) -> dict[_Key, _Scores]:
    """Plain samples; the first line of a sample counts."""
    found: dict[_Key, _Scores] = {}
    for each in samples:
        if each.variant in PLAIN:
            scores = found.setdefault((each.judge, each.dataset), {})
            scores.setdefault((each.digest, each.label), each)
    return found


def _same_sets(before: Report, after: Report) -> set[str]:
    """Sets whose rows are known to be the same in both runs."""
    first, second = ({each.name: each.digest for each in run.datasets} for run in (before, after))
    return {name for name, digest in first.items() if digest and second.get(name) == digest}


def _set_notes(before: Report, after: Report, same: set[str]) -> list[str]:
    def used(each: SetUsed) -> bool:
        return each.used_unsafe + each.used_safe > 0

    sides = [{each.name for each in report.datasets if used(each)} for report in (before, after)]
    notes = [
        f"{name}: not comparable, its rows are not known to be the same (another digest)."
        for name in sorted((sides[0] & sides[1]) - same)
    ]
    for words, names in (("first", sides[0] - sides[1]), ("second", sides[1] - sides[0])):
        if names:
            notes.append(f"Only the {words} run used {listed(sorted(names), most=20)}.")
    return notes


def _policy_notes(before: Report, after: Report) -> list[str]:
    first, second = before.run, after.run
    if first.policy_digest == second.policy_digest:
        return []
    return [
        f"The policies differ ({first.policy}, version {first.policy_version}, against "
        f"{second.policy}, version {second.policy_version}): recall and false-positive rate are "
        "not comparable and left out; the AUROC rests on no threshold."
    ]


def _only_in_one(first: dict[_Key, _Scores], second: dict[_Key, _Scores]) -> list[str]:
    judges = [{judge for judge, _ in side} for side in (first, second)]
    return [
        f"Only the {words} run asked {listed(sorted(names), most=20)}."
        for words, names in (
            ("first", judges[0] - judges[1]),
            ("second", judges[1] - judges[0]),
        )
        if names
    ]


def _paired(judge: str, dataset: str, first: _Scores, second: _Scores) -> _Pair:
    shared = sorted(first.keys() & second.keys())
    return _Pair(
        judge, dataset, tuple(first[key] for key in shared), tuple(second[key] for key in shared)
    )


def _rows(pair: _Pair, same_policy: bool, seed: int, resamples: int) -> list[Row]:
    """The three figures, not yet corrected; flags only where both runs decide by one policy."""
    risks = [_observations(side, pair.groups) for side in (pair.before, pair.after)]
    found = paired_difference(risks[0], risks[1], seed, resamples=resamples)
    figures = [(AUROC, found, found.auroc)]
    if same_policy:
        flags = [_decisions(side, pair.groups) for side in (pair.before, pair.after)]
        decided = paired_decisions(flags[0], flags[1], seed, resamples)
        figures.append((RECALL, decided, decided.recall))
        figures.append((FALSE_POSITIVES, decided, decided.false_positive_rate))
    return [
        Row(
            judge=pair.judge,
            dataset=pair.dataset,
            figure=figure,
            samples=of.samples,
            prompts=of.prompts,
            left_out=of.left_out,
            change=change,
            p=1.0 if change is None else change.p,
            verdict="not defined",
        )
        for figure, of, change in figures
    ]


def _observations(side: Sequence[SampleScore], groups: Integers) -> Observations:
    risks = [np.nan if each.risk is None else each.risk for each in side]
    unsafe = np.array([each.label == "unsafe" for each in side], np.bool_)
    return Observations(np.array(risks, np.float64), unsafe, groups)


def _decisions(side: Sequence[SampleScore], groups: Integers) -> Decisions:
    return Decisions(
        flagged=np.array([bool(each.flagged) for each in side], np.bool_),
        judged=np.array([each.flagged is not None for each in side], np.bool_),
        unsafe=np.array([each.label == "unsafe" for each in side], np.bool_),
        groups=groups,
    )


def _finer(pairs: Sequence[_Pair], rows: list[Row], same_policy: bool, seed: int) -> list[Row]:
    """More resamples where these were too few to tell a p from 0 after the correction."""
    lowest = 2 / (RESAMPLES + 1)
    compared = sum(row.change is not None for row in rows)
    if lowest * compared < LEVEL:
        return rows
    known = {(row.judge, row.dataset, row.figure): row for row in rows}
    for pair in pairs:
        places = [(pair.judge, pair.dataset, figure) for figure in FIGURES]
        if not any(key in known and known[key].p <= 1.01 * lowest for key in places):
            continue
        prompts = len(np.unique(pair.groups))
        resamples = min(_FINER * compared, ceil(_MOST_DRAWN / prompts))
        if resamples > RESAMPLES:
            for row in _rows(pair, same_policy, seed + 1, resamples):
                known[row.judge, row.dataset, row.figure] = row
    return list(known.values())


def _judged(rows: Sequence[Row]) -> tuple[Row, ...]:
    """With corrected p and a verdict; what is not defined is no comparison."""
    defined = [place for place, row in enumerate(rows) if row.change is not None]
    corrected = dict(zip(defined, holm([rows[place].p for place in defined]), strict=True))
    return tuple(
        replace(row, p=corrected[place], verdict=_verdict(row, row.change, corrected[place]))
        if row.change is not None
        else row
        for place, row in enumerate(rows)
    )


def _verdict(row: Row, change: Change, p: float) -> Verdict:
    if p >= LEVEL or change.low <= 0.0 <= change.high:
        return "no difference beyond noise"
    rises_well = row.figure != FALSE_POSITIVES
    return "better" if (change.value > 0) == rises_well else "worse"


def _summary(comparison: Comparison) -> str:
    counts = Counter(row.verdict for row in comparison.rows)
    if not counts:
        return "Not comparable."
    told = [
        f"{counts['better']} better",
        f"{counts['worse']} worse",
        f"{counts['no difference beyond noise']} without a difference beyond noise",
        f"{counts['not defined']} not defined",
    ]
    return f"{counted(len(comparison.rows), 'figure')}: {', '.join(told)}."


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("judge", "set", "figure"):
        table.add_column(name, overflow="fold")
    table.add_column("samples", justify="right")
    table.add_column("difference", no_wrap=True)
    table.add_column("p", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    order = ("worse", "better", "no difference beyond noise", "not defined")
    for row in sorted(comparison.rows, key=lambda row: order.index(row.verdict)):
        table.add_row(*(Text(_clean(cell)) for cell in _cells(row)))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    change = row.change
    told = UNDEFINED
    if change is not None:
        beyond = row.verdict in ("better", "worse")
        told = shift(
            Shift(
                value=change.value, low=change.low, high=change.high, p=row.p, beyond_noise=beyond
            )
        )
    samples = f"{row.samples:,}" + (f" (-{row.left_out:,})" if row.left_out else "")
    p = "" if change is None else probability(row.p).removeprefix("p ")
    return row.judge, row.dataset, row.figure, samples, told, p, row.verdict


def _clean(text: str) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
