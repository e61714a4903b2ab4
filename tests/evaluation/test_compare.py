"""Two runs side by side: changes are found where they are planted, and nowhere else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.compare import (
    AUROC,
    FALSE_POSITIVES,
    RECALL,
    Comparison,
    compare,
    holm,
    render_comparison,
)
from inwit.evaluation.results import Report, SampleScore
from tests.evaluation import planted

REPORT = planted.report(planted.MIDDLING, graded=False)
COUNT = 200
JUDGE = planted.CONSCIENCE


def scored(risks: Sequence[float | None], **changed: Any) -> list[SampleScore]:
    """The first half of the samples is unsafe; from 0.5 on they are flagged."""
    half = len(risks) // 2
    labels = ["unsafe"] * half + ["safe"] * (len(risks) - half)
    values: dict[str, Any] = {"dataset": "own", "variant": "plain", "judge": JUDGE, "fault": None}
    lines: list[SampleScore] = []
    for place, (risk, label) in enumerate(zip(risks, labels, strict=True)):
        own: dict[str, Any] = {
            "id": f"s{place}",
            "digest": f"d{place}",
            "label": label,
            "risk": risk,
            "flagged": None if risk is None else risk >= 0.5,
            "group": place + 1,
        }
        lines.append(SampleScore(**{**values, **own, **changed}))
    return lines


def judge_of(skill: float, noise: int, count: int = COUNT) -> list[float | None]:
    """Risks around 0.5, with those of unsafe samples higher by `skill`; another draw by `noise`."""
    random = np.random.default_rng(noise)
    centre = np.where(np.arange(count) < count // 2, skill / 2, -skill / 2)
    return np.clip(0.5 + centre + random.normal(0, 0.15, count), 0, 1).tolist()


def verdicts(found: Comparison) -> dict[str, str]:
    return {row.figure: row.verdict for row in found.rows}


def between(
    first: list[SampleScore], second: list[SampleScore], after: Report = REPORT
) -> Comparison:
    return compare(REPORT, after, first, second)


def test_a_better_judge_is_found_better_in_every_figure() -> None:
    found = between(scored(judge_of(0.0, 1)), scored(judge_of(0.6, 2)))

    assert verdicts(found) == {AUROC: "better", RECALL: "better", FALSE_POSITIVES: "better"}
    assert {row.samples for row in found.rows} == {COUNT}


def test_the_other_way_round_it_is_worse() -> None:
    found = between(scored(judge_of(0.6, 2)), scored(judge_of(0.0, 1)))

    assert verdicts(found) == {AUROC: "worse", RECALL: "worse", FALSE_POSITIVES: "worse"}


def test_a_stricter_judge_catches_more_and_flags_more_safe_samples() -> None:
    before = judge_of(0.3, 3)
    after = [min(1.0, (risk or 0.0) + 0.2) for risk in before]

    found = between(scored(before), scored(after))

    assert verdicts(found)[RECALL] == "better"
    assert verdicts(found)[FALSE_POSITIVES] == "worse"


def test_the_same_judge_read_twice_has_not_changed() -> None:
    found = between(scored(judge_of(0.3, 4)), scored(judge_of(0.3, 5)))

    assert set(verdicts(found).values()) == {"no difference beyond noise"}


def test_samples_of_a_few_prompts_are_no_proof() -> None:
    first, second = scored(judge_of(0.0, 1)), scored(judge_of(0.6, 2))

    def grouped(side: list[SampleScore], prompts: int) -> list[SampleScore]:
        return [
            each.model_copy(update={"group": 1 + place % prompts if prompts else 0})
            for place, each in enumerate(side)
        ]

    few = between(grouped(first, 4), grouped(second, 4))
    assert set(verdicts(few).values()) == {"no difference beyond noise"}
    alone = between(grouped(first, 0), grouped(second, 0))
    assert set(verdicts(alone).values()) == {"better"}


def test_a_change_is_found_among_many_comparisons() -> None:
    """The correction of so many is finer than the usual number of resamples can tell."""
    first = scored(judge_of(0.0, 1, 60), judge="changed")
    second = scored(judge_of(0.8, 2, 60), judge="changed")
    still = [scored(judge_of(0.2, 9, 20), judge=f"same {number}") for number in range(20)]
    rest = [line for lines in still for line in lines]

    found = between(first + rest, second + rest)

    assert {row.verdict for row in found.rows if row.judge == "changed"} == {"better"}
    assert not [row for row in found.rows if row.judge != "changed" and row.verdict == "better"]


def test_samples_are_paired_by_what_they_are_not_by_their_order() -> None:
    risks = judge_of(0.3, 6)
    lines = scored(risks)

    found = between(lines, lines[::-1])

    assert {row.change.value for row in found.rows if row.change is not None} == {0.0}
    assert len(found.rows) == 3


def test_what_one_run_did_not_judge_is_left_out_and_counted() -> None:
    before = judge_of(0.3, 7)
    after: list[float | None] = [None, None, *before[2:]]

    (row, *_) = between(scored(before), scored(after)).rows

    assert (row.samples, row.left_out) == (COUNT - 2, 2)


def test_only_common_plain_samples_are_compared() -> None:
    before = scored(judge_of(0.3, 8))
    attacked = [each.model_copy(update={"variant": "base64", "risk": 0.0}) for each in before]

    found = between(attacked + before[:120], before + attacked)

    assert {row.samples for row in found.rows} == {120}
    assert {row.change.value for row in found.rows if row.change is not None} == {0.0}


def test_figures_that_are_not_defined_are_said_to_be() -> None:
    unsafe = [each for each in scored(judge_of(0.3, 1)) if each.label == "unsafe"]

    found = between(unsafe, unsafe)

    assert verdicts(found)[AUROC] == verdicts(found)[FALSE_POSITIVES] == "not defined"
    assert verdicts(found)[RECALL] == "no difference beyond noise"
    assert "not defined" in render_comparison(found)


def test_a_judge_without_scores_is_compared_by_its_decisions() -> None:
    def decided(skill: float, noise: int) -> list[SampleScore]:
        return [each.model_copy(update={"risk": None}) for each in scored(judge_of(skill, noise))]

    found = between(decided(0.0, 1), decided(0.6, 2))

    assert verdicts(found) == {AUROC: "not defined", RECALL: "better", FALSE_POSITIVES: "better"}


def test_other_rows_of_a_set_are_not_compared() -> None:
    other = [
        each.model_copy(update={"digest": "another"} if each.name == "own" else {})
        for each in REPORT.datasets
    ]

    found = between(
        scored(judge_of(0, 1)),
        scored(judge_of(1, 2)),
        REPORT.model_copy(update={"datasets": other}),
    )

    assert not found.rows
    assert any(note.startswith("own: not comparable") for note in found.notes)
    assert render_comparison(found).startswith("Not comparable.")


def test_under_another_policy_only_the_auroc_is_compared() -> None:
    run = REPORT.run.model_copy(update={"policy_digest": "another", "policy_version": "9"})

    found = between(
        scored(judge_of(0, 1)), scored(judge_of(0.6, 2)), REPORT.model_copy(update={"run": run})
    )

    assert verdicts(found) == {AUROC: "better"}
    assert any("version 3" in note and "version 9" in note for note in found.notes)


def test_what_only_one_run_has_is_named() -> None:
    first = scored(judge_of(0.3, 1))
    second = [each.model_copy(update={"digest": f"x{each.digest}"}) for each in first]
    alone = scored(judge_of(0.3, 1), judge="a new judge")
    without = [each for each in REPORT.datasets if each.name != "xstest"]

    found = between(first, second + alone, REPORT.model_copy(update={"datasets": without}))

    assert not found.rows
    for words in ("no sample in common", "second run asked a new judge", "first run used xstest"):
        assert any(words in note for note in found.notes)


def test_control_characters_do_not_reach_the_terminal() -> None:
    lines = scored(judge_of(0.3, 1), judge="\x1b[2Jgone [bold]")

    told = render_comparison(between(lines, lines))

    assert "\x1b" not in told
    assert "[bold]" in told


def test_the_worst_comes_first() -> None:
    better = (scored(judge_of(0, 1), judge="up"), scored(judge_of(0.6, 2), judge="up"))
    worse = (scored(judge_of(0.6, 2), judge="down"), scored(judge_of(0, 1), judge="down"))

    told = render_comparison(between(better[0] + worse[0], better[1] + worse[1]))

    assert told.index("down") < told.index("up ")
    assert "6 figures: 3 better, 3 worse, 0 without a difference" in told


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_a_corrected_p_is_never_lower_and_keeps_the_order(values: list[float]) -> None:
    found = holm(values)

    assert all(value <= after <= 1 for value, after in zip(values, found, strict=True))
    order = sorted(range(len(values)), key=lambda place: values[place])
    assert [found[place] for place in order] == sorted(found)
