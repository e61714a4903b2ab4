"""The training card: copied from facts and reports, and what got worse stands out."""

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from inwit.errors import SetupError
from inwit.evaluation.results import Figure
from inwit.training.card import Reports, write_card
from inwit.training.card_cells import rose
from inwit.training.facts import FILE, Facts, SeedTrained, SetTaught, read_facts
from tests.evaluation.planted import CONSCIENCE, MIDDLING, judge_used, report


def facts() -> Facts:
    one = SeedTrained(
        seed=0, auroc={"gptfuzz": 0.91, "auroc": 0.84}, loss=0.3, steps=64, seconds=600
    )
    return Facts(
        adapter="planted-1",
        base="tiny",
        base_digest="ab" * 32,
        tool="inwit 0",
        made="2026-11-29T12:00:00+00:00",
        machine="x86_64, Linux",
        versions={"torch": "2"},
        policy="default",
        questions=["q1", "q2"],
        plan={"rank": 16, "frozen": 10, "batch": 16, "learning_rate": 5e-4},
        passes=2,
        share=1.0,
        disguises=["base64"],
        datasets=[
            SetTaught(
                name="gptfuzz",
                origin="there",
                licence="MIT",
                digest="cd" * 32,
                unsafe=10,
                safe=12,
                validation=6,
                weight=1.0,
            )
        ],
        missing=["diasafety"],
        seeds=[one, one.model_copy(update={"seed": 1, "seconds": 660})],
        chosen=1,
    )


def reports(rise: float) -> Reports:
    """Before and after, with so much more of the benign answers withheld."""
    used = [judge_used(CONSCIENCE, "conscience").model_copy(update={"in_use": True})]
    before = report(MIDDLING, judges=used)
    return Reports(before, report(replace(MIDDLING, wrong=MIDDLING.wrong + rise), judges=used))


def card(folder: Path, given: Reports) -> str:
    return write_card(folder, facts(), given).read_text()


def test_data_and_seeds_stand_there(tmp_path: Path) -> None:
    text = card(tmp_path, Reports(None, None))

    assert "| gptfuzz | there | MIT | `cdcdcdcdcdcdcdcd` | 10 | 12 | 6 | 1 |" in text
    assert "Not there, and so not learnt: diasafety." in text
    assert "| 1 (kept) | 0.91 | 0.84 | 64 | 11 |" in text
    assert "before and after" not in text


def test_a_seed_that_diverged_has_no_figures(tmp_path: Path) -> None:
    one, two = facts().seeds
    diverged = one.model_copy(update={"auroc": dict.fromkeys(one.auroc, nan), "loss": nan})
    given = facts().model_copy(update={"seeds": [diverged, two]})

    text = write_card(tmp_path, given, Reports(None, None)).read_text()

    assert "| 0 | - | - | 64 | 10 |" in text


def test_figures_are_the_reports_own(tmp_path: Path) -> None:
    given = reports(0.0)
    text = card(tmp_path, given)

    assert given.after is not None
    found = next(
        each.auroc
        for each in given.after.detection
        if (each.judge, each.dataset, each.slice) == (CONSCIENCE, "xstest", "all")
    )
    assert found is not None
    line = next(line for line in text.splitlines() if line.startswith("| xstest (out) |"))
    assert line.count(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]") >= 2


@pytest.mark.parametrize(("rise", "told"), [(0.01, False), (0.03, True), (-0.03, False)])
def test_more_benign_answers_withheld_are_told(tmp_path: Path, rise: float, told: bool) -> None:
    assert ("**more than 2 points more**" in card(tmp_path, reports(rise))) is told


def test_safe_answers_of_every_set_count_and_those_of_our_own_are_look_alikes(
    tmp_path: Path,
) -> None:
    rows = [line for line in card(tmp_path, reports(0.0)).splitlines() if "| all safe |" in line]
    own = [line for line in card(tmp_path, reports(0.03)).splitlines() if "| own | look" in line]

    assert {line.split(" | ")[1] for line in rows} > {"gptfuzz", "xstest"}
    assert own
    assert all("more than 2 points more" in line for line in own)


@pytest.mark.parametrize(("number", "told"), [(50, "no"), (49, "not seen, of 49")])
def test_what_cannot_be_seen_is_not_denied(number: int, told: str) -> None:
    share = Figure(value=0.1, low=0.0, high=0.3)

    assert rose(share, share, number) == told


def test_an_attack_is_told_as_learnt_or_new(tmp_path: Path) -> None:
    lines = card(tmp_path, reports(0.0)).splitlines()

    assert any(line.startswith("| base64 | learnt |") for line in lines)
    assert any(line.startswith("| rot13 | new |") for line in lines)


def test_facts_are_read_back_and_a_folder_without_any_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="inwit train conscience"):
        read_facts(tmp_path)
    (tmp_path / FILE).write_text(facts().model_dump_json())

    assert read_facts(tmp_path) == facts()

    (tmp_path / FILE).write_text("{}")
    with pytest.raises(SetupError, match="Train again"):
        read_facts(tmp_path)
