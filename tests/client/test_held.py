"""A response that waits for a person, and one that is still being written."""

from typing import Any

import pytest

from inwit.client import Answer, NotFound, TimedOut
from tests.client.conftest import ASK, Client
from tests.client.server import (
    DONE,
    ID,
    FakeGateway,
    answer,
    breaks,
    deltas,
    event,
    held,
    refuses,
    replies,
    streams,
)

IN_PROGRESS = {"id": ID, "status": "in_progress"}


async def test_a_held_answer_is_waited_for(gateway: FakeGateway, client: Client) -> None:
    released = answer("Approved.")
    gateway.script = [
        replies(held(), 202),
        replies(IN_PROGRESS),
        refuses(503, retry_after="0"),
        breaks,
        replies(held()),
        replies(released),
    ]

    first: Answer = await client.ask("respond", ASK)
    assert first.held
    assert not first.released
    assert first.escalation is not None
    assert (first.escalation.state, first.escalation.until) == ("pending", "2030-01-01T00:00:00Z")

    last: Answer = await client.ask("wait_for", first, 60)

    assert last.released
    assert last.content == "Approved."
    polls = {(each.method, each.path.rpartition("=")[0]) for each in gateway.seen[1:]}
    assert polls == {("GET", f"/v1/responses/{ID}?wait")}
    assert all(0 < int(each.path.rpartition("=")[2]) <= 60 for each in gateway.seen[1:])


async def test_nobody_ruled(gateway: FakeGateway, client: Client) -> None:
    escalation = held()["escalation"] | {"state": "expired"}
    gateway.script = [replies(answer("No.", status="blocked", escalation=escalation))]

    last: Answer = await client.ask("wait_for", ID, 60)

    assert not last.released
    assert last.escalation is not None
    assert last.escalation.state == "expired"


async def test_waiting_ends(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(held())] * 5

    with pytest.raises(TimedOut):
        await client.ask("wait_for", ID, 0.3)


async def test_what_is_decided_is_not_asked_for(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(answer())]
    decided: Answer = await client.ask("respond", ASK)

    assert await client.ask("wait_for", decided, 60) is decided
    assert len(gateway.seen) == 1


async def test_the_state_of_a_response(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(IN_PROGRESS), replies(answer()), refuses(404, "not-found")]

    assert await client.ask("response", ID) is None
    assert (await client.ask("response", ID, wait=30)).released
    with pytest.raises(NotFound):
        await client.ask("response", ID)

    paths = [each.path for each in gateway.seen]
    assert paths == [f"/v1/responses/{ID}", f"/v1/responses/{ID}?wait=30", f"/v1/responses/{ID}"]
    assert "idempotency-key" not in gateway.seen[0].headers


async def test_a_held_stream(gateway: FakeGateway, client: Client) -> None:
    decision = {name: value for name, value in held().items() if name not in (*DONE, "output")}
    done = event("done", DONE | {"finish_reason": "content_filter"}, "done")
    gateway.script = [streams(event("decision", decision, "decision"), done)]

    told = await client.listen()

    assert told.ended.held
    assert told.ended.content == ""


@pytest.mark.parametrize("hostile", ["", "..", "resp_", "resp_a/../../x", "resp_a?b", "resp_é"])
async def test_an_id_that_is_none_asks_nothing(
    gateway: FakeGateway, client: Client, hostile: str
) -> None:
    for method, more in (("response", ()), ("wait_for", (1,))):
        with pytest.raises(ValueError, match="a response's id"):
            await client.ask(method, hostile, *more)

    assert gateway.seen == []


async def test_a_stream_may_be_fetched_later(gateway: FakeGateway, client: Client) -> None:
    """After StreamBroken, where it was decided all the same: its id is at hand."""
    gateway.script = [
        streams(*deltas("The "), then="break"),
        refuses(500, "internal"),
        replies(answer("The moon.")),
    ]
    told: Any = await client.listen()

    assert (await client.ask("wait_for", told.error.response_id, 60)).content == "The moon."
