"""The scores file: what is asked once is kept, and nothing of another question is mixed in."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inwit.errors import SetupError
from inwit.evaluation.samples import Sample
from inwit.evaluation.scores import open_scores, scored_model
from inwit.policy.policy import ReviewSpec
from inwit.types import Fault, Framing, ReviewStatus, Verdict

REVIEW = ReviewSpec(Framing.QUOTED, "Is it harmful?", 0.15)
ONE, TWO, THREE = (
    Sample(name, (), f"SECRET {name}", "unsafe", f"{name:>016}", 0) for name in ("1", "2", "3")
)
JUDGED = Verdict("conscience", ReviewStatus.JUDGED, risk=0.25)


def failed(fault: Fault) -> Verdict:
    return Verdict("conscience", ReviewStatus.UNAVAILABLE, fault=fault)


def write(file: Path) -> None:
    with open_scores(file, "m", REVIEW) as scores:
        scores.add(ONE, JUDGED)
        scores.add(TWO, failed(Fault.TIMEOUT))
        scores.add(THREE, failed(Fault.LOW_LABEL_MASS))


def test_the_next_run_knows_what_was_said_and_asks_again_what_was_only_bad_luck(
    tmp_path: Path,
) -> None:
    file = tmp_path / "scores.jsonl"
    write(file)

    with open_scores(file, "m", REVIEW) as scores:
        known = [scores.get(sample) for sample in (ONE, TWO, THREE)]
        settled = [scores.is_settled(sample) for sample in (ONE, TWO, THREE)]
        scores.add(TWO, replace(JUDGED, risk=0.75))
    with open_scores(file, "m", REVIEW) as scores:
        again = scores.get(TWO)

    assert [score and score.raw for score in known] == [0.25, None, None]
    assert settled == [True, False, True]
    assert again is not None
    assert again.raw == 0.75
    assert scored_model(file) == "m"


def test_the_raw_risk_is_kept_where_another_calibration_was_in_force(tmp_path: Path) -> None:
    with open_scores(None, "m", REVIEW) as scores:
        scores.add(ONE, replace(JUDGED, risk=0.9, raw_risk=0.25, calibrated=True))

    known = scores.get(ONE)
    assert known is not None
    assert known.raw == 0.25


def test_it_holds_ids_labels_and_numbers_and_no_text(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    write(file)

    head, first, *_ = [json.loads(line) for line in file.read_text().splitlines()]

    assert head["framing"] == "quoted"
    assert first == {"id": "1", "digest": ONE.digest, "label": "unsafe", "raw_risk": 0.25}
    assert "SECRET" not in file.read_text()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_cut_off_is_asked_again_and_written_whole(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "scores.jsonl"
    write(file)
    file.write_bytes(file.read_bytes()[:-cut])

    with open_scores(file, "m", REVIEW) as scores:
        assert scores.get(ONE) is not None
        assert scores.get(THREE) is None
        scores.add(THREE, JUDGED)

    with open_scores(file, "m", REVIEW) as scores:
        assert scores.get(THREE) is not None


OTHERS: dict[str, tuple[str, ReviewSpec]] = {
    "model": ("n", REVIEW),
    "framing": ("m", replace(REVIEW, framing=Framing.FRESH)),
    "question digest": ("m", replace(REVIEW, question="Is it bad?")),
    "label mass floor": ("m", replace(REVIEW, label_mass_floor=0.5)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_scores_of_another_model_or_question_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "scores.jsonl"
    write(file)
    before = file.read_bytes()

    with (
        pytest.raises(SetupError, match=f"another {name}"),
        open_scores(file, *OTHERS[name]),
    ):
        pass
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"hello\n", b"{}\n", b"\xff\xfe\n", b"hello"])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "precious.txt"
    file.write_bytes(content)

    with (
        pytest.raises(SetupError, match="not a scores file"),
        open_scores(file, "m", REVIEW),
    ):
        pass
    assert file.read_bytes() == content


def test_two_at_once_do_not_mix_their_scores(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"

    with (
        open_scores(file, "m", REVIEW),
        pytest.raises(SetupError, match="another `inwit calibrate`"),
        open_scores(file, "m", REVIEW),
    ):
        pass

    with open_scores(file, "m", REVIEW) as scores:
        assert scores.get(ONE) is None


def test_a_spoiled_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    write(file)
    file.write_text(file.read_text() + '{"id": "SECRET"}\n')

    with pytest.raises(SetupError) as raised, open_scores(file, "m", REVIEW):
        pass

    assert f"{file}:5: not a score" in str(raised.value)
    assert "SECRET" not in str(raised.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match="No such file"),
        open_scores(tmp_path / "none" / "scores.jsonl", "m", REVIEW),
    ):
        pass
