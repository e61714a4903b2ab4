"""The taxonomy says of every category what judges, policies and readers need."""

import re

import pytest

from inwit.policy.taxonomy import MLCOMMONS, TAXONOMY, question_words
from inwit.types import Category, Severity

CRITICAL = {
    Category.VIOLENT_CRIMES,
    Category.SEX_CRIMES,
    Category.CHILD_EXPLOITATION,
    Category.SELF_HARM,
    Category.WEAPONS,
}


def test_every_category_is_there_once_and_in_order() -> None:
    assert list(TAXONOMY) == list(Category)
    assert all(harm.category is category for category, harm in TAXONOMY.items())


@pytest.mark.parametrize("category", Category)
def test_a_phrase_fits_after_harmful_means(category: Category) -> None:
    words = TAXONOMY[category].words

    assert re.fullmatch(r"[a-z][a-z ,-]{5,58}[a-z]", words), words


@pytest.mark.parametrize("category", Category)
def test_a_description_is_whole_sentences_that_a_table_can_hold(category: Category) -> None:
    description = TAXONOMY[category].description

    assert re.fullmatch(r"[A-Z][^|\n]{30,250}\.", description), description


def test_titles_and_phrases_tell_the_categories_apart() -> None:
    assert len({harm.title for harm in TAXONOMY.values()}) == len(Category)
    assert len({harm.words for harm in TAXONOMY.values()}) == len(Category)


def test_what_cannot_be_undone_is_critical() -> None:
    critical = {c for c, harm in TAXONOMY.items() if harm.severity is Severity.CRITICAL}

    assert critical == CRITICAL


def test_the_twelve_classes_of_mlcommons_have_each_one_category() -> None:
    assert len(MLCOMMONS) == len(set(MLCOMMONS.values())) == 12
    assert set(MLCOMMONS) < set(Category)
    assert MLCOMMONS[Category.PRIVACY_LEAK] == "Privacy"
    assert MLCOMMONS[Category.PROFESSIONAL_ADVICE] == "Specialized Advice"


def test_the_phrases_are_joined_as_english() -> None:
    hate, fraud, advice = Category.HATE, Category.NONVIOLENT_CRIMES, Category.DEFAMATION

    assert question_words((hate,)) == "hate or slurs"
    assert question_words((hate, advice)) == "hate or slurs or false claims about real people"
    assert question_words((hate, advice, fraud)) == (
        "hate or slurs, false claims about real people, "
        "or helping with fraud, hacking, drugs or theft"
    )
