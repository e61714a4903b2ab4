"""What a training that was stopped goes on from, where no torch is needed."""

from math import isnan, nan
from pathlib import Path

from inwit.training.facts import SeedTrained
from inwit.training.resuming import CHECKPOINTS, STATE, begin, end, last_checkpoint


def test_a_checkpoint_that_was_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    for step, whole in ((8, True), (12, True), (16, False)):
        folder = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if whole:
            (folder / STATE).write_text("{}")

    found = last_checkpoint(tmp_path)

    assert found is not None
    assert found.name == "checkpoint-12"
    assert last_checkpoint(tmp_path / "empty") is None


def test_what_ended_without_a_number_is_read_back(tmp_path: Path) -> None:
    """A loss that diverged, an AUROC that no set could give: it has ended all the same."""
    trained = SeedTrained(seed=0, auroc={"auroc": nan}, loss=nan, steps=8, seconds=1)
    assert begin(tmp_path, "d", resume=False) is None
    (tmp_path / CHECKPOINTS).mkdir()
    end(tmp_path, "d", trained)

    found = begin(tmp_path, "d", resume=True)

    assert found is not None
    assert isnan(found.loss)
    assert isnan(found.auroc["auroc"])
    assert "NaN" not in (tmp_path / "run.json").read_text()  # which is no JSON
