"""Differences between two scorings: found where they are, and not where they are not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.evaluation.statistics.detection import detect
from inwit.evaluation.statistics.observations import Observations, decided
from inwit.evaluation.statistics.paired import (
    Change,
    Difference,
    paired_decisions,
    paired_difference,
)
from inwit.evaluation.statistics.ranking import auroc
from tests.evaluation.statistics.judges import shifted, single

SOME = 400  # resamples
SETS = 80
FIGURES = ("auroc", "recall", "false_positive_rate", "mean_risk")
ROWS = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 10), st.booleans(), st.integers(0, 6)), max_size=25
)
HALF = (0.5, 0.5)


def two(rows: list[tuple[int, int, bool, int]]) -> tuple[Observations, Observations]:
    columns = np.array([row[:2] for row in rows], np.float64).reshape(-1, 2).T / 10
    unsafe = np.array([row[2] for row in rows], np.bool_)
    groups = np.array([row[3] for row in rows], np.int64)
    return Observations(columns[0], unsafe, groups), Observations(columns[1], unsafe, groups)


@given(ROWS)
def test_the_difference_is_that_of_the_two_figures(rows: list[tuple[int, int, bool, int]]) -> None:
    one, other = two(rows)

    found = paired_difference(one, other, 0, HALF, 40)

    alone, also = (detect(each, {"half": 0.5}, 0, resamples=40) for each in (one, other))
    pairs = {
        "auroc": (alone.auroc, also.auroc),
        "recall": (alone.at["half"].recall, also.at["half"].recall),
        "false_positive_rate": (
            alone.at["half"].false_positive_rate,
            also.at["half"].false_positive_rate,
        ),
    }
    for name, (before, after) in pairs.items():
        change: Change | None = getattr(found, name)
        if before is None or after is None:
            assert change is None
        else:
            assert change is not None
            assert change.value == pytest.approx(after.value - before.value)
    if rows:
        assert found.mean_risk is not None
        assert found.mean_risk.value == pytest.approx(np.mean(other.raw) - np.mean(one.raw))


@given(ROWS)
def test_the_other_way_round_is_the_mirror_image(rows: list[tuple[int, int, bool, int]]) -> None:
    one, other = two(rows)
    there, back = (paired_difference(*each, 0, HALF, 40) for each in ((one, other), (other, one)))

    for name in FIGURES:
        change, mirrored = getattr(there, name), getattr(back, name)
        if change is None:
            assert mirrored is None
            continue
        assert change.low <= change.value <= change.high
        assert (change.low, change.value, change.high) == pytest.approx(
            (-mirrored.high, -mirrored.value, -mirrored.low), abs=1e-9
        )
        assert 0 < change.p <= 1


@given(ROWS)
@settings(max_examples=50)
def test_a_scoring_does_not_differ_from_itself(rows: list[tuple[int, int, bool, int]]) -> None:
    one, _ = two(rows)

    found = paired_difference(one, one, 0, HALF, 40)

    for change in changes(found):
        assert (change.value, change.p, change.beyond_noise) == (0.0, 1.0, False)


def changes(found: Difference) -> list[Change]:
    return [change for name in FIGURES if (change := getattr(found, name)) is not None]


def test_a_map_that_keeps_the_order_keeps_the_auroc() -> None:
    before = shifted(np.random.default_rng(0), 300, 1.0)

    found = paired_difference(before, replace(before, raw=np.exp(before.raw)), 0)

    assert found.auroc == Change(0.0, 0.0, 0.0, 1.0)
    assert found.mean_risk is not None
    assert found.mean_risk.value > 0
    assert found.recall is None


def test_chance_is_seldom_called_a_difference_and_a_difference_seldom_chance() -> None:
    """Two noisy readings of the same judge; and one of a better judge."""
    random = np.random.default_rng(8)
    wrong, held, right = dict.fromkeys(FIGURES, 0), dict.fromkeys(FIGURES, 0), 0
    for seed in range(SETS):
        judge = shifted(random, 200, 1.5)
        one, other = (replace(judge, raw=judge.raw + random.normal(0, 1, 200)) for _ in range(2))
        found = paired_difference(one, other, seed, (0.7, 0.7), SOME)
        for name in FIGURES:
            wrong[name] += getattr(found, name).beyond_noise
            held[name] += getattr(found, name).low <= 0 <= getattr(found, name).high
        better = paired_difference(one, judge, seed, resamples=SOME).auroc
        assert better is not None
        right += better.beyond_noise and better.value > 0

    assert all(count <= 0.1 * SETS for count in wrong.values()), wrong
    assert all(count >= 0.88 * SETS for count in held.values()), held
    assert right >= 0.9 * SETS


def test_a_pair_tells_more_than_two_intervals() -> None:
    random = np.random.default_rng(9)
    one = shifted(random, 400, 1.0)
    other = replace(one, raw=one.raw + 0.3 * one.unsafe + random.normal(0, 0.1, 400))

    found = paired_difference(one, other, 0, resamples=SOME).auroc

    assert found is not None
    assert found.beyond_noise
    alone, also = (detect(each, {}, 0, resamples=SOME).auroc for each in (one, other))
    assert alone is not None
    assert also is not None
    assert also.low < alone.high  # apart they overlap
    assert found.value == pytest.approx(auroc(other.raw, other.unsafe) - alone.value)


def test_a_mean_moves_as_normal_theory_says() -> None:
    """By two standard errors: an interval of 1.96 of them, and a p of 0.0455."""
    noise = np.random.default_rng(15).normal(0, 0.1, 900)
    more = (noise - noise.mean()) / noise.std() * 0.1
    error = 0.1 / 30
    before = single(np.full(900, 0.5), np.arange(900) % 2 == 0)

    found = paired_difference(before, replace(before, raw=0.5 + more + 2 * error), 0).mean_risk

    assert found is not None
    assert found.value == pytest.approx(2 * error)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert found.p == pytest.approx(0.0455, abs=0.015)


def test_five_prompts_that_agree_are_no_proof() -> None:
    unsafe = np.ones(200, np.bool_)
    before = single(np.zeros(200), unsafe)
    for changed, proof in ((5, False), (12, True)):
        after = replace(before, raw=(np.arange(200) < changed).astype(np.float64))
        recall = paired_difference(before, after, 0, HALF).recall
        assert recall is not None
        assert recall.value == changed / 200
        assert recall.p >= 2.0 ** (1 - changed)
        assert recall.beyond_noise is proof


def test_no_difference_among_few_is_not_none() -> None:
    """Nothing differs in 20 prompts: in others up to 16 % may."""
    same = single(np.ones(20), np.ones(20, np.bool_))

    recall = paired_difference(same, same, 0, HALF).recall

    assert recall is not None
    assert (recall.low, recall.value, recall.high) == pytest.approx((-0.161, 0, 0.161), abs=1e-3)


def test_samples_of_one_prompt_are_no_proof_however_many() -> None:
    unsafe, groups = np.arange(400) % 2 == 0, np.arange(400) // 200
    before = Observations(np.full(400, 0.3), unsafe, groups)
    after = replace(before, raw=np.where(unsafe, 0.9, 0.3))

    assert not any(each.beyond_noise for each in changes(paired_difference(before, after, 0, HALF)))


def test_a_sample_that_one_did_not_judge_is_left_out_of_both() -> None:
    before = single(np.array([0.9, np.nan, 0.1, 0.2, 0.6]), np.array([True] * 3 + [False] * 2))
    after = replace(before, raw=np.array([0.9, 0.9, 0.8, np.nan, 0.6]))

    found = paired_difference(before, after, 0, HALF)

    assert (found.samples, found.left_out, found.prompts) == (3, 2, 3)
    assert found.recall is not None
    assert found.recall.value == 0.5
    flags = paired_decisions(decided(before, 0.5), decided(after, 0.5), 0)
    assert flags == replace(found, auroc=None, mean_risk=None)


def test_other_samples_are_refused() -> None:
    one = single(np.zeros(3), np.array([True, False, False]))
    others = (replace(one, unsafe=~one.unsafe), replace(one, groups=np.array([0, 1, 1])))
    for other in others:
        with pytest.raises(ValueError, match="the same samples"):
            paired_difference(one, other, 0)
        with pytest.raises(ValueError, match="the same samples"):
            paired_decisions(decided(one, 0.5), decided(other, 0.5), 0)


def test_a_change_reads_as_one() -> None:
    assert str(Change(0.1, -0.05, 0.25, 0.2)) == "+0.100 [-0.050, +0.250], p 0.200"
