"""The trainings of one command, seed by seed: what is gone on with, and which one is kept.

What stands between is faked: the training itself, and the base model's answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="`make train-test` makes the environment")

from inwit.errors import SetupError
from inwit.evaluation.samples import Sample, content_digest
from inwit.policy.loader import PACKAGED, load_policies
from inwit.training import teach as teaching
from inwit.training.conscience import Plan, Trained
from inwit.training.facts import Facts, read_facts
from inwit.training.resuming import CHECKPOINTS
from inwit.training.teach import Request, teach
from inwit.types import Message

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]


@dataclass
class Fake:
    """Trainings that take no time: their losses by seed, one that is killed, those that were."""

    losses: dict[int, float] = field(default_factory=dict[int, float])
    killed_in: int | None = None
    answer: str = "Plant tulips."
    done: list[int] = field(default_factory=list[int])

    def train(self, *given: Any, **_: Any) -> Trained:
        plan, out = given[3:]
        (out / CHECKPOINTS).mkdir(exist_ok=True)
        if plan.seed == self.killed_in:
            raise KeyboardInterrupt
        (out / "adapter").mkdir(exist_ok=True)
        (out / "adapter" / "adapter_model.safetensors").write_text(f"{plan.seed}")
        (out / "adapter" / "adapter_config.json").write_text("{}")
        self.done.append(plan.seed)
        loss = self.losses.get(plan.seed, 1.0)
        return Trained({"own": loss, "auroc": loss}, loss, 8)

    def answers(self, _base: Path, _count: int, _seed: int) -> list[Sample]:
        asked = (Message("user", "Which bed?"),)
        digest = content_digest(asked, self.answer)
        return [Sample("everyday-0", asked, self.answer, "safe", digest, 0)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(teaching, "train", made.train)
    monkeypatch.setattr(teaching, "everyday_samples", made.answers)
    return made


@pytest.fixture
def taught(tmp_path: Path) -> Callable[..., Facts]:
    """`teach` with three seeds, on Inwit's own suite."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "other"}')
    policies = [load_policies(PACKAGED)["default"]]

    def run(*, resume: bool = False, passes: int = 1, said: list[str] | None = None) -> Facts:
        out, seeds = tmp_path / "out", (0, 1, 2)
        request = Request("planted", base, out, None, Plan(), seeds, passes, 0.02, 1, resume=resume)
        return teach(request, policies, (said if said is not None else []).append)

    return run


def test_killed_in_its_first_seed_it_goes_on_over_an_older_training(
    fake: Fake, taught: Callable[..., Facts]
) -> None:
    taught()
    fake.killed_in = 0
    with pytest.raises(KeyboardInterrupt):
        taught(passes=2)
    fake.killed_in, fake.done = None, []

    facts = taught(passes=2, resume=True)

    assert fake.done == [0, 1, 2]
    assert facts.passes == 2


def test_seeds_that_have_ended_are_not_trained_again(
    fake: Fake, taught: Callable[..., Facts]
) -> None:
    fake.killed_in = 1
    with pytest.raises(KeyboardInterrupt):
        taught()
    fake.killed_in = None

    assert len(taught(resume=True).seeds) == 3
    assert fake.done == [0, 1, 2]


def test_a_seed_that_diverged_is_told_not_kept_and_does_not_stand_in_the_way(
    fake: Fake, taught: Callable[..., Facts], tmp_path: Path
) -> None:
    fake.losses = {0: nan, 1: 0.6, 2: 0.4}
    fake.killed_in = 2
    with pytest.raises(KeyboardInterrupt):
        taught()
    fake.killed_in, said = None, list[str]()

    facts = taught(resume=True, said=said)

    assert fake.done == [0, 1, 2]
    assert facts.chosen == 2
    assert (tmp_path / "out" / "peft" / "adapter_model.safetensors").read_text() == "2"
    assert "seed 0: diverged, its loss on validation samples is no number" in said
    assert isnan(read_facts(tmp_path / "out").seeds[0].loss)


def test_where_every_seed_diverged_that_is_said_again(
    fake: Fake, taught: Callable[..., Facts]
) -> None:
    fake.losses = dict.fromkeys(range(3), nan)

    for resume in (False, True):
        with pytest.raises(SetupError, match=r"Every training diverged.*lower --learning-rate"):
            taught(resume=resume)
    assert fake.done == [0, 1, 2]


def test_other_answers_of_the_base_are_another_training(
    fake: Fake, taught: Callable[..., Facts]
) -> None:
    taught()
    fake.answer = "Plant roses."

    with pytest.raises(SetupError, match="holds another training: other samples"):
        taught(resume=True)
