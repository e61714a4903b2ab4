"""For any deltas and retracts, cut anywhere, the text is what a careful reader would have."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from inwit.client import Delta, Event, Retract
from inwit.client.transcript import Transcript
from tests.client.server import DECISION, DONE, END, ID, event
from tests.client.test_sse import CUTS, pieces

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STEPS = st.lists(
    st.one_of(TEXTS, st.tuples(st.floats(0, 1), TEXTS)), max_size=20
)  # a delta, or a retract from some way into the text on


@dataclass
class Reference:
    """The text by the contract's words, and the events that tell it."""

    text: str
    wire: bytes
    after: list[str]


def reference(steps: list[str | tuple[float, str]]) -> Reference:
    told = Reference("", b"", [])
    for step in steps:
        if isinstance(step, str):
            told.text += step
            told.wire += event("delta", {"content": step}, str(len(told.text)))
        else:
            offset, replacement = round(step[0] * len(told.text)), step[1]
            told.text = "".join([*list(told.text)[:offset], *replacement])
            told.wire += event("retract", {"offset": offset, "replacement": replacement}, "retract")
        told.after.append(told.text)
    return told


def read(transcript: Transcript, chunk: bytes) -> list[tuple[Event, str]]:
    transcript.feed(chunk)
    taken: list[tuple[Event, str]] = []
    while (one := transcript.take()) is not None:
        taken.append((one, transcript.text))
    return taken


@given(STEPS, CUTS)
def test_the_text_is_the_references_after_each_event(
    steps: list[str | tuple[float, str]], cuts: list[int]
) -> None:
    expected = reference(steps)
    transcript = Transcript(ID, None, replayed=False)

    taken = [
        each
        for piece in pieces(expected.wire + DECISION + END, cuts)
        for each in read(transcript, piece)
    ]

    assert [text for one, text in taken if isinstance(one, Delta | Retract)] == expected.after
    assert transcript.ended
    assert transcript.answer.content == transcript.text == expected.text


@given(STEPS, CUTS, st.data())
def test_wherever_it_breaks_the_rest_can_be_taken_up(
    steps: list[str | tuple[float, str]], cuts: list[int], data: st.DataObject
) -> None:
    """A gateway that sends what came after the last event taken loses and doubles nothing."""
    expected = reference(steps)
    whole = expected.wire + DECISION + END
    broken_at = data.draw(st.integers(0, len(whole) - 1))
    transcript = Transcript(ID, None, replayed=False)

    taken = [one for piece in pieces(whole[:broken_at], cuts) for one in read(transcript, piece)]
    transcript.reconnected()
    events = [each + b"\n\n" for each in whole.split(b"\n\n")[:-1]]
    taken += read(transcript, b"".join(events[len(taken) :]))

    assert len(taken) == len(events)
    assert transcript.answer.content == expected.text


def test_an_odd_id_is_not_taken_for_a_place_in_the_stream() -> None:
    transcript = Transcript(ID, None, replayed=False)

    read(transcript, event("delta", {"content": "a"}, "1"))
    read(transcript, event("delta", {"content": "b"}, "2\x00"))
    read(transcript, event("delta", {"content": "c"}, "ü"))

    assert transcript.last_event_id == f"{ID}/1"


def test_nothing_is_told_after_the_end() -> None:
    transcript = Transcript(ID, None, replayed=False)

    read(transcript, DECISION + END + DECISION + event("delta", {"content": "late"}))

    assert transcript.text == ""
    assert transcript.answer.raw["receipt"] == DONE["receipt"]
