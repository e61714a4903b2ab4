"""Copies of sets: found by name, split as the recipe says, missing ones named, never guessed."""

from pathlib import Path

import pytest

from inwit.errors import SetupError
from inwit.evaluation.datasets.reading import find, held, read_prompts
from inwit.evaluation.datasets.recipes import RECIPES, Distribution
from inwit.evaluation.samples import draw
from inwit.types import Message
from tests.evaluation.sets import both_sets, paired, write_set

BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    found = find(both_sets(tmp_path))

    assert [each.recipe.name for each in found.datasets] == ["own", "gptfuzz", "safetext"]
    missing = {recipe.name for recipe in found.missing}
    assert {"xstest", "jade_zh", "mind2web_sc"} <= missing
    assert not missing & {"own", "gptfuzz", "safetext", "multijail"}


def test_without_a_folder_there_is_the_own_suite() -> None:
    found = find(None)

    assert [each.recipe.name for each in found.datasets] == ["own"]
    assert held(BY_NAME["own"], None) == "602 labelled"
    assert held(BY_NAME["gptfuzz"], None) is None


def test_parts_are_those_of_the_recipe(tmp_path: Path) -> None:
    fuzz, foreign = find(both_sets(tmp_path), ("gptfuzz", "safetext")).datasets

    assert (len(fuzz.train), len(fuzz.test)) == (800, 80)
    assert not {one.group for one in fuzz.train} & {one.group for one in fuzz.test}
    assert (len(foreign.train), len(foreign.test)) == (0, 60)
    assert {one.category for one in foreign.test} == {"garden"}


def test_an_unknown_set_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SetupError, match="gptfuzz"):
        find(None, ("nowhere",))


def test_prompts_are_told_once_with_their_system_turn(tmp_path: Path) -> None:
    rows = [{"prompt": "A", "system": "S"}, {"prompt": "A", "system": "S"}, {"prompt": "B"}]
    write_set(tmp_path, "purplellama", rows)

    found = read_prompts(BY_NAME["purplellama"], tmp_path)

    assert found == (
        (Message("system", "S"), Message("user", "A")),
        (Message("user", "B"),),
    )
    assert held(BY_NAME["purplellama"], tmp_path) == "2 prompts"
    assert read_prompts(BY_NAME["multijail"], tmp_path) == ()
    assert held(BY_NAME["multijail"], tmp_path) is None


def test_recipes_say_where_a_set_is_from_and_what_its_label_means() -> None:
    assert len(BY_NAME) == len(RECIPES) == 19
    for recipe in RECIPES:
        assert recipe.origin
        assert recipe.licence
        assert recipe.label
        assert recipe.distribution is not Distribution.OUT or not recipe.train


def test_a_draw_is_balanced_spread_over_prompts_and_the_same_again(tmp_path: Path) -> None:
    rows = [*paired(40), *({**row, "prompt": "one"} for row in paired(90)[80:])]
    write_set(tmp_path, "safetext", rows)
    (dataset,) = find(tmp_path, ("safetext",)).datasets

    drawn = draw(dataset.test, 30, seed=1)

    assert sum(each.unsafe for each in drawn) == 15
    assert len({each.digest for each in drawn}) == 30
    one = [each for each in drawn if each.conversation[0].content == "one"]
    assert len(one) <= 4
    assert draw(reversed(dataset.test), 30, seed=1) == drawn
    assert draw(dataset.test, 30, seed=2) != drawn
    assert len(draw(dataset.test, 10_000, seed=1)) <= len(dataset.test)


def test_a_tenth_of_the_prompts_is_held_back_and_never_learnt(tmp_path: Path) -> None:
    rows = paired(300, split_hint="train")
    write_set(tmp_path / "a", "gptfuzz", rows)
    write_set(tmp_path / "b", "gptfuzz", rows[::-1])
    first, second = (find(tmp_path / name, ("gptfuzz",)).datasets[0] for name in "ab")

    learnt = {each.group for each in first.learnt}
    held_back = {each.group for each in first.held_back}

    assert learnt
    assert not learnt & held_back
    assert len(first.learnt) + len(first.held_back) == len(first.train)
    assert 0.05 < len(held_back) / 300 < 0.16
    # Whatever the order in which the rows come.
    assert {each.digest for each in first.held_back} == {each.digest for each in second.held_back}
