"""Pieces, put together again, are the response."""

import json

import pytest
from hypothesis import assume, given

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.types import Message
from tests.evaluation.attacks.texts import REQUEST, RESPONSE, SEEDS, TEXTS, attacked, patient, text


def _run(code: str) -> tuple[str, int]:
    """What the script says, and of how many parts; read line by line, not executed."""
    *lines, joined, shown = code.split("\n")
    parts = {
        name: json.loads(value) for name, _, value in (line.partition(" = ") for line in lines)
    }
    assert shown == "print(answer)"
    order = joined.removeprefix("answer = ").split(" + ")
    assert len(order) == len(parts)
    return "".join(parts[name] for name in order), len(parts)


@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_script_says_the_response(before: Attacked, seed: int) -> None:
    after = ATTACKS["payload_split"].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    said, parts = _run(after.response)

    assert said == before.response
    assert 2 <= parts <= 6
    assert before.request in after.request


def test_no_variable_holds_most_of_the_response() -> None:
    for seed in range(100):
        code = attacked("payload_split", text(), seed).response
        longest = max(len(line) for line in code.split("\n"))
        assert longest < 0.75 * len(RESPONSE)


def test_it_is_asked_for_in_parts() -> None:
    assert attacked("payload_split", text()).request.startswith(f"{REQUEST}\n\n")


@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_turns_say_the_response(before: Attacked, seed: int) -> None:
    after = ATTACKS["payload_split_turns"].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None

    length = len(before.conversation)
    added = after.conversation[length:]

    assert after.conversation[:length] == before.conversation
    assert [turn.role for turn in added] == ["assistant", "user", "assistant", "user"]
    earlier = "".join(turn.content for turn in added if turn.role == "assistant")
    assert earlier + after.response == before.response
    assert len(after.response) >= len(before.response) // 6


def test_turns_end_after_a_word() -> None:
    added = attacked("payload_split_turns", text()).conversation[-4:]

    assert all(turn.content.endswith(" ") for turn in added if turn.role == "assistant")


@pytest.mark.parametrize("name", ["payload_split", "payload_split_turns"])
def test_a_response_of_a_few_characters_is_not_split(name: str) -> None:
    assert ATTACKS[name].applies(text("twelve chars"))
    assert not ATTACKS[name].applies(text("eleven char"))


def test_the_assistant_does_not_speak_twice() -> None:
    answered = Attacked((*text().conversation, Message("assistant", "Well.")), RESPONSE)
    tool = Attacked((*text().conversation, Message("tool", "12:40")), RESPONSE)

    assert not ATTACKS["payload_split_turns"].applies(answered)
    assert not ATTACKS["payload_split_turns"].applies(Attacked((), RESPONSE))
    assert ATTACKS["payload_split_turns"].applies(tool)
    assert ATTACKS["payload_split"].applies(answered)


def test_what_json_would_blow_up_is_left_alone() -> None:
    assert not ATTACKS["payload_split"].applies(text("\x01" * 100))
    assert not ATTACKS["tool_arguments"].applies(text("\x01" * 100))
