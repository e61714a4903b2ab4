"""What is found, and what only looks like it."""

import pytest

from inwit.redaction.kinds import Kind
from inwit.redaction.scan import Span, find
from tests.redaction.samples import ALL, ASSIGNED, CARDS, NEAR_MISSES, VALUES


@pytest.mark.parametrize(("kind", "before", "value"), VALUES)
@pytest.mark.parametrize(("left", "right"), [("", ""), ("See ", ", please."), ("\u8bf7", "\u3002")])
def test_a_value_is_found_with_exact_offsets(
    kind: Kind, before: str, value: str, left: str, right: str
) -> None:
    start = len(left) + len(before)

    found = find(left + before + value + right, ALL)

    assert found == (Span(kind, start, start + len(value)),)


@pytest.mark.parametrize(("before", "value", "after"), ASSIGNED)
def test_an_assigned_secret_is_found_without_its_name(before: str, value: str, after: str) -> None:
    found = find(before + value + after, frozenset({Kind.CREDENTIAL}))

    assert found == (Span(Kind.CREDENTIAL, len(before), len(before) + len(value)),)


@pytest.mark.parametrize(("kind", "text"), NEAR_MISSES)
def test_a_near_miss_is_not_found(kind: Kind, text: str) -> None:
    assert find(text, frozenset({kind})) == ()


@pytest.mark.parametrize(("kind", "before", "value"), VALUES)
def test_only_the_kinds_asked_for_are_found(kind: Kind, before: str, value: str) -> None:
    others = ALL - {kind}

    assert all(span.kind in others for span in find(before + value, others))


@pytest.mark.parametrize("value", CARDS)
def test_every_wrong_digit_in_a_card_is_noticed(value: str) -> None:
    """Luhn's formula notices each single wrong digit."""
    for index, character in enumerate(value):
        if character.isdigit():
            wrong = value[:index] + str((int(character) + 1) % 10) + value[index + 1 :]
            assert find(wrong, frozenset({Kind.PAYMENT_CARD})) == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\uff14\uff11\uff11\uff11 1111 1111 1111!", "\uff14\uff11\uff11\uff11 1111 1111 1111"),
        ("a 4111\u200b1111\u200d1111\u20601111 b", "4111\u200b1111\u200d1111\u20601111"),
        ("\u200b4111\u00a01111\u00a01111\u00a01111\u200b", "4111\u00a01111\u00a01111\u00a01111"),
        ("4111\u20111111\u20111111\u20111111", "4111\u20111111\u20111111\u20111111"),
        ("\u0664\u0661\u0661\u0661111111111111", "\u0664\u0661\u0661\u0661111111111111"),
        ("\u2066" + "41" + "\u200b" * 5_000 + "11111111111111", "41" + "\u200b" * 5_000 + "1" * 14),
    ],
)
def test_disguised_digits_are_found_where_they_stand(text: str, value: str) -> None:
    start = text.index(value)

    found = find(text, ALL)

    assert found == (Span(Kind.PAYMENT_CARD, start, start + len(value)),)


def test_a_disguised_address_is_found() -> None:
    text = "\u0130 jane\u200b.doe\uff20example.com"

    (span,) = find(text, ALL)

    assert text[span.start : span.end] == "jane\u200b.doe\uff20example.com"


def test_the_more_telling_kind_wins() -> None:
    secret = "https:" + "//jane:" + "pw@example.com/"

    assert [span.kind for span in find(secret, ALL)] == [Kind.CREDENTIAL]
    assert [span.kind for span in find("4111111111111111@example.com", ALL)] == [Kind.EMAIL]
    assert [span.kind for span in find("GB82 WEST 1234 5698 7654 32", ALL)] == [Kind.IBAN]


def test_cards_one_behind_the_other_are_all_found() -> None:
    text = " ".join(CARDS[:4] * 3)

    assert len(find(text, frozenset({Kind.PAYMENT_CARD}))) == 12


def test_national_phone_numbers_need_their_region() -> None:
    text = "Ruf 030 901820 an, oder (212) 555-0123."

    assert find(text, ALL) == ()
    assert [text[s.start : s.end] for s in find(text, ALL, ("DE",))] == ["030 901820"]
    assert len(find(text, ALL, ("DE", "US"))) == 2


def test_a_bare_run_of_digits_is_a_phone_number_beside_a_word_for_one() -> None:
    assert find("Order 2125550123", ALL, ("US",)) == ()
    assert find("Phone: 2125550123", ALL, ("US",)) == (Span(Kind.PHONE, 7, 17),)


def test_the_word_for_a_number_may_stand_before_another_value() -> None:
    text = "The SSN of jane.doe@example.com, phone +1 (212) 555-0123, is 078-05-1120."

    assert [span.kind.value for span in find(text, ALL)] == ["email", "phone", "national_id"]


def test_one_word_is_enough_for_a_list() -> None:
    text = "Social security numbers: " + ", ".join(["078-05-1120", "219-09-9999"] * 20)

    assert len(find(text, ALL)) == 40


def test_a_word_beyond_a_later_value_is_not_near() -> None:
    assert find("078-05-1120 [EMAIL_1] SSN", ALL) == ()


def test_a_key_block_is_found_to_its_end_however_its_lines_end() -> None:
    lines = ["-----BEGIN " + "PRIVATE KEY-----", *["aB3dE5gH" * 8] * 40, "aB3d=="]
    for ending in ("\n", "\r\n", "\\n", " "):
        block = ending.join([*lines, "-----END " + "PRIVATE KEY-----"])
        assert find(f"x {block} y", ALL) == (Span(Kind.CREDENTIAL, 2, 2 + len(block)),)
    cut = "\n".join(lines[:20])
    assert find(cut, ALL) == (Span(Kind.CREDENTIAL, 0, len(cut)),)


def test_nothing_is_found_in_nothing() -> None:
    assert find("", ALL) == ()
    assert find("Nothing to see here.", ALL) == ()
    assert find(CARDS[0], frozenset()) == ()


def test_a_span_is_valid_once_built() -> None:
    with pytest.raises(ValueError, match="span"):
        Span(Kind.EMAIL, 3, 3)
