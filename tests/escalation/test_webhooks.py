"""Webhooks, as a caller's backend gets them: a real receiver, the real ledger, any misfortune."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from inwit.auth import ApiKeys
from inwit.cases import RulingKind, Settlement
from inwit.errors import Gone, LedgerError
from inwit.escalation.webhooks import Deliverer, payload
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.deliveries import DeliveryState
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import API_KEYS
from tests.escalation.receiver import Receiver
from tests.escalation.webhook_world import APPROVED, CALL, NOBODY, OUTPUT, World, world_at
from tests.escalation.webhook_world import no_second_attempt as no_second_attempt

pytestmark = pytest.mark.usefixtures("no_second_attempt")
OWN_S = (0.8 * 3600, 1.2 * 3600)  # what a gateway waits of its own accord
TOLD_S = 300.0  # a test is told within this what was decided


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[World]:
    async with Receiver().running() as receiver, world_at(database, receiver) as made:
        yield made


async def test_the_answer_arrives_signed(world: World) -> None:
    await world.settle()
    async with world.deliverer().running():
        (got,) = await world.receiver.came()
        (row,) = await world.until("delivered")

    told = world.receiver.verified(world.secret)
    assert told == {
        "type": "response.settled",
        "timestamp": "2026-11-23T12:00:00+00:00",
        "data": {
            "id": "resp_one",
            "status": "released",
            "output": {
                "role": "assistant",
                "content": OUTPUT.text,
                "tool_calls": [CALL.as_openai()],
                "finish_reason": "tool_calls",
            },
            "escalation": {"id": "esc_one", "state": "resolved"},
            "poll": "/v1/responses/resp_one",
        },
    }
    assert got.path == "/private-path?token=private-query"
    assert got.id == row.id
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Inwit/")
    assert not {"cookie", "authorization", "traceparent"} & got.headers.keys()
    assert (row.attempts, row.last_result) == (1, "200")


@pytest.mark.parametrize(
    ("settlement", "status", "state"),
    [
        (APPROVED, "released", "resolved"),
        (replace(APPROVED, ruling=RulingKind.EDIT), "released", "resolved"),
        (replace(APPROVED, ruling=RulingKind.BLOCK), "blocked", "resolved"),
        (NOBODY, "blocked", "expired"),
    ],
)
def test_the_payload_says_how_it_ended(settlement: Settlement, status: str, state: str) -> None:
    data = json.loads(payload("resp_1", "esc_1", settlement))["data"]

    assert (data["status"], data["escalation"]["state"]) == (status, state)
    assert data["output"]["content"] == settlement.output.text


async def test_a_wake_sends_at_once_and_nothing_is_sent_twice(world: World) -> None:
    deliverer = world.deliverer()
    async with deliverer.running():
        for name in ("a", "b", "c"):
            await world.settle(name)
            deliverer.wake()
        await world.receiver.came(3)
        await world.until("delivered")

    assert len({got.id for got in world.receiver.got}) == len(world.receiver.got) == 3


@pytest.mark.parametrize("status", [201, 204, 299])
async def test_every_2xx_is_an_arrival(world: World, status: int) -> None:
    world.receiver.status = status
    await world.settle()
    async with world.deliverer().running():
        (row,) = await world.until("delivered")

    assert row.last_result == str(status)


@pytest.mark.parametrize(
    ("status", "headers", "bounds_s"),
    [
        (500, {}, OWN_S),
        (404, {"Retry-After": "7200"}, OWN_S),
        (429, {"Retry-After": "7200"}, (7200, 7200)),
        (503, {"Retry-After": "Mon, 23 Nov 2126 12:00:00 GMT"}, (86_400, 86_400)),
        (503, {"Retry-After": "soon"}, OWN_S),
        (429, {"Retry-After": "-5"}, OWN_S),
    ],
)
async def test_a_refusal_is_tried_again_after_a_while(
    world: World, status: int, headers: dict[str, str], bounds_s: tuple[float, float]
) -> None:
    world.receiver.status, world.receiver.headers = status, headers
    await world.settle()
    deliverer = world.deliverer()
    async with deliverer.running():
        (row,) = await world.until("pending")
        waits = row.due.replace(tzinfo=UTC) - datetime.now(UTC)
        world.receiver.status = 200
        await world.due_now()
        deliverer.wake()
        (done,) = await world.until("delivered", attempts=2)

    assert bounds_s[0] - TOLD_S <= waits.total_seconds() <= bounds_s[1]
    assert row.last_result == str(status)
    assert done.attempts == 2
    first, second = world.receiver.got
    assert first.id == second.id
    assert world.receiver.verified(world.secret, 1) == world.receiver.verified(world.secret, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(world: World, status: int) -> None:
    world.receiver.status = status
    world.receiver.headers = {"Location": f"http://localhost:{world.receiver.port}/elsewhere"}
    await world.settle()
    async with world.deliverer().running():
        (row,) = await world.until("pending")

    assert row.last_result == str(status)
    assert [got.path for got in world.receiver.got] == ["/private-path?token=private-query"]


async def test_gone_ends_it_at_once(world: World) -> None:
    world.receiver.status = 410
    await world.settle()
    deliverer = world.deliverer()
    assert deliverer.warnings() == []
    async with deliverer.running():
        (row,) = await world.until("dead")
        async with asyncio.timeout(60):
            while not deliverer.warnings():
                await world.rows()

    assert (row.attempts, row.last_result) == (1, "410")
    assert deliverer.warnings() == [
        "1 webhook was given up in the last day: inwit queue deliveries"
    ]


async def test_a_body_without_end_is_not_read(world: World) -> None:
    world.receiver.behaviour = "flood"
    await world.settle()
    async with world.deliverer().running():
        (row,) = await world.until("delivered")

    assert row.last_result == "200"
    assert world.receiver.flooded < 16 * 2**20  # what the system itself buffers


@pytest.mark.parametrize(
    ("behaviour", "timeout_s", "word"), [("hang", 0.3, "timeout"), ("hang_up", 60, "hung_up")]
)
async def test_a_receiver_that_does_not_answer(
    world: World, behaviour: Any, timeout_s: float, word: str
) -> None:
    world.receiver.behaviour = behaviour
    await world.settle()
    async with world.deliverer(timeout_s=timeout_s).running():
        (row,) = await world.until("pending")

    assert row.last_result == word


async def test_a_receiver_that_is_not_there(world: World) -> None:
    async with Receiver().running() as gone:
        pass
    await world.keys.set_callbacks(world.key_id, [f"127.0.0.1:{gone.port}"])
    await world.settle(url=f"http://127.0.0.1:{gone.port}/")
    async with world.deliverer().running():
        (row,) = await world.until("pending")

    assert row.last_result == "not_connected"


async def test_a_slow_host_keeps_nobody_waiting(world: World) -> None:
    async with Receiver(behaviour="hang").running() as slow:
        await world.keys.set_callbacks(
            world.key_id, [f"localhost:{slow.port}", f"127.0.0.1:{world.receiver.port}"]
        )
        for number in range(20):
            await world.settle(f"slow{number}", f"http://localhost:{slow.port}/")
        await world.settle("quick")
        async with world.deliverer(timeout_s=60).running():
            await slow.came(4)
            await world.receiver.came()
            assert slow.most_open == len(slow.got) == 4
            slow.answer()
            await world.until("delivered")

        assert len(slow.got) == len({got.id for got in slow.got}) == 20
        assert slow.most_open == 4


async def test_two_gateways_on_one_ledger_send_each_once(world: World, tmp_path: Path) -> None:
    second = Database(sqlite_url(tmp_path))
    await second.open()
    store = LedgerStore(second)
    for number in range(40):
        await world.settle(str(number))
    other = Deliverer(second, store, ApiKeys(second, cache_s=60), world.responses)
    async with store.running(), world.deliverer().running(), other.running():
        await world.until("delivered")
    await second.close()

    ids = [got.id for got in world.receiver.got]
    assert len(ids) == len(set(ids)) == 40


async def test_what_was_sent_and_could_not_be_recorded_is_sent_again(world: World) -> None:
    world.receiver.behaviour = "hang"
    await world.settle()
    deliverer = world.deliverer()
    with capture_logs() as logs:
        async with deliverer.running():
            await world.receiver.came()
            async with world.without_table():
                world.receiver.answer()
                await world.logged(logs, "webhook_not_recorded")
            (leased,) = await world.rows()
            await world.due_now()
            deliverer.wake()
            (row,) = await world.until("delivered", attempts=2)

    assert (leased.state, leased.attempts) == ("pending", 1)
    assert leased.owner is not None
    assert [got.id for got in world.receiver.got] == [row.id, row.id]


Prepare = Callable[[World], Awaitable[object]]


async def withdrawn(world: World) -> None:
    await world.keys.set_callbacks(world.key_id, [])


async def revoked(world: World) -> None:
    await world.keys.revoke(world.key_id)


async def erased(world: World) -> None:
    world.responses.error = Gone("no longer kept")


@pytest.mark.parametrize(
    ("prepare", "result"),
    [(withdrawn, "not_allowed"), (revoked, "not_allowed"), (erased, "content_gone")],
)
async def test_what_may_not_be_sent_any_more_is_given_up(
    world: World, prepare: Prepare, result: str
) -> None:
    await world.settle()
    await prepare(world)
    async with world.deliverer().running():
        (row,) = await world.until("dead")

    assert row.last_result == result
    assert world.receiver.got == []


async def unsettled(world: World) -> None:
    world.responses.settlement = None


async def unreadable_secret(world: World) -> None:
    change = sa.update(API_KEYS).values(callback_secret="whsec_not base64")
    await world.database.write(lambda connection: connection.execute(change))


@pytest.mark.parametrize(
    ("prepare", "result"), [(unsettled, "not_settled"), (unreadable_secret, "failed")]
)
async def test_what_cannot_be_sent_yet_waits(world: World, prepare: Prepare, result: str) -> None:
    await world.settle()
    await prepare(world)
    async with world.deliverer().running():
        (row,) = await world.until("pending")

    assert row.last_result == result
    assert world.receiver.got == []


async def test_a_new_secret_signs_from_the_next_attempt_on(world: World) -> None:
    world.receiver.status = 401
    await world.settle()
    deliverer = world.deliverer()
    async with deliverer.running():
        await world.until("pending")
        fresh = await world.keys.set_callbacks(world.key_id, None, new_secret=True)
        world.receiver.status = 200
        await world.due_now()
        deliverer.wake()
        await world.until("delivered", attempts=2)

    assert fresh is not None
    assert fresh != world.secret
    assert world.receiver.verified(world.secret, 0)
    assert world.receiver.verified(fresh, 1)


async def test_nothing_is_sent_while_the_ledger_cannot_be_read(world: World) -> None:
    world.responses.error = LedgerError("away")
    await world.settle()
    deliverer = world.deliverer()
    with capture_logs() as logs:
        async with deliverer.running():
            await world.logged(logs, "webhook_not_recorded")
            world.responses.error = None
            await world.due_now()
            deliverer.wake()
            await world.until("delivered")

    assert len(world.receiver.got) == 1


async def test_the_loop_outlives_a_database_that_fails(world: World) -> None:
    await world.settle()
    deliverer = world.deliverer()
    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            async with world.without_table():
                await stack.enter_async_context(deliverer.running())
                await world.logged(logs, "webhooks_not_looked_for")
            deliverer.wake()
            await world.until("delivered")


async def test_logs_tell_neither_content_nor_where_it_goes(world: World) -> None:
    await world.settle()
    with capture_logs() as logs:
        async with world.deliverer().running():
            await world.until("delivered")

    (line,) = logs
    assert (line["event"], line["result"], line["attempt"]) == ("webhook_sent", "200", 1)
    for secret in ("private", "127.0.0.1", "moon", world.secret[6:]):
        assert secret not in str(logs)


async def test_what_is_under_way_at_shutdown_is_finished(world: World) -> None:
    world.receiver.behaviour = "hang"
    await world.settle()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.deliverer().running())
        await world.receiver.came()
        world.receiver.answer()

    (row,) = await world.rows()
    assert row.state == DeliveryState.DELIVERED.value
