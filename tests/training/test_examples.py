"""What the conscience is taught on: chosen fairly, asked as served, and never from test parts."""

from pathlib import Path

import pytest

from inwit.adapters import ADAPTER_NAME
from inwit.bootstrap import known_calibrations
from inwit.config import load_settings
from inwit.evaluation.datasets.reading import Dataset, find
from inwit.pipeline.conscience import frame
from inwit.pipeline.exchange import exchange_for
from inwit.policy.calibration import Fingerprint
from inwit.policy.loader import PACKAGED, load_policies
from inwit.training.examples import (
    DISGUISES,
    PARTS,
    Example,
    Lesson,
    Part,
    ask,
    choose,
    examined,
    lessons,
)
from inwit.types import Framing
from tests.evaluation.sets import paired, row, write_set

POLICIES = load_policies(PACKAGED)
DEFAULT = POLICIES["default"]
TAUGHT = [DEFAULT, POLICIES["support"]]
REFUSAL = "I'm sorry, I can't help with that."


def sets(folder: Path) -> tuple[Dataset, ...]:
    """A set with many refusals in its training part, and its test part; one that is foreign."""
    train = paired(40, split_hint="train")
    refusals = [
        row(n, unsafe=False, split_hint="train") | {"response": f"{REFUSAL} {n}"}
        for n in range(40, 140)
    ]
    tested = [each | {"prompt": f"Tested: {each['prompt']}"} for each in paired(9)]
    tested = [each | {"split_hint": "evaluate"} for each in tested]
    write_set(folder, "gptfuzz", [*train, *refusals, *tested])
    write_set(folder, "safetext", paired(20))
    return find(folder, ["gptfuzz", "safetext"]).datasets


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    return choose(sets(tmp_path), (Part("gptfuzz", 60), Part("safetext", 60)), 0, 1.0)


def test_nothing_of_a_test_part_or_a_foreign_set_is_chosen(lesson: Lesson) -> None:
    chosen = [sample for _, sample in (*lesson.train, *lesson.validation)]

    assert chosen
    assert {part.name for part, _ in lesson.train} == {"gptfuzz"}
    assert not [each for each in chosen if each.split != "train"]


def test_no_prompt_is_both_learnt_from_and_stopped_by(lesson: Lesson) -> None:
    groups = [{sample.group for _, sample in side} for side in (lesson.train, lesson.validation)]

    assert groups[0]
    assert groups[1]
    assert not groups[0] & groups[1]


def test_what_is_held_back_is_the_same_for_every_seed(tmp_path: Path) -> None:
    data = sets(tmp_path)
    lessons_ = [choose(data, (Part("gptfuzz", 60),), seed, 1.0) for seed in range(4)]
    learnt = {sample.group for each in lessons_ for _, sample in each.train}

    assert not learnt & {sample.group for each in lessons_ for _, sample in each.validation}


def test_labels_are_balanced_and_refusals_at_most_half_of_the_safe(lesson: Lesson) -> None:
    samples = [sample for _, sample in lesson.train]
    safe = [sample for sample in samples if not sample.unsafe]
    refused = [sample for sample in safe if sample.response.startswith(REFUSAL)]

    assert sum(sample.unsafe for sample in samples) == len(safe) == 30
    assert 0 < len(refused) <= len(safe) // 2


def test_a_share_takes_a_part_of_the_same(tmp_path: Path) -> None:
    data, part = sets(tmp_path), (Part("gptfuzz", 60),)
    some, all_ = choose(data, part, 0, 0.5).train, choose(data, part, 0, 1.0).train

    assert len(some) == 30
    assert {sample.digest for _, sample in some} <= {sample.digest for _, sample in all_}


def test_a_question_is_word_for_word_what_serving_asks(lesson: Lesson) -> None:
    part, sample = lesson.train[0]
    exchange = exchange_for(sample.conversation, sample.candidate("m"), "t")

    for framing in Framing:
        made = ask(sample, DEFAULT, framing, DEFAULT.review.question, part)
        served = frame(framing, DEFAULT.review.question, exchange)
        assert made == Example(served, sample.unsafe, part.weight, "gptfuzz")


def test_the_validation_asks_the_policys_own_question(lesson: Lesson) -> None:
    for example in examined(lesson.validation, DEFAULT):
        assert example.messages[-1].content == DEFAULT.review.question


def test_passes_differ_and_can_be_had_again(lesson: Lesson) -> None:
    first, again, second = (list(lessons(lesson.train, TAUGHT, 7, turn)) for turn in (0, 0, 1))

    assert first == again != second
    assert [each.unsafe for each in first] == [each.unsafe for each in second]
    assert len({each.messages[-1].content for each in first}) > 5  # questions and quotes
    assert {len(each.messages) for each in first} >= {1, 3}  # fresh and same_thread


def test_disguises_are_attacks_and_leave_some_to_be_met_for_the_first_time() -> None:
    from inwit.evaluation.attacks import ATTACKS

    assert set(DISGUISES) < set(ATTACKS)
    assert len(DISGUISES) <= len(ATTACKS) // 2


def test_every_part_may_be_trained_on() -> None:
    """A name that a set has, and a set with a training part."""
    from inwit.evaluation.datasets.recipes import RECIPES

    trained = {recipe.name for recipe in RECIPES if recipe.train}
    assert {part.name for part in PARTS} == trained


def test_a_calibration_of_the_packaged_adapter_is_there_for_the_default_policy() -> None:
    review = DEFAULT.review
    mark = Fingerprint(ADAPTER_NAME, review.framing, review.question_digest)

    assert not known_calibrations(load_settings())[mark].facts.forced
