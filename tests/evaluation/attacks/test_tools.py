"""A response as a tool's output or argument is the same response."""

import json

from hypothesis import assume, given

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.attacks.encoding import fenced
from inwit.pipeline.exchange import reviewed_text
from inwit.types import Candidate, ToolCall
from tests.evaluation.attacks.texts import RESPONSE, SEEDS, TEXTS, attacked, patient, text


@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_output_is_quoted_unchanged(before: Attacked, seed: int) -> None:
    after = attacked("tool_output", before, seed)
    said, _, end = after.response.partition(fenced(before.response))

    assert said.endswith("\n\n")
    assert end.startswith("\n\n")
    assert said.strip()
    assert end.strip()
    assert after.conversation == before.conversation


@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_argument_is_the_response(before: Attacked, seed: int) -> None:
    after = ATTACKS["tool_arguments"].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None
    said, _, call = after.response.partition("\n(tool call) ")

    assert said
    assert list(json.loads(call)["arguments"].values()) == [before.response]
    assert after.conversation == before.conversation


def test_a_call_is_written_as_judges_are_shown_one() -> None:
    after = attacked("tool_arguments", text())
    said, _, written = after.response.partition("\n(tool call) ")
    call = json.loads(written)
    real = ToolCall("any", call["name"], json.dumps(call["arguments"], indent=1))

    assert after.response == reviewed_text(Candidate(said, model="", tool_calls=(real,)))
    assert RESPONSE in call["arguments"].values()


def test_no_tool_sends_anything() -> None:
    """A harmless text that is only kept stays harmless."""
    calls = {attacked("tool_arguments", text(), seed).response for seed in range(60)}
    names = {json.loads(each.partition("\n(tool call) ")[2])["name"] for each in calls}

    assert names == {"save_note", "create_document", "write_file"}
