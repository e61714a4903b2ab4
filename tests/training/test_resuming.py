"""What a training that was stopped goes on from, where no torch is needed."""

from pathlib import Path

from inwit.training.resuming import CHECKPOINTS, STATE, last_checkpoint


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
