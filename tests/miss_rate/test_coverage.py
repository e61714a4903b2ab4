"""How often the intervals hold the truth: counted exactly where possible, else simulated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from inwit.miss_rate.estimate import Audited, Interval, Method, Side, Stratum, estimate
from tests.miss_rate.libraries import binomial

PASSED, STOPPED = Side.PASSED, Side.STOPPED
SHARES = (0.01, 0.05, 0.12, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99)


@dataclass(frozen=True)
class Part:
    """A stratum of the truth: its size, how it is audited, and its share of harm."""

    side: Side
    size: int
    inclusion: float
    share: float

    @property
    def harmful(self) -> float:
        return self.size * self.share

    @property
    def of(self) -> int:
        return round(self.size * self.inclusion)


def audit(parts: tuple[Part, ...], hits: tuple[int, ...], of: tuple[int, ...]) -> Counter[Audited]:
    return Counter(
        {
            Audited(harmful, part.inclusion, f"{n}"): hits[n] if harmful else of[n] - hits[n]
            for n, part in enumerate(parts)
            for harmful in (True, False)
            if part.inclusion
        }
    )


def strata(parts: tuple[Part, ...]) -> list[Stratum]:
    return [Stratum(f"{n}", part.side, part.size) for n, part in enumerate(parts)]


def truth(parts: tuple[Part, ...]) -> tuple[float, float]:
    """The miss rate, and misses per passed response."""
    misses = sum(part.harmful for part in parts if part.side is PASSED)
    catches = sum(part.harmful for part in parts if part.side is STOPPED)
    return misses / (misses + catches), misses / sum(p.size for p in parts if p.side is PASSED)


def holds(interval: Interval, value: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


@pytest.mark.parametrize(
    "sides", [(PASSED, STOPPED), (PASSED, PASSED)], ids=["both sides", "one side"]
)
def test_the_exact_interval_holds_every_truth_as_often_as_it_says(sides: tuple[Side, Side]) -> None:
    """Every audit that two strata can have, weighed with its probability under every truth."""
    of = (18, 11)
    sizes = (18_000, 2_200)

    def parts(shares: tuple[float, float]) -> tuple[Part, ...]:
        return tuple(
            Part(sides[n], sizes[n], of[n] / sizes[n], shares[n]) for n in range(len(sides))
        )

    found = {
        hits: estimate(strata(parts((0, 0))), audit(parts((0, 0)), hits, of))
        for hits in product(range(of[0] + 1), range(of[1] + 1))
    }
    for shares in product(SHARES, SHARES):
        likely = [binomial(n, share) for n, share in zip(of, shares, strict=True)]
        rate, per_response = truth(parts(shares))
        held = Counter[str]()
        for hits, each in found.items():
            probability = likely[0][hits[0]] * likely[1][hits[1]]
            held["rate"] += probability * holds(each.rate, rate)  # pyright: ignore[reportArgumentType]  # a sum of shares
            held["per"] += probability * holds(each.per_response, per_response)  # pyright: ignore[reportArgumentType]
        assert held["rate"] >= 0.95 - 1e-9, shares
        assert held["per"] >= 0.95 - 1e-9, shares


# What a gateway sees: much passes, little of it is harmful, and a small slice is audited.
RARE = {
    "a 2 % slice of rare harm": (
        Part(PASSED, 50_000, 0.02, 0.0005),
        Part(STOPPED, 400, 0.02, 0.5),
        Part(STOPPED, 300, 1.0, 0.7),
    ),
    "one harmful response in a thousand": (
        Part(PASSED, 20_000, 0.05, 0.001),
        Part(STOPPED, 100, 1.0, 0.6),
    ),
    "a stratum that nobody audits": (
        Part(PASSED, 5_000, 0.1, 0.004),
        Part(STOPPED, 100, 0.1, 0.5),
        Part(STOPPED, 50, 0.0, 0.9),
    ),
}
# At least 20 hits are to be expected in each stratum.
PLENTY = {
    "a wide slice": (Part(PASSED, 5_000, 0.2, 0.03), Part(STOPPED, 400, 0.2, 0.5)),
    "good catches": (Part(PASSED, 5_000, 0.3, 0.02), Part(STOPPED, 1_000, 0.3, 0.85)),
    "four strata": (
        Part(PASSED, 20_000, 0.1, 0.015),
        Part(PASSED, 2_000, 0.5, 0.05),
        Part(STOPPED, 400, 0.5, 0.5),
        Part(STOPPED, 150, 1.0, 0.75),
    ),
}
# Where the method changes from one audit to the next: about 10 hits.
BETWEEN = {
    "ten hits": (Part(PASSED, 5_000, 0.2, 0.011), Part(STOPPED, 400, 0.2, 0.5)),
    "ten hits on both sides": (Part(PASSED, 5_000, 0.2, 0.013), Part(STOPPED, 400, 0.2, 0.16)),
}


def draws(
    parts: tuple[Part, ...], count: int, seed: int, *, finite: bool
) -> Iterator[Counter[Audited]]:
    """Audits. Finite: each of a fixed number of harmful responses is drawn or not, by itself."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        hits, of = list[int](), list[int]()
        for part in parts:
            if finite:
                harmful = round(part.harmful)
                hits.append(int(random.binomial(harmful, part.inclusion)))
                harmless = int(random.binomial(part.size - harmful, part.inclusion))
                of.append(hits[-1] + harmless)
            else:
                of.append(part.of)
                hits.append(int(random.binomial(part.of, part.share)))
        yield audit(parts, tuple(hits), tuple(of))


