"""Masking, echoes, streams and cost, as properties over texts put together from parts."""

import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inwit.redaction.kinds import Kind
from inwit.redaction.scan import HOLD_BACK, Span, echoed, find, mask, settled
from tests.redaction.samples import ALL, ASSIGNED, CARDS, EMAILS, KEY_BLOCK, NEAR_MISSES, VALUES

REGIONS = ("US", "DE")
# Long texts are the point, and how long they are in the making is the machine's own affair.
UNMINDED = [HealthCheck.large_base_example, HealthCheck.too_slow]

_VALUES = st.one_of(
    st.sampled_from([before + value for _, before, value in VALUES]),
    st.sampled_from(["".join(parts) for parts in ASSIGNED]),
    st.sampled_from([text for _, text in NEAR_MISSES]),
)
_NOISE = st.one_of(
    st.text(alphabet="0123456789 .-+()/", max_size=30),
    st.text(alphabet="abcXYZ012@.:_-=[] \n", max_size=30),
    st.sampled_from(
        ["SSN ", "phone ", "card ", "token=", "password is ", "BSN", "[EMAIL_1]", "\x00"]
    ),
    st.text(max_size=20),
    st.integers(1, 90).map(lambda count: "word " * count),
)


def _texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    parts = st.lists(st.one_of(_VALUES, _NOISE), min_size=least, max_size=most)
    glue = st.sampled_from(["", " ", "\n", ", "])
    return st.tuples(glue, parts).map(lambda drawn: drawn[0].join(drawn[1]))


TEXTS = _texts(12)


@given(TEXTS)
@settings(deadline=None, max_examples=200)
def test_spans_are_sorted_and_apart_and_masking_removes_every_value(text: str) -> None:
    spans = find(text, ALL, REGIONS)
    masked = mask(text, spans)

    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert all(span.end <= len(text) for span in spans)
    pieces = [text[left.end : right.start] for left, right in pairwise(spans)]
    outside = [text[: spans[0].start], *pieces, text[spans[-1].end :]] if spans else [text]
    rest = masked
    for piece in outside:
        assert piece in rest
        rest = rest[rest.index(piece) + len(piece) :]


@given(TEXTS)
@settings(deadline=None, max_examples=200)
def test_nothing_is_found_in_masked_text(text: str) -> None:
    masked = mask(text, find(text, ALL, REGIONS))

    assert find(masked, ALL, REGIONS) == ()


def _covered(spans: tuple[Span, ...], end: int) -> list[tuple[Kind, int, int]]:
    return [(span.kind, span.start, min(span.end, end)) for span in spans if span.start < end]


@given(_texts(60, least=30), st.integers(0, 400))
@settings(deadline=None, max_examples=80, suppress_health_check=UNMINDED)
def test_a_stream_that_holds_back_finds_what_the_whole_text_holds(text: str, step: int) -> None:
    """Up to `settled`, the text so far and the whole text agree on what is covered, and by what."""
    whole = find(text, ALL, REGIONS)
    for end in range(0, len(text), 150 + step):
        safe = settled(text[:end])
        assert _covered(find(text[:end], ALL, REGIONS), safe) == _covered(whole, safe)


@given(_texts(8, least=2))
@settings(deadline=None, max_examples=60, suppress_health_check=UNMINDED)
def test_wherever_a_text_is_cut_what_is_settled_stays_as_it_is(text: str) -> None:
    whole = find(text, ALL, REGIONS)
    for end in range(len(text)):
        safe = settled(text[:end])
        assert _covered(find(text[:end], ALL, REGIONS), safe) == _covered(whole, safe)


