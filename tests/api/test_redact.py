"""Private data in what leaves: masked, counted, and in no log."""

import json
from typing import Any

import pytest

from tests.api.evidence import counting, entry
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeModel, risk_of
from tests.fakes_policies import compiled

MAIL = "ana@example.org"
CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"
TEXT = f"Write to {MAIL}, not to bob@example.org, and pay with {CARD}. Again: {MAIL}."
MASKED = "Write to [EMAIL_1], not to [EMAIL_2], and pay with [PAYMENT_CARD_1]. Again: [EMAIL_1]."


def saying(*texts: str, role: str = "user") -> dict[str, Any]:
    turns = [{"role": role, "content": text} for text in texts]
    return {"messages": [*turns, {"role": "user", "content": "And now?"}]}


async def test_private_data_is_masked_before_it_leaves(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(compiled(),))
    mails = await counting(caller, 'inwit_masked_total{kind="email",policy="default"}')

    body = (await caller.respond()).json()

    assert (body["status"], body["action"]) == ("released", "redact")
    assert body["output"]["content"] == MASKED
    assert body["output"]["finish_reason"] == "stop"
    assert body["review"]["masked"] == {"email": 3, "payment_card": 1}
    assert body["review"]["reasons"][0] == "private_data_masked"
    assert await mails.grown() == 3


async def test_the_ledger_keeps_what_was_written_and_what_was_released(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(compiled(),))

    body = (await caller.respond()).json()

    story = await entry(caller, body)
    assert story.contents["candidate"]["text"] == TEXT
    assert story.contents["released"]["text"] == MASKED
    assert story.facts["masked"] == {"email": 3, "payment_card": 1}
    assert story.facts["action"] == "redact"
    assert MAIL not in json.dumps(story.facts)


async def test_judges_see_what_was_written(make_caller: MakeCaller) -> None:
    model = FakeModel(TEXT)
    caller = await make_caller(model, policies=(compiled(),))

    await caller.respond()

    assert model.reviews[0][-2].content == TEXT


async def test_only_the_policys_kinds_are_masked(make_caller: MakeCaller) -> None:
    policy = compiled(redact={"mask": ["payment_card"], "pass_if_sent_first": []})
    caller = await make_caller(FakeModel(TEXT), policies=(policy,))

    body = (await caller.respond()).json()

    assert body["output"]["content"] == TEXT.replace(CARD, "[PAYMENT_CARD_1]")
    assert body["review"]["masked"] == {"payment_card": 1}


async def test_a_policy_without_redact_masks_nothing(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(compiled(redact=None),))

    body = (await caller.respond()).json()

    assert (body["action"], body["output"]["content"]) == ("allow", TEXT)
    assert body["review"]["masked"] == {}


async def test_what_the_caller_sent_first_may_come_back(make_caller: MakeCaller) -> None:
    text = f"You wrote from {MAIL}; bob@example.org did not."
    caller = await make_caller(FakeModel(text), policies=(compiled(),))

    body = (await caller.respond(saying(f"I am {MAIL.upper()}."))).json()

    assert body["output"]["content"] == f"You wrote from {MAIL}; [EMAIL_1] did not."
    assert body["review"]["masked"] == {"email": 1}


async def test_an_echo_alone_is_released_as_it_is(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(f"Yes, {MAIL}."), policies=(compiled(),))

    body = (await caller.respond(saying(f"Is it {MAIL}?"))).json()

    assert (body["action"], body["output"]["content"]) == ("allow", f"Yes, {MAIL}.")
    assert body["review"]["masked"] == {}


async def test_kinds_that_may_not_pass_are_masked_even_where_they_were_sent(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(FakeModel(f"Your card is {CARD}."), policies=(compiled(),))

    body = (await caller.respond(saying(f"My card is {CARD}."))).json()

    assert body["output"]["content"] == "Your card is [PAYMENT_CARD_1]."


@pytest.mark.parametrize("role", ["system", "assistant"])
async def test_only_a_user_turn_is_the_callers_word(make_caller: MakeCaller, role: str) -> None:
    """A product's own prompt, or an earlier answer, may hold what this user must not see."""
    caller = await make_caller(FakeModel(f"Ask {MAIL}."), policies=(compiled(),))

    body = (await caller.respond(saying(f"Staff: {MAIL}.", role=role))).json()

    assert body["output"]["content"] == "Ask [EMAIL_1]."


async def test_a_part_of_what_was_sent_is_not_what_was_sent(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel("Ask na@example.org."), policies=(compiled(),))

    body = (await caller.respond(saying(f"I am {MAIL}."))).json()

    assert body["output"]["content"] == "Ask [EMAIL_1]."


async def test_a_blocked_answer_is_blocked_and_not_masked(make_caller: MakeCaller) -> None:
    policy = compiled()
    caller = await make_caller(FakeModel(TEXT, answer=risk_of(0.9)), policies=(policy,))

    body = (await caller.respond()).json()

    assert body["action"] == "block"
    assert body["output"]["content"] == policy.fallback_text
    assert body["review"]["masked"] == {}
    assert (await entry(caller, body)).facts["masked"] == {}


async def test_a_rewrite_is_masked_too(make_caller: MakeCaller) -> None:
    model = FakeModel(
        "HARM", answers=[risk_of(0.9), risk_of(0.05)], rewrites=[f"Ask {MAIL}, pay to {IBAN}."]
    )
    caller = await make_caller(model, policies=(compiled(on_harm="rewrite"),))

    body = (await caller.respond()).json()

    assert body["action"] == "redact"
    assert body["review"]["rewrites"] == ["passed"]
    assert body["output"]["content"] == "Ask [EMAIL_1], pay to [IBAN_1]."


async def test_private_data_is_in_no_log_and_no_metric(
    make_caller: MakeCaller, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(compiled(),))

    await caller.respond(ASK)

    written = capsys.readouterr()
    assert "responded" in written.out + written.err
    metrics = (await caller.http.get("/metrics")).text
    for value in (MAIL, CARD, "bob@"):
        assert value not in written.out + written.err + metrics
