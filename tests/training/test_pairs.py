"""Pairs on disk: read back as they were written, for one user alone, and never half."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.errors import SetupError
from inwit.training.pairs import Pair, read_pairs, write_pairs
from inwit.types import Message

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
TURNS = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant", "system"]), TEXT), min_size=1
)
PAIRS = st.lists(st.builds(Pair, TURNS.map(tuple), TEXT, TEXT, TEXT), max_size=5)
PAIR = Pair((Message("user", "How do tides work?"),), "The moon.", "Magic.", "rul_1")


@settings(deadline=None)
@given(PAIRS)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Pair]
) -> None:
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"

    assert write_pairs(file, pairs) == len(pairs)
    assert read_pairs(file) == pairs


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_line_feeds_end_lines(tmp_path: Path, end: str) -> None:
    """JSON allows the other separators of Unicode within strings, as they are."""
    pair = PAIR.as_preference() | {"chosen": [{"role": "assistant", "content": "a\u2028b\x85c"}]}
    file = tmp_path / "pairs.jsonl"
    text = end.join([json.dumps(pair, ensure_ascii=False)] * 2)
    file.write_bytes(text.encode())

    assert [each.chosen for each in read_pairs(file)] == ["a\u2028b\x85c"] * 2


def test_only_this_user_can_read_them(tmp_path: Path) -> None:
    write_pairs(tmp_path / "new" / "pairs.jsonl", [PAIR])

    assert stat.S_IMODE((tmp_path / "new" / "pairs.jsonl").stat().st_mode) == 0o600


def test_what_breaks_off_leaves_the_last_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Pair]:
        yield PAIR
        raise OSError(28, "No space left on device")

    file = tmp_path / "pairs.jsonl"
    write_pairs(file, [PAIR])
    before = file.read_bytes()

    with pytest.raises(SetupError, match="No space left"):
        write_pairs(file, broken())

    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "row",
    [
        "{",
        "[]",
        json.dumps({"prompt": [], "chosen": [], "rejected": []}),
        json.dumps(PAIR.as_preference() | {"chosen": [{"role": "user", "content": "secret"}]}),
        json.dumps(PAIR.as_preference() | {"rejected": [{"role": "assistant", "content": 7}]}),
    ],
)
def test_a_wrong_line_is_named_without_its_content(tmp_path: Path, row: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(PAIR.as_preference()) + "\n\n" + row + "\n")

    with pytest.raises(SetupError, match=r"pairs\.jsonl:3: not a pair") as raised:
        read_pairs(file)
    assert "secret" not in str(raised.value)
