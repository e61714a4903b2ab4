"""Reading labelled samples: what counts, what is refused, and that content is never repeated."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.errors import SetupError
from inwit.evaluation.samples import Sample, Samples, choose, read_samples

ROW: dict[str, Any] = {"prompt": "How do tides work?", "response": "The moon.", "label": "safe"}


def read(folder: Path, *rows: dict[str, Any]) -> Samples:
    file = folder / "samples.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return read_samples(file)


def test_a_prompt_and_messages_are_two_ways_to_say_one_thing(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": ROW["prompt"]}]
    as_messages = {"messages": messages, "response": "Another.", "label": "unsafe"}

    first, second = read(tmp_path, ROW, as_messages).samples

    assert first.conversation == second.conversation
    assert first.group == second.group
    assert (first.label, second.label) == ("safe", "unsafe")
    assert first.digest != second.digest


def test_an_id_is_kept_and_made_where_there_is_none(tmp_path: Path) -> None:
    named, numbered, nameless = read(
        tmp_path, ROW | {"id": "a"}, ROW | {"id": 7, "response": "b"}, ROW | {"response": "c"}
    ).samples

    assert (named.id, numbered.id, nameless.id) == ("a", "7", nameless.digest)


def test_rows_without_label_or_response_and_repeated_rows_are_counted(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        ROW,
        ROW | {"id": "again"},
        ROW | {"label": "unsafe"},
        ROW | {"label": None},
        ROW | {"response": None},
    )

    assert [sample.label for sample in found.samples] == ["safe", "unsafe"]
    assert (found.skipped, found.repeated) == (2, 1)


def test_pairs_and_prompts_join_groups_also_by_way_of_others(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        ROW | {"prompt": "a", "pair_id": 1},
        ROW | {"prompt": "b", "pair_id": 1},
        ROW | {"prompt": "b", "pair_id": 2, "response": "x"},
        ROW | {"prompt": "c", "pair_id": 2},
        ROW | {"prompt": "d", "pair_id": 2, "source": "another"},
        ROW | {"prompt": "e"},
    )

    assert [sample.group for sample in found.samples] == [0, 0, 0, 0, 1, 2]


BAD_ROWS: dict[str, str] = {
    "no JSON": '{"prompt": "SECRET',
    "a list": '["SECRET"]',
    "an unknown label": json.dumps(ROW | {"label": "SECRET"}),
    "no label key": json.dumps({"prompt": "SECRET", "response": "SECRET"}),
    "a response that is no text": json.dumps(ROW | {"response": ["SECRET"]}),
    "no prompt": json.dumps({"response": "SECRET", "label": "safe"}),
    "prompt and messages": json.dumps(ROW | {"messages": [{"role": "user", "content": "SECRET"}]}),
    "an unknown role": json.dumps(
        {"messages": [{"role": "SECRET", "content": "x"}], "response": "x", "label": "safe"}
    ),
    "no messages": json.dumps({"messages": [], "response": "SECRET", "label": "safe"}),
    "too long": json.dumps(ROW | {"response": "SECRET" * 2**20}),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_by_its_line_and_never_quoted(tmp_path: Path, name: str) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n\n{BAD_ROWS[name]}\n")

    with pytest.raises(SetupError) as raised:
        read_samples(file)

    assert f"{file}:3: " in str(raised.value)
    assert "SECRET" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.jsonl: No such file"):
        read_samples(tmp_path / "none.jsonl")


def sample(number: int, *, unsafe: bool) -> Sample:
    label = "unsafe" if unsafe else "safe"
    return Sample(str(number), (), "x", label, f"{number:016x}", number)


SAMPLES = tuple(sample(number, unsafe=number % 4 == 0) for number in range(100))


def test_a_limit_keeps_the_shares_of_the_labels() -> None:
    chosen = choose(SAMPLES, 40, seed=1)

    assert len(chosen) == 40
    assert sum(each.label == "unsafe" for each in chosen) == 10
    assert choose(SAMPLES, None, seed=1) == choose(SAMPLES, 100, seed=1) == SAMPLES


def test_the_choice_follows_from_the_seed_and_not_from_the_order() -> None:
    chosen = set(choose(SAMPLES, 40, seed=1))

    assert set(choose(SAMPLES[::-1], 40, seed=1)) == chosen
    assert set(choose(SAMPLES, 40, seed=2)) != chosen


@given(small=st.integers(0, 100), more=st.integers(0, 100))
def test_a_larger_choice_holds_the_smaller_one(small: int, more: int) -> None:
    smaller, larger = (set(choose(SAMPLES, limit, seed=3)) for limit in (small, small + more))

    assert smaller <= larger
