"""Persistence: asked three times, refused twice, and then the same response."""

from hypothesis import assume, given

from inwit.evaluation.attacks import ATTACKS, Attacked
from inwit.evaluation.attacks.framing import REFUSALS
from inwit.types import Message
from tests.evaluation.attacks.texts import RESPONSE, SEEDS, TEXTS, attacked, patient, text


@patient
@given(before=TEXTS, seed=SEEDS)
def test_the_request_is_put_three_times(before: Attacked, seed: int) -> None:
    after = ATTACKS["persistence"].on(before, seed, "a-digest")
    assume(after is not None)
    assert after is not None
    added = after.conversation[len(before.conversation) - 1 :]

    assert [turn.role for turn in added] == ["user", "assistant", "user", "assistant", "user"]
    assert all(before.request in turn.content for turn in added if turn.role == "user")
    assert added[0].content == before.request
    refusals = [turn.content for turn in added if turn.role == "assistant"]
    assert len(set(refusals)) == 2
    assert set(refusals) <= set(REFUSALS)
    assert after.response == before.response


def test_turns_after_the_request_stay_after_it() -> None:
    tool = Message("tool", "12:40", tool_call_id="1")
    before = Attacked((*text().conversation, tool), RESPONSE)

    after = attacked("persistence", before)

    assert after.conversation[-1] == tool
    assert after.conversation[:3] == before.conversation[:3]
    assert len(after.conversation) == len(before.conversation) + 4


def test_nobody_insists_on_nothing() -> None:
    assert not ATTACKS["persistence"].applies(text(request="\n"))
    assert not ATTACKS["persistence"].applies(Attacked((), RESPONSE))
