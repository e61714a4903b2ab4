"""The coefficients once more, straight from their definitions, in exact fractions."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations

Cases = Sequence[Sequence[tuple[str, str]]]


def percent(cases: Cases) -> Fraction:
    """The mean over cases of the share of pairs who agree."""
    shares: list[Fraction] = []
    for case in cases:
        pairs = list(combinations([label for _, label in case], 2))
        shares.append(Fraction(sum(one == other for one, other in pairs), len(pairs)))
    return sum(shares, Fraction()) / len(cases)


def cohen(cases: Cases) -> Fraction | None:
    """Cohen (1960) for two people: one table, its diagonal and its margins."""
    first = sorted({name for case in cases for name, _ in case})[0]
    table = Counter(
        tuple(label for _, label in sorted(case, key=lambda said: said[0] != first))
        for case in cases
    )
    rows, columns = Counter[str](), Counter[str]()
    for (one, other), count in table.items():
        rows[one] += count
        columns[other] += count
    size = len(cases)
    observed = Fraction(sum(count for (a, b), count in table.items() if a == b), size)
    expected = Fraction(sum(rows[label] * columns[label] for label in rows), size * size)
    return _beyond(observed, expected)


def fleiss(cases: Cases) -> Fraction | None:
    """Fleiss (1971): as many people on every case."""
    (people,) = {len(case) for case in cases}
    counts = Counter(label for case in cases for _, label in case)
    expected = sum((Fraction(n, people * len(cases)) ** 2 for n in counts.values()), Fraction())
    return _beyond(percent(cases), expected)


def alpha(cases: Cases) -> Fraction | None:
    """Krippendorff (2011): the matrix of coincidences."""
    matrix: dict[tuple[str, str], Fraction] = {}
    for case in cases:
        for one, other in permutations([label for _, label in case], 2):
            matrix[one, other] = matrix.get((one, other), Fraction()) + Fraction(1, len(case) - 1)
    margins: dict[str, Fraction] = {}
    for (one, _), count in matrix.items():
        margins[one] = margins.get(one, Fraction()) + count
    total = sum(margins.values(), Fraction())
    observed = sum((n for (one, other), n in matrix.items() if one != other), Fraction()) / total
    apart = sum(
        (a * b for (x, a), (y, b) in permutations(margins.items(), 2) if x != y), Fraction()
    )
    return None if apart == 0 else 1 - observed / (apart / (total * (total - 1)))


def _beyond(observed: Fraction, expected: Fraction) -> Fraction | None:
    return None if expected == 1 else (observed - expected) / (1 - expected)
