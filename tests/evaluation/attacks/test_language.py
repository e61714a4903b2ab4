"""The translation table: words one by one, the rest as it was, and only for English."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.attacks.attack import GROWTH
from inwit.evaluation.attacks.language import is_english, looked_up
from inwit.evaluation.attacks.word_table import ROWS
from tests.evaluation.attacks.texts import ENGLISH_TEXTS, SEEDS, attacked, patient, text

TABLES = ("translation_table_de", "translation_table_es", "translation_table_fr")


def test_the_table_is_whole() -> None:
    english = [row[0] for row in ROWS]

    assert len(ROWS) >= 150
    assert len(set(english)) == len(english)
    for row in ROWS:
        assert len(row) == 4
        assert all(word == word.strip() and word for word in row)
        assert row[0] == row[0].lower()
        assert all(len(word) <= GROWTH * len(row[0]) for word in row[1:])


def test_negations_stay_negations() -> None:
    negative = re.compile(r"\b(?:nicht|nein|nie|no|nunca|non|pas|jamais)\b")
    rows = {row[0]: row[1:] for row in ROWS}
    for word in ("not", "no", "never", "don't", "can't", "won't", "isn't"):
        assert all(map(negative.search, rows[word])), word


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("translation_table_de", "Die Tide WAR nicht gut, UND Ich bin hier: 2 Tag."),
        ("translation_table_es", "Die Tide ERA no bueno, Y Yo soy aquí: 2 día."),
        ("translation_table_fr", "Die Tide ÉTAIT pas bon, ET Je suis ici: 2 jour."),
    ],
)
def test_known_words_are_replaced_and_capitals_kept(name: str, found: str) -> None:
    after = attacked(name, text("Die Tide WAS not good, AND I\u2019m here: 2 day.", "How are you?"))

    assert after.response == found
    assert after.request != "How are you?"


def test_i_is_no_capital_letter_elsewhere() -> None:
    table = {"i": "ich", "a": "ein"}

    assert looked_up("I and A and i", table) == "ich and Ein and ich"


@patient
@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_an_unknown_word_stays(written: str, table: dict[str, str]) -> None:
    assume(not any(word.lower() in table for word in re.findall(r"[^\W\d_]+", written)))
    assume(not any("'" in word for word in table))

    assert looked_up(written, table) == written


@pytest.mark.parametrize("name", TABLES)
@patient
@given(before=ENGLISH_TEXTS, seed=SEEDS)
def test_the_words_that_the_table_lacks_stay_in_order(
    name: str, before: Attacked, seed: int
) -> None:
    after = ATTACKS[name].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None
    kept = ("tides", "moon", "highest", "rocks", "evening", "stand", "sun")

    old, new = (
        [word for word in re.findall(r"\w+", part.lower()) if word in kept]
        for part in (before.response, after.response)
    )

    assert old == new
    assert re.sub(r"[\w'\u2019 ]", "", before.response) == re.sub(
        r"[\w'\u2019 ]", "", after.response
    )


@pytest.mark.parametrize(
    ("english", "written"),
    [
        (True, "The tide is high, and you should not go to the rocks."),
        (True, "It\u2019s the moon that makes them."),
        (False, "Die Flut ist hoch, und du solltest nicht zu den Felsen gehen."),
        (False, "La marea está alta, y no deberías ir a las rocas."),
        (False, "La marée est haute, et tu ne devrais pas aller aux rochers."),
        (False, "\u6f6e\u6c50\u968f\u6708\u4eae\u800c\u6765"),
        (False, "the sea"),
        (False, "1 2 3 4 5 6"),
    ],
)
def test_only_english_counts_as_english(english: bool, written: str) -> None:
    assert is_english(written) is english
    assert all(ATTACKS[name].applies(text(written)) is english for name in TABLES)


def test_what_was_translated_is_no_english_text_any_more() -> None:
    for name in TABLES:
        assert not ATTACKS[name].applies(attacked(name, text()))
