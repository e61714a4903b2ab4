"""The client in front of this gateway itself: what one says, the other understands."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from inwit.client import (
    AsyncInwit,
    Checked,
    Forbidden,
    Forked,
    InvalidRequest,
    NotFound,
    Retract,
    Witness,
)
from inwit.ledger import verify
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Sequencer
from inwit.policy.policy import Policy
from inwit.types import KeyRole
from tests.client.conftest import ASK
from tests.client.logs import KEY, Log
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeLedger, FakeModel, risk_of, writes_beside
from tests.fakes_policies import compiled

TEXT = "The moon pulls the sea 🌊, and the sea comes and goes twice a day. " * 4
MODES = ("buffer", "windowed", "audit_only")


def policy(mode: str) -> Policy:
    return compiled(stream={"mode": mode, "window": 60, "overlap": 30}, redact=None)


def client_of(caller: Caller) -> AsyncInwit:
    return AsyncInwit("http://inwit", api_key=caller.key, http=caller.http)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("risk", [0.05, 0.95])
async def test_a_stream_and_an_answer_say_the_same(
    make_caller: MakeCaller, mode: str, risk: float
) -> None:
    """For an answer that passes, and for one that does not (in windows: past the first)."""
    passing = [risk_of(0.05)] if mode == "windowed" else []
    model = FakeModel(TEXT, turns=40, answers=passing, answer=risk_of(risk))
    caller = await make_caller(model, classifiers=FakeClassifiers(risk), policies=(policy(mode),))
    inwit = client_of(caller)
    writes_beside(model, caller.gateway.ledger)

    async with inwit.stream(ASK) as stream:
        events = [event async for event in stream]
    again = await inwit.response(stream.id)

    assert again is not None
    assert again.content == stream.answer.content == stream.text
    assert again.status == stream.answer.status
    assert stream.answer.released is (risk < 0.5)
    assert stream.answer.raw.keys() == again.raw.keys()
    assert (stream.text == TEXT) is stream.answer.released
    assert not (stream.answer.released and any(isinstance(each, Retract) for each in events))


async def test_text_that_left_is_withdrawn(make_caller: MakeCaller) -> None:
    model = FakeModel(TEXT, turns=40, answers=[risk_of(0.05)] * 2, answer=risk_of(0.95))
    caller = await make_caller(model, ledger=FakeLedger(), policies=(policy("windowed"),))

    async with client_of(caller).stream(ASK) as stream:
        texts = [text async for text in stream.texts()]

    assert texts[0] == TEXT[:30]
    assert texts[-1] == stream.answer.content == compiled().fallback_text
    assert not stream.answer.released


async def test_a_repeat_is_answered_and_not_done_again(make_caller: MakeCaller) -> None:
    model = FakeModel(TEXT)
    inwit = client_of(await make_caller(model))

    first = await inwit.respond(ASK, idempotency_key="order-7")
    second = await inwit.respond(ASK, idempotency_key="order-7")
    async with inwit.stream(ASK, idempotency_key="order-7") as stream:
        third = await stream.finish()

    assert len(model.generations) == 1
    assert {each.id for each in (first, second, third)} == {first.id}
    assert [each.replayed for each in (first, second, third)] == [False, True, True]
    with pytest.raises(InvalidRequest, match="Idempotency-Key"):
        await inwit.respond(ASK, idempotency_key="order-7", max_tokens=1)


async def test_a_candidate_is_checked(make_caller: MakeCaller) -> None:
    inwit = client_of(await make_caller(FakeModel(answer=risk_of(0.05))))

    one = await inwit.check(ASK, "The sea.")
    two, three = await inwit.check_many(ASK, ["The sea.", "The moon."])

    assert isinstance(two, Checked)
    assert isinstance(three, Checked)
    assert [each.content for each in (one, two, three)] == ["The sea.", "The sea.", "The moon."]
    assert [each.may_leave for each in (one, two, three)] == [True] * 3
    assert one.receipt.sequence < two.receipt.sequence


async def test_a_harmful_candidate_stays(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=risk_of(0.95)), classifiers=FakeClassifiers(0.95))

    checked = await client_of(caller).check(ASK, "HARM")

    assert (checked.may_leave, checked.content, checked.status) == (False, "", "withheld")


async def test_a_refusal_names_the_field(make_caller: MakeCaller) -> None:
    inwit = client_of(await make_caller())

    with pytest.raises(InvalidRequest) as raised:
        await inwit.respond([{"role": "nobody", "content": "?"}])
    with pytest.raises(NotFound):
        await inwit.response("resp_" + "0" * 32)

    assert raised.value.errors[0].field == "messages[0].role"
    assert raised.value.kind == "invalid-field"


async def test_a_key_without_the_role(make_caller: MakeCaller) -> None:
    inwit = client_of(await make_caller(roles=(KeyRole.ADMIN,)))

    with pytest.raises(Forbidden):
        await inwit.respond(ASK)


async def test_an_answer_is_a_turn_of_the_next_request(make_caller: MakeCaller) -> None:
    model = FakeModel("The moon does it.")
    inwit = client_of(await make_caller(model))

    first = await inwit.respond(ASK)
    await inwit.respond([*ASK, first.as_message(), {"role": "user", "content": "Why?"}])

    assert [message.content for message in model.generations[1].messages][-2:] == [
        "The moon does it.",
        "Why?",
    ]


async def sign(caller: Caller) -> str:
    """Sign a checkpoint over all that is there, and give its note."""
    newest = await Sequencer(caller.database, [KEY], 60, caller.gateway.head.take).work()
    assert newest is not None
    return newest.note


async def test_its_callers_are_witnesses(make_caller: MakeCaller, tmp_path: Path) -> None:
    caller = await make_caller()
    inwit = AsyncInwit(
        "http://inwit", api_key=caller.key, http=caller.http, witness=Witness(every=0)
    )
    with pytest.raises(NotFound):
        await inwit.prove_log()
    answer = await inwit.respond(ASK)
    assert inwit.witness.newest is None
    for _ in range(3):
        note = await sign(caller)
        await inwit.respond(ASK)
        assert inwit.witness.newest == note

    receipt = await inwit.receipt(answer)
    assert receipt.hash == answer.receipt.hash
    assert receipt.index == answer.receipt.sequence - 1
    (tmp_path / "receipt.json").write_text(receipt.json)
    assert verify.main(["receipt", str(tmp_path / "receipt.json"), "--key", KEY.vkey]) == 0
    note = await sign(caller)
    await inwit.prove_log()
    assert inwit.witness.newest == note != receipt.checkpoint

    size = int(note.split("\n")[1])
    caller.gateway.head.take(Signed(size, Log("wrong").note(size), datetime.now(UTC)))
    with pytest.raises(Forked) as raised:
        await inwit.respond(ASK)
    assert raised.value.kept == note
