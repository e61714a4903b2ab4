"""Detection figures against scikit-learn, by hand, and where they are not defined."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.evaluation.statistics.detection import (
    DECISION,
    ByClass,
    Detection,
    Flagging,
    NotJudged,
    detect,
    detect_decisions,
)
from inwit.evaluation.statistics.observations import Decisions, Observations, decided
from inwit.policy.calibration import Estimate
from tests.evaluation.statistics import libraries
from tests.evaluation.statistics.judges import RISKS, arrays, shifted, single

SOME = 60  # resamples
RATES = ("precision", "recall", "false_negative_rate", "false_positive_rate", "f1")
# Risks in tenths or none, with label and prompt.
JUDGED = st.lists(
    st.tuples(st.none() | st.integers(0, 10), st.booleans(), st.integers(0, 5)), max_size=30
)


def drawn(rows: list[tuple[int | None, bool, int]]) -> Observations:
    raw = [np.nan if risk is None else risk / 10 for risk, _, _ in rows]
    return Observations(
        np.array(raw, np.float64),
        np.array([unsafe for _, unsafe, _ in rows], np.bool_),
        np.array([group for _, _, group in rows], np.int64),
    )


def at_half(found: Observations, treated: NotJudged = NotJudged.LEFT_OUT) -> Detection:
    return detect(found, {"half": 0.5}, 0, treated, SOME)


def value(estimate: Estimate | None) -> float:
    return float("nan") if estimate is None else estimate.value


@given(RISKS)
def test_figures_at_a_threshold_are_what_scikit_learn_says(pairs: list[tuple[int, bool]]) -> None:
    risks, unsafe = arrays(pairs)
    found = at_half(single(risks, unsafe)).at["half"]
    tp, fp, tn, fn = libraries.confusion(risks >= 0.5, unsafe)
    precision, recall, f1 = libraries.precision_recall_f1(risks >= 0.5, unsafe)

    assert (found.tp, found.fp, found.tn, found.fn) == (tp, fp, tn, fn)
    assert value(found.precision) == pytest.approx(precision, nan_ok=True)
    assert value(found.recall) == pytest.approx(recall, nan_ok=True)
    assert value(found.false_negative_rate) == pytest.approx(1 - recall, nan_ok=True)
    safe = tn + fp
    rate = fp / safe if safe else float("nan")
    assert value(found.false_positive_rate) == pytest.approx(rate, nan_ok=True)
    # scikit-learn calls it 0 where nothing is unsafe and something flagged.
    assert value(found.f1) == pytest.approx(f1 if unsafe.any() else float("nan"), nan_ok=True)


@given(RISKS)
def test_ranking_is_what_scikit_learn_says(pairs: list[tuple[int, bool]]) -> None:
    risks, unsafe = arrays(pairs)
    found = at_half(single(risks, unsafe))
    if unsafe.all() or not unsafe.any():
        assert found.auroc is None
        assert found.auprc is None
        assert set(found.recall_at.values()) == {None}
    else:
        assert value(found.auroc) == pytest.approx(libraries.auroc(risks, unsafe))
        assert value(found.auprc) == pytest.approx(libraries.average_precision(risks, unsafe))


@given(JUDGED, st.sampled_from(NotJudged))
def test_what_is_told_is_in_order_and_within_bounds(
    rows: list[tuple[int | None, bool, int]], treated: NotJudged
) -> None:
    found = at_half(drawn(rows), treated)
    half = found.at["half"]

    estimates = [found.auroc, found.auprc, *found.recall_at.values()]
    estimates += [getattr(half, name) for name in RATES]
    for each in estimates:
        if each is not None:
            assert 0 <= each.low <= each.value <= each.high <= 1
    assert half.tp + half.fn == found.samples.unsafe
    assert half.fp + half.tn == found.samples.safe
    counted = found.samples.unsafe + found.samples.safe
    missing = found.not_judged.unsafe + found.not_judged.safe
    assert counted + missing * (treated is NotJudged.LEFT_OUT) == len(rows)


@given(JUDGED, st.sampled_from(NotJudged))
def test_flags_without_scores_give_the_same_but_for_the_ranking(
    rows: list[tuple[int | None, bool, int]], treated: NotJudged
) -> None:
    scored = drawn(rows)

    found = detect_decisions(decided(scored, 0.5), 0, treated, SOME)

    expected = at_half(scored, treated)
    assert found.at == {DECISION: replace(expected.at["half"], threshold=None)}
    assert (found.auroc, found.auprc, found.recall_at) == (None, None, {})
    assert (found.samples, found.not_judged) == (expected.samples, expected.not_judged)
    assert (found.prompts, found.treated) == (expected.prompts, treated)


@given(JUDGED)
@settings(max_examples=50)
def test_the_two_error_rates_of_the_unsafe_mirror_each_other(
    rows: list[tuple[int | None, bool, int]],
) -> None:
    half = at_half(drawn(rows)).at["half"]
    if half.recall is None or half.false_negative_rate is None:
        assert half.recall is half.false_negative_rate
        return

    assert half.recall.low == pytest.approx(1 - half.false_negative_rate.high)
    assert half.recall.high == pytest.approx(1 - half.false_negative_rate.low)


def test_a_sample_at_the_threshold_is_flagged() -> None:
    found = detect(single(np.array([0.5, 0.4]), np.array([True, True])), {"a": 0.5, "b": 0.4}, 0)

    assert {name: (each.threshold, each.tp) for name, each in found.at.items()} == {
        "a": (0.5, 1),
        "b": (0.4, 2),
    }


def test_what_is_not_defined_is_none() -> None:
    safe = single(np.array([0.1, 0.9]), np.array([False, False]))
    unflagged = single(np.array([0.1, 0.2]), np.array([True, False]))

    assert present(at_half(safe).at["half"]) == {"precision", "false_positive_rate"}
    assert present(at_half(unflagged).at["half"]) == {*RATES} - {"precision"}
    unsafe = replace(safe, unsafe=~safe.unsafe)
    assert present(at_half(unsafe).at["half"]) == {*RATES} - {"false_positive_rate"}
    empty = at_half(safe.where(np.zeros(2, np.bool_)))
    assert present(empty.at["half"]) == set()
    assert (empty.samples, empty.prompts) == (ByClass(0, 0), 0)


def present(flagging: Flagging) -> set[str]:
    return {name for name in RATES if getattr(flagging, name) is not None}


def test_what_was_not_judged_is_left_out_or_flagged() -> None:
    """Two caught, one missed, one wrong, one right, and one of each class not judged."""
    raw = np.array([0.9, 0.8, 0.1, np.nan, 0.7, 0.2, np.nan])
    found = single(raw, np.array([True] * 4 + [False] * 3))

    apart, blocked = at_half(found), at_half(found, NotJudged.FLAGGED)

    assert apart.not_judged == blocked.not_judged == ByClass(1, 1)
    assert (apart.samples, blocked.samples) == (ByClass(3, 2), ByClass(4, 3))
    assert value(apart.at["half"].recall) == pytest.approx(2 / 3)
    assert value(blocked.at["half"].recall) == pytest.approx(3 / 4)
    assert value(apart.at["half"].false_positive_rate) == pytest.approx(1 / 2)
    assert value(blocked.at["half"].false_positive_rate) == pytest.approx(2 / 3)
    # With the two on top of everything, and tied with one another.
    assert value(apart.auroc) == pytest.approx(4 / 6)
    assert value(blocked.auroc) == pytest.approx(6.5 / 12)


def test_flagged_they_rank_above_all_others() -> None:
    raw = np.array([np.nan, 0.3, 1.0])

    found = at_half(single(raw, np.array([True, True, False])), NotJudged.FLAGGED)

    assert value(found.auroc) == 0.5


def test_recall_at_a_rate_needs_samples_to_see_it() -> None:
    random = np.random.default_rng(0)
    for safe, told in ((19, set[float]()), (20, {0.05}), (99, {0.05}), (100, {0.01, 0.05})):
        unsafe = np.arange(30 + safe) < 30
        found = at_half(single(random.random(30 + safe), unsafe))
        assert {most for most, each in found.recall_at.items() if each is not None} == told


def test_recall_at_a_rate_is_what_scikit_learn_says() -> None:
    found = shifted(np.random.default_rng(1), 600, 2.0)

    told = at_half(found).recall_at

    for most in (0.01, 0.05):
        expected = libraries.recall_at(found.raw, found.unsafe, most)
        assert value(told[most]) == pytest.approx(expected)


def test_copies_within_a_prompt_add_no_certainty() -> None:
    once = shifted(np.random.default_rng(2), 100, 1.0)
    seven = np.repeat(np.arange(100), 7)

    alone = at_half(once)
    copied = at_half(Observations(once.raw[seven], once.unsafe[seven], once.groups[seven]))

    assert copied.auroc == alone.auroc
    for name in RATES:
        assert getattr(copied.at["half"], name) == getattr(alone.at["half"], name)


@pytest.mark.parametrize("prompts", [2, 6])
def test_few_prompts_of_a_class_say_little(prompts: int) -> None:
    """Copies of a few prompts: ranking rests on those, however many samples there are."""
    unsafe = np.arange(200) < 100
    groups = np.where(unsafe, np.arange(200) % prompts, np.arange(200))

    found = at_half(Observations(np.where(unsafe, 0.9, 0.1), unsafe, groups))

    assert found.auroc is not None
    assert found.auroc.value == 1.0
    assert found.auroc.low < libraries.wilson(prompts, prompts)[0] + 1e-9


def test_nobody_says_that_decisions_without_a_verdict_were_flagged() -> None:
    """What stands in `flagged` where there is no verdict is not looked at."""
    judged, unsafe = np.array([True, True, False]), np.array([True, False, True])
    both = [
        Decisions(np.array([True, False, stale]), judged, unsafe, np.arange(3))
        for stale in (False, True)
    ]
    for treated in NotJudged:
        one, other = (detect_decisions(each, 0, treated, SOME) for each in both)
        assert one == other
