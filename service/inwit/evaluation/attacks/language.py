"""English text with its commonest words replaced by German, Spanish or French ones.

This is no translation: words are looked up one by one, without grammar or sense, and those that
the small table lacks stay English. What is measured is how a judge takes mixed language.
"""

import re
from collections.abc import Callable
from random import Random

from inwit.evaluation.attacks.attack import Attack, Attacked
from inwit.evaluation.attacks.word_table import ROWS

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_LEAST_WORDS = 4
_LEAST_SHARE = 0.25  # of words in the table, which other languages stay far below

_ENGLISH = frozenset(row[0] for row in ROWS)
_LANGUAGES = {"de": (1, "German"), "es": (2, "Spanish"), "fr": (3, "French")}


def looked_up(text: str, table: dict[str, str]) -> str:
    """`text` with each word that is in the table replaced; capitals follow the original."""

    def replaced(word: re.Match[str]) -> str:
        found = table.get(_key(word[0]))
        return word[0] if found is None else _cased(found, word[0])

    return _WORD.sub(replaced, text)


def is_english(text: str) -> bool:
    """Whether enough of its words are in the table, which none but English texts have."""
    words = _WORD.findall(text)
    known = sum(_key(word) in _ENGLISH for word in words)
    return len(words) >= _LEAST_WORDS and known >= _LEAST_SHARE * len(words)


def _key(word: str) -> str:
    return word.lower().replace("\u2019", "'")


def _cased(word: str, like: str) -> str:
    if like == "I" or not like[0].isupper():
        return word
    return word.upper() if len(like) > 1 and like.isupper() else word[0].upper() + word[1:]


def _translation_table(column: int) -> Callable[[Attacked, Random], Attacked]:
    table = {row[0]: row[column] for row in ROWS}

    def apply(text: Attacked, _: Random) -> Attacked:
        asked = text.with_request(looked_up(text.request, table))
        return asked.with_response(looked_up(text.response, table))

    return apply


LANGUAGE = tuple(
    Attack(
        f"translation_table_{code}",
        "language",
        f"common English words replaced by {name} ones, the rest kept: no translation",
        _translation_table(column),
        lambda text: is_english(text.response),
    )
    for code, (column, name) in _LANGUAGES.items()
)
