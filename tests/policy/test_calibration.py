"""The map that serving applies, and the files that it comes from."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.errors import SetupError
from inwit.policy.calibration import (
    Calibration,
    Estimate,
    Facts,
    Fingerprint,
    Quality,
    dump_calibration,
    load_calibrations,
)
from inwit.types import Framing

FINGERPRINT = Fingerprint("fake-model", Framing.SAME_THREAD, "0123456789abcdef")
ESTIMATE = Estimate(0.5, 0.25, 0.75)
QUALITY = Quality(ESTIMATE, ESTIMATE, ESTIMATE)
FACTS = Facts(
    safe=60,
    unsafe=50,
    prompts=100,
    not_judged=3,
    samples_prior=0.45,
    prior=0.01,
    auroc=ESTIMATE,
    before=QUALITY,
    after=QUALITY,
    table_error=0.0002,
    forced=False,
    seed=0,
    made=datetime(2026, 1, 1, tzinfo=UTC),
    tool="inwit 0",
)

Points = tuple[tuple[float, float], ...]
SHARES = st.floats(0, 1)


def table(*points: tuple[float, float]) -> Calibration:
    return Calibration(FINGERPRINT, "platt", points, FACTS)


SIMPLE = table((0.0, 0.1), (0.5, 0.2), (1.0, 0.6))


@st.composite
def tables(draw: st.DrawFn) -> Calibration:
    inner = draw(st.sets(st.floats(0, 1, exclude_min=True, exclude_max=True), max_size=20))
    raw = sorted({0.0, 1.0} | inner)
    risks = sorted(draw(st.lists(SHARES, min_size=len(raw), max_size=len(raw))))
    return table(*zip(raw, risks, strict=True))


def test_a_risk_between_two_points_lies_on_their_line() -> None:
    assert SIMPLE.apply(0.25) == pytest.approx(0.15)
    assert SIMPLE.apply(0.75) == pytest.approx(0.4)


@given(tables())
def test_the_points_and_the_ends_are_met_exactly(calibration: Calibration) -> None:
    assert [calibration.apply(raw) for raw, _ in calibration.points] == [
        risk for _, risk in calibration.points
    ]


@given(tables(), SHARES, SHARES)
def test_a_higher_raw_risk_never_gets_a_lower_one(
    calibration: Calibration, one: float, other: float
) -> None:
    low, high = calibration.apply(min(one, other)), calibration.apply(max(one, other))

    assert 0 <= low <= high <= 1


@given(tables(), SHARES)
def test_a_tie_of_calibrated_risks_is_flat(calibration: Calibration, raw: float) -> None:
    """Between two points with one value there is no other value."""
    flat = replace(calibration, points=tuple((point, 0.3) for point, _ in calibration.points))

    assert flat.apply(raw) == 0.3


@pytest.mark.parametrize("raw", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_risk_is_refused(raw: float) -> None:
    with pytest.raises(ValueError, match="raw risk"):
        SIMPLE.apply(raw)


BAD_POINTS: dict[str, Points] = {
    "none": (),
    "one": ((0.0, 0.5),),
    "not from 0": ((0.1, 0.1), (1.0, 0.2)),
    "not to 1": ((0.0, 0.1), (0.9, 0.2)),
    "raw twice": ((0.0, 0.1), (0.5, 0.2), (0.5, 0.3), (1.0, 0.4)),
    "raw falls": ((0.0, 0.1), (0.6, 0.2), (0.5, 0.3), (1.0, 0.4)),
    "calibrated falls": ((0.0, 0.5), (1.0, 0.4)),
    "calibrated above 1": ((0.0, 0.5), (1.0, 1.5)),
    "calibrated below 0": ((0.0, -0.5), (1.0, 0.5)),
    "not a number": ((0.0, 0.1), (float("nan"), 0.2), (1.0, 0.4)),
    "calibrated not a number": ((0.0, 0.1), (1.0, float("nan"))),
}


@pytest.mark.parametrize("points", BAD_POINTS.values(), ids=BAD_POINTS)
def test_a_table_that_is_not_monotone_on_the_whole_range_cannot_be_made(points: Points) -> None:
    with pytest.raises(ValueError, match="must"):
        table(*points)


@given(calibration=tables())
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, calibration: Calibration
) -> None:
    folder = tmp_path_factory.mktemp("calibrations")
    (folder / "one.json").write_bytes(dump_calibration(calibration))

    read = load_calibrations(folder)

    assert read == {FINGERPRINT: calibration}
    assert read[FINGERPRINT].digest == calibration.digest


def test_the_digest_tells_maps_apart_and_does_not_look_at_facts() -> None:
    elsewhere = replace(SIMPLE, fingerprint=replace(FINGERPRINT, framing=Framing.FRESH))

    assert table((0.0, 0.1), (1.0, 0.6)).digest != SIMPLE.digest
    assert elsewhere.digest != SIMPLE.digest
    assert replace(SIMPLE, facts=replace(FACTS, seed=7)).digest == SIMPLE.digest


def test_each_fingerprint_finds_its_own_file(tmp_path: Path) -> None:
    other = replace(SIMPLE, fingerprint=replace(FINGERPRINT, question_digest="f" * 16))
    (tmp_path / "a.json").write_bytes(dump_calibration(SIMPLE))
    (tmp_path / "b.json").write_bytes(dump_calibration(other))
    (tmp_path / "notes.txt").write_text("not a calibration")

    found = load_calibrations(tmp_path)

    assert found == {FINGERPRINT: SIMPLE, other.fingerprint: other}
    assert replace(FINGERPRINT, model="another") not in found


def test_an_empty_folder_gives_none_and_no_folder_is_an_error(tmp_path: Path) -> None:
    assert load_calibrations(tmp_path) == {}
    with pytest.raises(SetupError, match=r"INWIT_CALIBRATION_DIR names .*nothing-here"):
        load_calibrations(tmp_path / "nothing-here")


def test_two_files_for_one_fingerprint_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(dump_calibration(SIMPLE))

    with pytest.raises(SetupError, match=r"b\.json: a\.json is for the same model"):
        load_calibrations(tmp_path)


def spoiled(path: str, value: Any) -> bytes:
    """A sound file with one value changed, or taken away."""
    data = json.loads(dump_calibration(SIMPLE))
    *parents, last = path.split(".")
    inner = data
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(data).encode()


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "the file"),
    "no UTF-8": (b"\xff", "the file"),
    "too large": (b" " * (2**20 + 1), "larger"),
    "another format": (spoiled("format", 2), "`format`"),
    "another method": (spoiled("method", "magic"), "`method`"),
    "an unknown key": (spoiled("extra", 1), "`extra`"),
    "no points": (spoiled("points", None), "`points`"),
    "falling points": (spoiled("points", [[0.0, 0.5], [1.0, 0.1]]), "`points`"),
    "points of three": (spoiled("points", [[0.0, 0.5, 1.0], [1.0, 0.1]]), "`points.0`"),
    "a risk as text": (spoiled("points", [["0", 0.5], [1.0, 0.1]]), "`points.0.0`"),
    "a risk that is no number": (
        dump_calibration(SIMPLE).replace(b"[0.5, 0.2]", b"[0.5, NaN]"),
        "`points.1.1`",
    ),
    "an unknown framing": (spoiled("fingerprint.framing", "sideways"), "`fingerprint.framing`"),
    "no digest": (spoiled("fingerprint.question_digest", "?"), "`fingerprint.question_digest`"),
    "no model": (spoiled("fingerprint.model", None), "`fingerprint.model`"),
    "a time without a zone": (spoiled("facts.made", "2026-01-01T00:00:00"), "`facts.made`"),
    "a share above 1": (spoiled("facts.prior", 1.5), "`facts.prior`"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_sentence_and_nothing_is_loaded(tmp_path: Path, name: str) -> None:
    content, named = BAD_FILES[name]
    (tmp_path / "a-sound-one.json").write_bytes(dump_calibration(SIMPLE))
    (tmp_path / "bad.json").write_bytes(content)

    with pytest.raises(SetupError) as raised:
        load_calibrations(tmp_path)

    told = str(raised.value)
    assert told.startswith(str(tmp_path / "bad.json"))
    assert named in told
    assert "inwit calibrate" in told


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()

    with pytest.raises(SetupError, match=r"folder\.json: Is a directory"):
        load_calibrations(tmp_path)
