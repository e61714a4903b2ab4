"""What holds for every attack."""

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inwit.evaluation.attacks import ATTACKS, Attacked, Group, most_characters
from inwit.evaluation.attacks.attack import LONGEST
from inwit.types import Message
from tests.evaluation.attacks.texts import REQUEST, RESPONSE, SEEDS, TEXTS, attacked, patient, text

PAGE = Path(__file__).parents[3] / "docs" / "evaluation" / "attacks.md"
NOTHING_TO_DRAW = {
    "zero_width",
    "character_space",
    "translation_table_de",
    "translation_table_es",
    "translation_table_fr",
}
NAMES = st.sampled_from(list(ATTACKS))
every = pytest.mark.parametrize("name", ATTACKS)


def test_the_page_has_a_row_for_each_and_for_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)

    assert [name for name, _ in rows] == list(ATTACKS)
    for name, row in rows:
        assert all(cell.strip() for cell in row.split(" | ")), name
        assert len(row.split(" | ")) == 5, name


def test_each_group_has_an_attack_and_each_attack_says_what_it_does() -> None:
    assert {attack.group for attack in ATTACKS.values()} == set(get_args(Group))
    assert all(name == attack.name for name, attack in ATTACKS.items())
    assert len({attack.about for attack in ATTACKS.values()}) == len(ATTACKS)


@settings(patient, max_examples=300)
@given(name=NAMES, before=TEXTS, seed=SEEDS)
def test_the_same_seed_makes_the_same(name: str, before: Attacked, seed: int) -> None:
    attack = ATTACKS[name]

    assert attack.on(before, seed, "a-digest") == attack.on(before, seed, "a-digest")


def test_the_same_seed_makes_the_same_in_another_process() -> None:
    """Figures can be reproduced elsewhere: nothing hangs on hash seeds or versions."""
    moon = text("The moon is late, and so is the tide.")

    assert attacked("leetspeak", moon, 7).response == "7h3 m00n !$ |@73, @nd $0 !$ 7h3 71d3."
    assert attacked("payload_split", moon, 7).response == (
        'part_1 = "The moon"\npart_2 = " is late"\npart_3 = ", and so is t"\npart_4 = "he tide."\n'
        "answer = part_1 + part_2 + part_3 + part_4\nprint(answer)"
    )


@every
def test_seed_and_sample_draw(name: str) -> None:
    attack = ATTACKS[name]
    of_seeds = {attack.on(text(), seed, "a-digest") for seed in range(40)}
    of_samples = {attack.on(text(), 0, str(sample)) for sample in range(40)}

    drawn = name not in NOTHING_TO_DRAW
    assert (len(of_seeds) > 1, len(of_samples) > 1) == (drawn, drawn)


@settings(patient, max_examples=300)
@given(name=NAMES, before=TEXTS, seed=SEEDS)
def test_growth_is_bounded_and_text_stays_text(name: str, before: Attacked, seed: int) -> None:
    after = ATTACKS[name].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    assert after.size <= most_characters(before.size)
    assert len(after.response) <= most_characters(len(before.response))
    assert "".join((after.request, after.response)).encode()


@every
@pytest.mark.parametrize(
    "unit", ["a ", "I am a ", "\n", "`", '"', "\\", "\x01", "\u6f6e", "\U0001f30a", "a\u0301"]
)
def test_growth_is_bounded_for_the_longest_texts(name: str, unit: str) -> None:
    full = "ab" + unit * ((LONGEST - 2) // len(unit))
    before = Attacked((Message("user", full),), full)

    after = ATTACKS[name].on(before, 0, "a-digest")

    if after is not None:
        assert after.size <= most_characters(before.size)
        assert len(after.response) <= most_characters(len(before.response))


@every
def test_each_attack_changes_something(name: str) -> None:
    assert attacked(name, text()) != text()


@settings(patient, max_examples=300)
@given(name=NAMES, before=TEXTS, seed=SEEDS)
def test_earlier_turns_are_never_touched(name: str, before: Attacked, seed: int) -> None:
    after = ATTACKS[name].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    assert after.conversation[:3] == before.conversation[:3]
    assert len(after.conversation) >= len(before.conversation)


@every
@pytest.mark.parametrize(
    ("response", "request_"),
    [
        ("", REQUEST),
        (" \n", REQUEST),
        ("\ud83c" + RESPONSE, REQUEST),
        (RESPONSE, "\ud83c"),
        ("tide " * 1201, REQUEST),
        (RESPONSE, "tide " * 1201),
    ],
)
def test_nothing_broken_or_endless_is_attacked(name: str, response: str, request_: str) -> None:
    before = text(response, request_)

    assert not ATTACKS[name].applies(before)
    assert ATTACKS[name].on(before, 0, "a-digest") is None


def test_a_conversation_without_a_user_has_only_its_response_attacked() -> None:
    greeting = Attacked((Message("system", "Greet."),), RESPONSE)
    for attack in ATTACKS.values():
        after = attack.on(greeting, 0, "a-digest")
        assert after is None or after.conversation == greeting.conversation
    assert ATTACKS["base64"].applies(greeting)
