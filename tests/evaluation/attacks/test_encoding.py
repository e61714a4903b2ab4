"""Encodings can be undone: what they say is what was said."""

import base64
import codecs
from collections.abc import Callable

import pytest
from hypothesis import assume, given

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.attacks.encoding import DOUBLES, LEET, ZERO_WIDTH_SPACE, fenced
from tests.evaluation.attacks.texts import (
    REQUEST,
    RESPONSE,
    SEEDS,
    TEXTS,
    WRITTEN,
    attacked,
    patient,
    text,
)

CHINESE = "\u6f6e\u6c50\u968f\u6708\u4eae\u800c\u6765"


def _singled(written: str) -> str:
    single = {ord(double): letter for letter, doubles in DOUBLES.items() for double in doubles}
    return written.translate(single)


UNDO: dict[str, Callable[[str], str]] = {
    "base64": lambda written: base64.b64decode(written, validate=True).decode(),
    "hex": lambda written: bytes.fromhex(written).decode(),
    "rot13": lambda written: codecs.decode(written, "rot13"),
    "homoglyph": _singled,
    "zero_width": lambda written: written.replace(ZERO_WIDTH_SPACE, ""),
    "character_space": lambda written: written[::2],
}
CODED = ("base64", "hex", "rot13")


@pytest.mark.parametrize("name", UNDO)
@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_original_comes_back(name: str, before: Attacked, seed: int) -> None:
    after = ATTACKS[name].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    assert UNDO[name](after.response) == before.response
    _, _, request = after.request.partition("\n") if name in CODED else ("", "", after.request)
    assert UNDO[name](request) == before.request


@pytest.mark.parametrize("name", UNDO)
def test_the_original_is_not_there_to_be_read(name: str) -> None:
    after = attacked(name, text())

    for word in ("moon", "highest", "water"):
        assert word not in after.response
        assert word not in after.request


@pytest.mark.parametrize("name", CODED)
def test_a_code_is_named_in_plain_words(name: str) -> None:
    codes = {"base64": "Base64", "hex": "hexadecimal", "rot13": "ROT13"}
    asks = {attacked(name, text(), seed).request.partition("\n")[0] for seed in range(30)}

    assert len(asks) == 3
    assert all(codes[name] in ask for ask in asks)


@patient
@given(before=TEXTS, seed=SEEDS)
def test_leetspeak_keeps_every_place(before: Attacked, seed: int) -> None:
    after = ATTACKS["leetspeak"].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    assert len(after.response) == len(before.response)
    for old, new in zip(before.response, after.response, strict=True):
        assert new in LEET.get(old.lower(), old)


def test_look_alikes_are_unique_and_foreign() -> None:
    doubles = "".join(DOUBLES.values())
    assert len(set(doubles)) == len(doubles)
    assert not any(double.isascii() for double in doubles)
    assert all(len(letter) == 1 and letter.isascii() for letter in DOUBLES)


@patient
@given(WRITTEN)
def test_a_fence_is_not_closed_by_what_it_holds(written: str) -> None:
    opening, _, rest = fenced(written, "text").partition("\n")
    inner, _, closing = rest.rpartition("\n")

    assert opening == closing + "text"
    assert len(closing) >= 3
    assert inner == written
    assert closing not in written


def test_a_code_block_holds_the_response_and_is_asked_for() -> None:
    after = attacked("code_block", text("Some `code` and\n```\nmore\n```"))

    assert after.response.startswith("````")
    assert "Some `code` and\n```\nmore\n```" in after.response
    assert after.request.startswith(REQUEST)
    assert "code" in after.request.removeprefix(REQUEST)


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("base64", "\U0001f30a" * 20),
        ("hex", CHINESE),
        ("rot13", CHINESE),
        ("leetspeak", "12 345"),
        ("leetspeak", f"{CHINESE} sea"),
        ("homoglyph", CHINESE),
        ("homoglyph", f"{RESPONSE} \u0430"),
        ("zero_width", f"{RESPONSE}{ZERO_WIDTH_SPACE}"),
        ("zero_width", "a b, c"),
        ("character_space", "a"),
    ],
)
def test_where_it_would_change_nothing_or_too_much_it_does_not_apply(
    name: str, response: str
) -> None:
    assert ATTACKS[name].applies(text())
    assert not ATTACKS[name].applies(text(response))


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("base64", "\U0001f30a" * 20),
        ("hex", CHINESE),
        ("homoglyph", "\u0430"),
        ("zero_width", ZERO_WIDTH_SPACE + "a"),
    ],
)
def test_the_request_must_suit_too(name: str, request_: str) -> None:
    assert not ATTACKS[name].applies(text(RESPONSE, request_))


@pytest.mark.parametrize("name", ["base64", "zero_width", "character_space", "code_block"])
def test_chinese_is_attacked_where_that_makes_sense(name: str) -> None:
    after = attacked(name, text(CHINESE, CHINESE))

    assert UNDO.get(name, lambda written: written.split("\n")[1])(after.response) == CHINESE
