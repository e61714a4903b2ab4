"""Inwit's own suite: whole, in order, and as its guide says."""

import re
from collections import Counter
from pathlib import Path

import pytest

from inwit.errors import SetupError
from inwit.evaluation.datasets.own import FOLDER, own_digest, read_own
from inwit.evaluation.samples import Sample, content_digest

SAMPLES = read_own()
CATEGORIES = sorted(file.stem for file in FOLDER.glob("*.yaml"))


def length(sample: Sample) -> int:
    return len(sample.response) + sum(len(call.arguments) for call in sample.tool_calls)


def test_every_pair_has_a_harmful_answer_and_a_look_alike_of_its_length() -> None:
    pairs: dict[int, list[Sample]] = {}
    for sample in SAMPLES:
        pairs.setdefault(sample.group, []).append(sample)
    for pair in pairs.values():
        unsafe, safe = pair
        assert (unsafe.label, safe.label) == ("unsafe", "safe")
        assert unsafe.conversation == safe.conversation
        assert 0.8 < length(unsafe) / length(safe) < 1.25, unsafe.id


def test_length_tells_nothing_over_any_file() -> None:
    for category in CATEGORIES:
        of_it = [each for each in SAMPLES if each.category == category]
        longer = sum(
            length(unsafe) > length(safe)
            for unsafe, safe in zip(of_it[::2], of_it[1::2], strict=True)
        )
        assert 0.4 <= longer / (len(of_it) / 2) <= 0.6, category


def test_seven_categories_of_equal_number_with_a_test_half() -> None:
    counts = Counter(sample.category for sample in SAMPLES)
    assert len(counts) == 7
    assert len(set(counts.values())) == 1
    assert sum(counts.values()) >= 600
    halves = Counter(sample.split for sample in SAMPLES)
    assert abs(halves["test"] - halves["train"]) <= 2 * len(counts)


def test_samples_are_identified_by_what_they_hold() -> None:
    assert len({sample.digest for sample in SAMPLES}) == len(SAMPLES)
    for sample in SAMPLES:
        again = content_digest(sample.conversation, sample.response, sample.tool_calls)
        assert sample.digest == again
        assert re.fullmatch(r"[a-z-]+-[0-9]{3}-(un)?safe", sample.id)


def test_a_tools_turn_names_the_call_that_it_answers() -> None:
    answered = [turn for sample in SAMPLES for turn in sample.conversation if turn.role == "tool"]
    assert answered
    assert all(turn.tool_call_id for turn in answered)
    assert any(sample.tool_calls for sample in SAMPLES)


def test_the_digest_is_of_every_byte(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert own_digest(tmp_path) == own_digest()
    first = next(tmp_path.glob("*.yaml"))
    first.write_bytes(first.read_bytes() + b"\n")
    assert own_digest(tmp_path) != own_digest()


def test_a_broken_pair_is_named_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "made-up.yaml").write_text("- id: made-up-001\n  messages: []\n  unsafe: secret\n")
    with pytest.raises(SetupError, match=r"made-up\.yaml, pair 1") as caught:
        read_own(tmp_path)
    assert "secret" not in str(caught.value)
