"""Word-level differences, and texts in which nothing hides."""

import os
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.console.visible import Piece, occurrences, pieces, runs, typed
from inwit.console.word_diff import MOST_WORDS, differences

EXAMPLES = int(os.environ.get("INWIT_CONSOLE_EXAMPLES", "60"))
TEXTS = st.text(st.sampled_from("ab \n.é中\u200b\u202e<&"), max_size=40)


def without(text: str, ranges: tuple[tuple[int, int], ...]) -> str:
    kept, at = "", 0
    for start, end in ranges:
        kept, at = kept + text[at:start], end
    return kept + text[at:]


@settings(max_examples=EXAMPLES)
@given(TEXTS, TEXTS)
def test_what_is_unchanged_is_the_same_in_both(before: str, after: str) -> None:
    found = differences(before, after)

    assert without(before, found.removed) == without(after, found.added)
    for text, ranges in ((before, found.removed), (after, found.added)):
        edges = [edge for each in ranges for edge in each]
        assert edges == sorted(set(edges))
        assert not edges or (edges[0] >= 0 and edges[-1] <= len(text))


def test_words_change_whole_and_white_space_is_kept() -> None:
    found = differences("Run  away\nnow, please.", "Run  home\nnow.")

    assert [("Run  away\nnow, please."[a:b]) for a, b in found.removed] == ["away", ", please"]
    assert [("Run  home\nnow."[a:b]) for a, b in found.added] == ["home"]


def test_white_space_between_changes_belongs_to_them() -> None:
    before, after = "Say one two three now", "Say vier fünf sechs now"

    assert [before[a:b] for a, b in differences(before, after).removed] == ["one two three"]


def test_the_same_text_has_no_differences() -> None:
    assert differences("a b", "a b") == differences("", "")


@pytest.mark.parametrize("word", ["a ", "ab cd ", "\n", "x" * 40 + " ", "a b c d e f g "])
@pytest.mark.parametrize("words", [MOST_WORDS - 8, 100_000])
def test_no_text_takes_long(word: str, words: int) -> None:
    """Texts made to be slow, as long as they are compared word by word, and longer."""
    unit = len(re.findall(r"\s+|\w+", word))
    long = word * (words // unit)
    every_other = long.replace(word, f"{word}, ", words // unit // 2)
    began = time.process_time()

    for other in (long[:-7] + "other", long[::-1], "short", every_other):
        differences(long, other)
        differences(other, long)

    assert time.process_time() - began < 30  # it would be minutes


def test_what_is_too_long_for_words_is_compared_by_lines() -> None:
    same = "word " * MOST_WORDS + "\n"

    assert differences(same + "old\n", same + "new\n").removed == ((len(same), len(same) + 4),)
    one_line = "word, " * 2 * MOST_WORDS
    assert differences(one_line, one_line + "!").removed != ()


@settings(max_examples=EXAMPLES)
@given(st.text(max_size=60))
def test_nothing_that_does_not_show_is_left(text: str) -> None:
    shown = pieces(text)

    plain = "".join(each.text for each in shown if not each.code)
    assert not set(plain) & set("\u202e\u2066\u200b\u200d\x00\x1b\r\u2028\ufeff\U000e0041\ud800")
    plain.encode()
    if text.isascii() and text.isprintable():
        assert plain == text


def test_hidden_characters_stand_as_their_code_points() -> None:
    found = pieces("a\u202eb\u200b\u200b\u200bc\U000e0041\ud800\n\t❤\ufe0f x\ufe0f")

    assert [each.text for each in found if each.code] == [
        "U+202E",
        "U+200B x3",
        "U+E0041",
        "U+D800",
        "U+FE0F",
    ]
    assert found[0] == Piece("a")
    assert any("❤\ufe0f x" in each.text for each in found)


def test_very_many_of_them_stand_in_line() -> None:
    found = pieces("\u200b\u200c" * 5_000)

    assert len(found) < 2_100
    assert "[U+200B]" in found[-1].text


@settings(max_examples=EXAMPLES)
@given(TEXTS, st.lists(st.text(st.sampled_from("ab "), min_size=1, max_size=3), max_size=3))
def test_marks_lie_on_the_text_and_lose_none_of_it(text: str, spans: list[str]) -> None:
    flagged = occurrences(text, spans)
    marked = runs(text, (), flagged)

    whole = "".join(each.text for run in marked for each in run.pieces)
    assert whole == "".join(each.text for each in pieces(text)) or "x" in whole
    for span in spans:
        if span in text:
            assert any(run.flagged for run in marked)
    assert all(any(span in text[a:b] for span in spans) for a, b in flagged)


def test_marks_of_two_kinds_cross() -> None:
    marked = runs("abcdef", changed=((1, 4),), flagged=((3, 6),))

    told = [("".join(p.text for p in each.pieces), each.changed, each.flagged) for each in marked]
    assert told == [
        ("a", False, False),
        ("bc", True, False),
        ("d", True, True),
        ("ef", False, True),
    ]


@pytest.mark.parametrize("text", ["a\r\nb\rc", "\ud800x", "plain"])
def test_a_field_gives_back_what_it_was_given(text: str) -> None:
    assert typed(typed(text)) == typed(text)
    assert "\r" not in typed(text)
    typed(text).encode()