@given(st.sampled_from(VALUES), st.integers(0, 700), st.integers(0, 60))
@settings(deadline=None, max_examples=200)
def test_a_value_at_the_edge_of_what_is_settled_is_not_cut(
    value: tuple[Kind, str, str], behind: int, inside: int
) -> None:
    text = "Words. " * 90 + value[1] + value[2] + " and on." + " Words." * (behind // 7)
    end = len(text) - inside
    safe = settled(text[:end])

    assert _covered(find(text[:end], ALL), safe) == _covered(find(text, ALL), safe)


def test_what_is_settled_counts_visible_characters() -> None:
    assert settled("x" * HOLD_BACK) == 0
    assert settled("x" * (HOLD_BACK + 5)) == 5
    assert settled("x" * 5 + "\u200bx" * HOLD_BACK) == 6


def test_prose_is_settled_but_for_its_last_words() -> None:
    prose = "The moon pulls the sea. " * 5
    assert settled(prose) == len(prose) - 24
    assert settled(prose + "Call us on 0" + " or not" * 5) == len(prose) - len("pulls the sea. ")
    assert settled(prose + "Call us on 0" + " or not" * 99) > len(prose) + 100
    assert settled("月亮牵引着海水" * 9) == 63 - 24
    assert settled("密码 password: " + "月亮ab" * 20) == len("密码 password: ")


def test_a_key_block_longer_than_what_is_held_back_is_covered_as_it_grows() -> None:
    head, *lines, tail = KEY_BLOCK.split("\n")
    block = "\n".join([head, *lines[:1] * 60, tail])
    assert len(block) > 3 * HOLD_BACK
    for end in range(HOLD_BACK, len(block), 101):
        safe = settled(block[:end])
        (span,) = find(block[:end], ALL)
        assert span.start == 0
        assert span.end >= safe


def test_the_same_value_has_the_same_number_however_it_is_written() -> None:
    text = f"{CARDS[0]}, {CARDS[2]}, {CARDS[1]}; {EMAILS[0]} {EMAILS[0].upper()}"

    masked = mask(text, find(text, ALL))

    assert masked == ("[PAYMENT_CARD_1], [PAYMENT_CARD_2], [PAYMENT_CARD_1]; [EMAIL_1] [EMAIL_1]")


def test_masking_nothing_changes_nothing() -> None:
    assert mask("Hello [EMAIL_1].", ()) == "Hello [EMAIL_1]."


@pytest.mark.parametrize(
    ("answer", "earlier", "known"),
    [
        ("Your card 4111 1111 1111 1111.", "I paid with 4111-1111-1111-1111", True),
        ("Your card 4111 1111 1111 1111.", "I paid with 4111\u200b111111111111", True),
        ("Your card 4111 1111 1111 1111.", "I paid with 94111111111111111", False),
        ("Your card 4111 1111 1111 1111.", "I paid with 4012888888881881", False),
        ("Mail jane.doe@example.com.", "I am Jane.Doe@Example.com.", True),
        ("Mail jane.doe@example.com.", "I am mary-jane.doe@example.com", False),
        ("Mail jane.doe@example.com.", "I am jane.doe@example.com.au", False),
        ("Call +49 30 901820.", "My number is (+49) 30/901820", True),
        ("Call +49 30 901820.", "My number is +49 30 9018201", False),
        ("IBAN GB82 WEST 1234 5698 7654 32", "use gb82west12345698765432", True),
        ("From 192.0.2.17", "ping 192.0.2.17.", True),
        ("From 192.0.2.17", "ping 192.0.2.171", False),
        ("From 192.0.2.17", "", False),
    ],
)
def test_only_a_whole_value_that_was_sent_first_is_an_echo(
    answer: str, earlier: str, known: bool
) -> None:
    spans = find(answer, ALL)

    assert len(spans) == 1
    assert echoed(spans, answer, ["Hello.", earlier]) == (spans if known else ())


def test_secrets_are_echoes_only_letter_for_letter() -> None:
    before, value, _ = ASSIGNED[0]
    spans = find(before + value, ALL)

    assert echoed(spans, before + value, [f"mine is {before}{value}"]) == spans
    assert echoed(spans, before + value, [f"mine is {value.lower()}"]) == ()


@given(st.lists(st.sampled_from(VALUES), max_size=8), st.sampled_from([", ", "\n", ". "]))
@settings(deadline=None, max_examples=100)
def test_a_text_echoes_itself_and_not_an_empty_one(
    values: list[tuple[Kind, str, str]], glue: str
) -> None:
    text = glue.join(before + value for _, before, value in values)
    spans = find(text, ALL, REGIONS)

    assert len(spans) == len(values)
    assert echoed(spans, text, [""]) == ()
    assert echoed(spans, text, [text]) == spans


HARD = [
    "4",
    "4444 ",
    "1.2.3.4 ",
    "a@",
    "a@b.c.d.",
    "+49 30 12345 ",
    "password=",
    "password=Tr0ub4dor&3",
    "bearer ",
    "-----BEGIN " + "PRIVATE KEY-----\n",
    "A",
    "ssn 078051120 ",
    "eyJhbGci",
    "GB82 WEST ",
    "://a:b",
    "4\u200b",
    "ab:",
    "sk-",
    "[email_1] ssn 078051120 ",
]


def _seconds(text: str) -> float:
    start = time.process_time()
    find(text, ALL)
    return time.process_time() - start


@pytest.mark.parametrize("part", HARD)
def test_time_is_linear(part: str) -> None:
    """Four times the text takes about four times as long; quadratic would take sixteen. On a noisy
    machine it is tried until the shortest times of both show it."""
    short = part * (30_000 // len(part))
    once = four_times = float("inf")
    for _ in range(20):
        once = min(once, _seconds(short))
        four_times = min(four_times, _seconds(short * 4))
        if four_times < 9 * once + 0.02:
            break

    assert four_times < 9 * once + 0.02
