"""From rows to the report: pure, and heavy. The child process imports it, and nothing else."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from inwit.agreement.coefficients import RESAMPLES, Ruled, measure
from inwit.agreement.comparisons import blind, confusions, golden_scores, golden_share
from inwit.agreement.report import Both, Counts, Dimension, Group, Pair, PeopleReport, Report
from inwit.agreement.rows import SIDES, CaseRow, JudgeState, Rows, RulingRow, Standing

_MOST_PAIRS = 100


def compute(rows: Rows, resamples: int = RESAMPLES) -> Both:
    """Everything that is told of these cases."""
    cases = [case for case in rows.cases if case.expected is None]
    golden = [case for case in rows.cases if case.expected is not None]
    twice = [case for case in cases if len(case.independent) > 1]
    pairs, left_out = _pairs(twice, resamples)
    report = Report(
        counts=_counts(rows, cases, len(twice)),
        groups=tuple(_groups(twice, resamples)),
        confusions=confusions(cases),
        blind=blind(cases),
        golden=golden_share(golden),
    )
    return Both(report, PeopleReport(golden_scores(golden), pairs, left_out))


def _counts(rows: Rows, cases: Sequence[CaseRow], two_people: int) -> Counts:
    standing = Counter(ruling.standing for case in cases for ruling in case.rulings)
    unknown = [case for case in cases if JudgeState.UNKNOWN in (case.conscience, case.classifier)]
    return Counts(
        cases=len(cases),
        two_people=two_people,
        second_missing=sum(case.required > 1 for case in cases) - two_people,
        undecided=sum(case.final is None for case in cases),
        golden=len(rows.cases) - len(cases),
        late=standing[Standing.LATE],
        undone=standing[Standing.UNDONE],
        unknown_judges=len(unknown),
        left_out=rows.left_out,
    )


def _groups(cases: Sequence[CaseRow], resamples: int) -> Iterator[Group]:
    """All of them, and then by each dimension, the largest group first."""
    members: dict[tuple[Dimension, str], list[CaseRow]] = {(Dimension.OVERALL, ""): list(cases)}
    for case in cases:
        for place in _places(case):
            members.setdefault(place, []).append(case)
    order = list(Dimension)
    for dimension, name in sorted(
        members, key=lambda at: (order.index(at[0]), -len(members[at]), at[1])
    ):
        rulings = [case.independent for case in members[dimension, name]]
        yield Group(
            dimension,
            name,
            measure([by_ruling(each) for each in rulings], resamples),
            measure([by_side(each) for each in rulings], resamples),
        )


def _places(case: CaseRow) -> Iterator[tuple[Dimension, str]]:
    yield Dimension.POLICY, case.policy
    yield Dimension.LANGUAGE, case.language
    yield Dimension.SECOND_RULING, "drawn" if case.drawn else "required"
    for category in case.categories:
        yield Dimension.CATEGORY, category.value


def by_ruling(rulings: Sequence[RulingRow]) -> Ruled:
    """Who ruled what, in the five words."""
    return [(each.reviewer, each.kind.value) for each in rulings]


def by_side(rulings: Sequence[RulingRow]) -> Ruled:
    """Who let it out and who did not. Who passed it on said neither, and is left out."""
    sides = ((each.reviewer, SIDES[each.kind]) for each in rulings)
    return [(reviewer, side.value) for reviewer, side in sides if side is not None]


def _pairs(cases: Sequence[CaseRow], resamples: int) -> tuple[tuple[Pair, ...], int]:
    """The pairs with the most cases, and how many more there are."""
    shared: dict[tuple[str, str], list[tuple[RulingRow, RulingRow]]] = {}
    for case in cases:
        for one, other in combinations(sorted(case.independent, key=lambda r: r.reviewer), 2):
            shared.setdefault((one.reviewer, other.reviewer), []).append((one, other))
    order = sorted(shared, key=lambda names: (-len(shared[names]), names))
    shown = tuple(
        Pair(
            names,
            measure([by_ruling(each) for each in shared[names]], resamples),
            measure([by_side(each) for each in shared[names]], resamples),
        )
        for names in order[:_MOST_PAIRS]
    )
    return shown, len(order) - len(shown)
