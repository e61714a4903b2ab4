"""A report's files: all of them or none, and the same text for the same report."""

import json
from pathlib import Path

import pytest

from inwit.errors import SetupError
from inwit.evaluation.report.files import (
    PAGE,
    REPORT,
    SAMPLES,
    read_report,
    report_json,
    samples_jsonl,
    write_report,
)
from inwit.evaluation.results import Report, SampleScore
from tests.evaluation import planted

MADE = planted.small()
OTHER = planted.small(limits=[])
LINES = [
    SampleScore(
        dataset="own",
        id=f"deception-00{number}-{label}",
        digest=f"d{number}{label}",
        label=label,
        variant="plain",
        judge=judge,
        risk=0.25,
        flagged=False,
        fault=None,
        group=number,
    )
    for number in (2, 1)
    for label in ("unsafe", "safe")
    for judge in (planted.PIPELINE, planted.CONSCIENCE)
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "run", MADE, LINES)

    report, lines = read_report(tmp_path / "new" / "run")

    assert report == MADE
    assert set(lines) == set(LINES)
    assert sorted(each.name for each in (tmp_path / "new" / "run").iterdir()) == [
        PAGE,
        REPORT,
        SAMPLES,
    ]
    assert "<h1>" in (tmp_path / "new" / "run" / PAGE).read_text()


def test_one_report_is_one_text() -> None:
    turned = Report.model_validate(
        dict(reversed(list(json.loads(report_json(MADE)).items()))), by_alias=True
    )

    assert report_json(turned) == report_json(MADE)
    assert samples_jsonl(LINES[::-1]) == samples_jsonl(LINES)
    assert list(json.loads(report_json(MADE))) == sorted(json.loads(report_json(MADE)))


def test_samples_hold_no_text() -> None:
    (first, *_) = samples_jsonl(LINES).splitlines()

    assert set(json.loads(first)) == set(SampleScore.model_fields)


def test_a_second_report_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_report(tmp_path, MADE, LINES)

    write_report(tmp_path, OTHER, LINES[:2])

    report, lines = read_report(tmp_path)
    assert (report, len(lines)) == (OTHER, 2)


def test_a_report_that_cannot_be_said_leaves_the_last_one_alone(tmp_path: Path) -> None:
    write_report(tmp_path, MADE, LINES)
    broken = MADE.run.model_copy(update={"seconds": float("nan")})

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(tmp_path, MADE.model_copy(update={"run": broken}), LINES)

    assert read_report(tmp_path)[0] == MADE


def test_half_a_report_does_not_read_as_one(tmp_path: Path) -> None:
    """The page's place is taken by a folder: the samples are there already, and no report is."""
    write_report(tmp_path, MADE, LINES)
    (tmp_path / PAGE).unlink()
    (tmp_path / PAGE / "kept").mkdir(parents=True)

    with pytest.raises(SetupError, match="A report needs a folder"):
        write_report(tmp_path, OTHER, LINES)

    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(SetupError, match=r"report\.json.*finished run"):
        read_report(tmp_path)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")

    with pytest.raises(SetupError, match="A report needs a folder"):
        write_report(tmp_path / "run", MADE, LINES)


def test_what_is_wrong_is_told_by_its_place_alone(tmp_path: Path) -> None:
    write_report(tmp_path, MADE, LINES)
    with (tmp_path / SAMPLES).open("a") as out:
        out.write('{"dataset": "something private"}\n')

    with pytest.raises(SetupError, match=f"samples.jsonl:{len(LINES) + 1}: not written") as told:
        read_report(tmp_path)

    assert "private" not in str(told.value)
