"""Server-sent events out of bytes that were cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.client.errors import BadAnswer
from inwit.client.sse import LARGEST, Decoder, Message

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
MESSAGES = st.lists(
    st.tuples(WORDS.filter(lambda name: name != ""), st.lists(WORDS, min_size=1, max_size=3), WORDS)
)


def decode(decoder: Decoder, *chunks: bytes) -> list[Message]:
    return [message for chunk in chunks for message in decoder.feed(chunk)]


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """`whole` in pieces; some are empty."""
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=20)


@given(MESSAGES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", " "]), CUTS)
def test_what_was_sent_arrives_wherever_it_was_cut(
    messages: list[tuple[str, list[str], str]], end: str, space: str, cuts: list[int]
) -> None:
    lines: list[str] = []
    for name, data, event_id in messages:
        lines += [": heartbeat", "", f"event: {name}", f"id: {event_id}"]
        lines += [f"data:{space}{each}" if each or space else "data" for each in data]
        lines.append("")
    whole = "".join(line + end for line in lines).encode()

    got = decode(Decoder(), *pieces(whole, cuts))

    start = 0 if space else 1  # without a space of its own, a line's own first space is taken
    data_of = [
        [each.removeprefix(" ") if start else each for each in data] for _, data, _ in messages
    ]
    assert got == [
        Message(name, "\n".join(data), event_id)
        for (name, _, event_id), data in zip(messages, data_of, strict=True)
    ]


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (b"data: a\n\n", [Message("message", "a", "")]),
        (b"data: a\n", []),  # half an event
        (b"event: x\n\n", []),  # no data
        (
            b"id: 1\ndata: a\n\ndata: b\n\n",
            [Message("message", "a", "1"), Message("message", "b", "")],
        ),
        (b"event: x\n\ndata: a\n\n", [Message("message", "a", "")]),
        (b"data\n\n", [Message("message", "", "")]),
        (b"data:  a\n\n", [Message("message", " a", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Message("message", "a", "")]),
        ("data: a\u2028b\x85c\x0bd\n\n".encode(), [Message("message", "a\u2028b\x85c\x0bd", "")]),
        (
            b"data: a\r\ndata: b\r\rdata: c\n\r\n",
            [Message("message", "a\nb", ""), Message("message", "c", "")],
        ),
    ],
)
def test_as_the_standard_says(sent: bytes, got: list[Message]) -> None:
    assert decode(Decoder(), sent) == got
    assert decode(Decoder(), *(sent[at : at + 1] for at in range(len(sent)))) == got


def flood(chunk: bytes) -> int:
    """Feeds this chunk for ever; the bytes that went in."""
    decoder, size = Decoder(), 0
    while True:
        decode(decoder, chunk)
        size += len(chunk)
        assert size <= LARGEST


@pytest.mark.parametrize("line", [b"x" * 2**16, b": " + b"x" * 2**16])
def test_a_line_without_end_is_not_kept_for_ever(line: bytes) -> None:
    with pytest.raises(BadAnswer, match="too long"):
        flood(line)


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    with pytest.raises(BadAnswer, match="too large"):
        flood(b"data: " + b"x" * 2**16 + b"\n")


def test_many_small_events_are_no_large_one() -> None:
    event = b"data: " + b"x" * 2**20 + b"\n\n"

    assert len(decode(Decoder(), *[event] * 20)) == 20