def coverage(
    parts: tuple[Part, ...], count: int, *, finite: bool = False
) -> tuple[float, float, Counter[Method | None]]:
    """How often the two intervals held the truth, and where the first came from."""
    rate, per_response = truth(parts)
    held = [0, 0]
    methods = Counter[Method | None]()
    for audited in draws(parts, count, seed=7, finite=finite):
        found = estimate(strata(parts), audited)
        held[0] += holds(found.rate, rate)
        held[1] += holds(found.per_response, per_response)
        methods[found.rate.method] += 1
    return held[0] / count, held[1] / count, methods


@pytest.mark.parametrize("regime", RARE)
def test_few_hits_are_covered_at_least_as_often_as_said(regime: str) -> None:
    rate, per_response, methods = coverage(RARE[regime], 2_000)

    assert set(methods) == {Method.CLOPPER_PEARSON}
    assert rate >= 0.95
    assert per_response >= 0.95


@pytest.mark.parametrize("finite", [False, True], ids=["traffic", "these responses"])
@pytest.mark.parametrize("regime", PLENTY)
def test_many_hits_are_covered_nearly_as_often_as_said(regime: str, finite: bool) -> None:
    """Both of the traffic that is to be expected, and of the very responses of the window."""
    rate, per_response, methods = coverage(PLENTY[regime], 1_000, finite=finite)

    assert methods[Method.BOOTSTRAP] > 950
    assert rate >= 0.92
    assert per_response >= 0.92
    if not finite:
        assert rate <= 0.98


@pytest.mark.parametrize("regime", BETWEEN)
def test_nothing_is_lost_where_the_method_changes(regime: str) -> None:
    rate, per_response, methods = coverage(BETWEEN[regime], 1_000)

    assert len(methods) == 2
    assert rate >= 0.95
    assert per_response >= 0.95


def test_the_number_is_right_on_average() -> None:
    """Neither sizes that are known nor a slice of random size pull it to one side."""
    parts = (Part(PASSED, 5_000, 0.1, 0.04), Part(STOPPED, 500, 0.3, 0.5))
    _, per_response = truth(parts)
    found = [
        estimate(strata(parts), audited).per_response.value or 0.0
        for audited in draws(parts, 1_000, seed=3, finite=True)
    ]
    error = np.std(found) / len(found) ** 0.5

    assert abs(np.mean(found) - per_response) < 4 * error
    assert error < 0.01 * per_response
