"""The client as a witness: what it notices, what it lets pass, what it remembers."""

import base64
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inwit.client import BadAnswer, Forked, Inwit, InwitError, Witness
from inwit.ledger.notes import SigningKey
from tests.client.conftest import ASK, KEY, Client, MakeClient
from tests.client.logs import Clock, Log, as_header
from tests.client.server import (
    DECISION,
    END,
    EVENT_STREAM,
    ID,
    FakeGateway,
    Handler,
    answer,
    breaks,
    refuses,
    replies,
    sends,
    streams,
)

RIGHT, WRONG = Log(), Log("wrong")
ELSEWHERE = Log(key=SigningKey("another.example", b"\x02" * 32))


def paths(gateway: FakeGateway) -> list[str]:
    return [each.path.removeprefix("/v1/") for each in gateway.seen]


async def test_the_first_checkpoint_is_kept_and_the_same_one_asks_nothing(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [replies(answer()), RIGHT.answers(17), RIGHT.answers(17)]

    await client.ask("respond", ASK)
    assert client.inwit.witness.newest is None
    await client.ask("respond", ASK)
    await client.ask("respond", ASK)

    assert client.inwit.witness.newest == RIGHT.note(17)
    assert len(gateway.seen) == 3


@pytest.mark.parametrize(("old", "new"), [(1, 2), (16, 17), (17, 32), (17, 300)])
async def test_a_log_that_grew_is_asked_for_its_proof(
    gateway: FakeGateway, client: Client, old: int, new: int
) -> None:
    gateway.script = [RIGHT.answers(old), RIGHT.answers(new), RIGHT.proves]

    await client.ask("respond", ASK)
    got = await client.ask("respond", ASK)

    assert got.released
    assert client.inwit.witness.newest == RIGHT.note(new)
    assert client.inwit.witness.unproven_s == 0
    assert paths(gateway)[2] == f"ledger/consistency?old={old}&new={new}"
    assert gateway.seen[2].headers["authorization"] == f"Bearer {KEY}"


async def test_a_gateway_that_lags_is_asked_too(
    gateway: FakeGateway, make_client: MakeClient
) -> None:
    client = make_client(witness=Witness(every=0))
    gateway.script = [RIGHT.answers(30), RIGHT.answers(12), RIGHT.proves, RIGHT.answers(12)]

    for _ in range(3):
        await client.ask("respond", ASK)

    assert client.inwit.witness.newest == RIGHT.note(30)
    assert paths(gateway)[2] == "ledger/consistency?old=12&new=30"
    assert len(gateway.seen) == 4


async def test_a_gateway_that_lags_on_another_log(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [RIGHT.answers(30), WRONG.answers(12), RIGHT.proves]

    await client.ask("respond", ASK)
    with pytest.raises(Forked) as raised:
        await client.ask("respond", ASK)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(30), WRONG.note(12))


async def test_another_log_of_the_same_size(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [RIGHT.answers(17), WRONG.answers(17)]
    await client.ask("respond", ASK)

    with pytest.raises(Forked, match="another log of 17 entries") as raised:
        await client.ask("respond", ASK)

    error = raised.value
    assert (error.kept, error.shown) == (RIGHT.note(17), WRONG.note(17))
    assert (error.kind, error.passing) == ("ledger-forked", False)
    assert error.request_id == gateway.seen[1].headers["x-request-id"]
    assert len(gateway.seen) == 2, "a fork is never tried again"
    assert client.inwit.witness.newest == RIGHT.note(17)


async def test_a_proof_that_does_not_hold(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [RIGHT.answers(17), WRONG.answers(40), WRONG.proves]
    await client.ask("respond", ASK)

    with pytest.raises(Forked, match=r"log of 40 entries begins with that of 17") as raised:
        await client.ask("respond", ASK)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(17), WRONG.note(40))
    assert raised.value.request_id
    assert len(gateway.seen) == 3
    assert client.inwit.witness.newest == RIGHT.note(17)


async def test_a_fork_is_told_as_long_as_it_is_shown(gateway: FakeGateway, client: Client) -> None:
    """It does not wait for the next minute; and what is right again is right."""
    gateway.script = [RIGHT.answers(17)]
    gateway.script += [WRONG.answers(40), WRONG.proves] * 2
    gateway.script += [RIGHT.answers(41), RIGHT.proves]
    await client.ask("respond", ASK)

    for _ in range(2):
        with pytest.raises(Forked):
            await client.ask("respond", ASK)
    await client.ask("respond", ASK)

    assert client.inwit.witness.newest == RIGHT.note(41)


async def test_a_log_of_another_name(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [RIGHT.answers(17), ELSEWHERE.answers(18)]
    await client.ask("respond", ASK)

    with pytest.raises(Forked, match=r"another\.example"):
        await client.ask("respond", ASK)


async def test_a_refusal_shows_a_fork_too_and_is_not_tried_again(
    gateway: FakeGateway, client: Client
) -> None:
    wrong = WRONG.header(17)
    gateway.script = [RIGHT.answers(17), refuses(503, retry_after="0", x_inwit_checkpoint=wrong)]
    await client.ask("respond", ASK)

    with pytest.raises(Forked):
        await client.ask("respond", ASK)

    assert len(gateway.seen) == 2


@pytest.mark.parametrize("header", ["x", "=", "", as_header("no note"), RIGHT.header(17)[:-4]])
async def test_a_header_that_is_no_checkpoint_is_a_bad_answer(
    gateway: FakeGateway, client: Client, header: str
) -> None:
    gateway.script = [replies(answer(), x_inwit_checkpoint=header), RIGHT.answers(17)]

    with pytest.raises(BadAnswer, match="not a signed note") as raised:
        await client.ask("respond", ASK)

    assert raised.value.request_id
    assert (await client.ask("respond", ASK)).released


def sends_proof(**changes: Any) -> Handler:
    return replies(RIGHT.proof(17, 40) | changes)


@pytest.mark.parametrize(
    "failing",
    [
        refuses(404, "not-found"),
        refuses(429, retry_after="0"),
        refuses(500),
        refuses(503, retry_after="0"),
        sends(b"<html>"),
        replies({}),
        sends_proof(old=16),
        sends_proof(proof=["x"]),
        sends_proof(proof=7),
        sends_proof(proof=None),
        sends_proof(new="40"),
        breaks,
    ],
)
async def test_without_a_proof_the_call_succeeds_and_the_next_one_asks_again(
    gateway: FakeGateway, make_client: MakeClient, failing: Handler
) -> None:
    clock = Clock()
    client = make_client(witness=Witness(clock=clock))
    gateway.script = [RIGHT.answers(17), RIGHT.answers(40), failing]
    gateway.script += [RIGHT.answers(40), RIGHT.answers(41), RIGHT.proves, RIGHT.proves]

    for seconds in (0, 30, 0, 60):
        clock.now += seconds
        assert (await client.ask("respond", ASK)).released
        if seconds == 0 and clock.now:
            assert client.inwit.witness.newest == RIGHT.note(17)

    assert client.inwit.witness.newest == RIGHT.note(41)
    assert client.inwit.witness.unproven_s == 0
    assert paths(gateway)[2:] == [
        "ledger/consistency?old=17&new=40",
        "respond",
        "respond",
        "ledger/consistency?old=17&new=41",
        "ledger/consistency?old=40&new=41",
    ]


async def test_what_was_not_proven_is_asked_for_and_never_forgotten(
    gateway: FakeGateway, make_client: MakeClient
) -> None:
    """The log goes on as it was after one answer of another one; that answer is found out."""
    clock = Clock()
    client = make_client(witness=Witness(clock=clock))
    gateway.script = [RIGHT.answers(20), WRONG.answers(23), refuses(404), RIGHT.answers(24)]
    gateway.script += [RIGHT.answers(25), RIGHT.proves, RIGHT.proves, RIGHT.proves]
    for _ in range(3):
        await client.ask("respond", ASK)
    clock.now += 60

    with pytest.raises(Forked) as raised:
        await client.ask("respond", ASK)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(25), WRONG.note(23))
    assert paths(gateway)[5:] == [
        "ledger/consistency?old=20&new=25",
        "ledger/consistency?old=24&new=25",
        "ledger/consistency?old=23&new=25",
    ]


async def test_a_call_asks_for_a_few_proofs_and_the_next_ones_for_the_rest(
    gateway: FakeGateway, make_client: MakeClient
) -> None:
    clock = Clock()
    client = make_client(witness=Witness(clock=clock))
    gateway.script = [RIGHT.answers(1), RIGHT.answers(2), refuses(404)]
    gateway.script += [RIGHT.answers(size) for size in range(3, 12)]
    gateway.script += [RIGHT.answers(12), *[RIGHT.proves] * 8, RIGHT.answers(12)]
    gateway.script += [*[RIGHT.proves] * 3, RIGHT.answers(12)]
    for _ in range(11):
        await client.ask("respond", ASK)
    clock.now += 60
    asked: list[int] = []
    for _ in range(3):
        before = len(gateway.seen)
        await client.ask("respond", ASK)
        asked.append(len(gateway.seen) - before - 1)

    assert asked == [8, 3, 0]
    assert client.inwit.witness.newest == RIGHT.note(12)
    assert client.inwit.witness.unproven_s == 0


async def test_what_was_proven_outlives_a_restart(
    gateway: FakeGateway, make_client: MakeClient, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint"
    first = make_client(witness=Witness(file))
    gateway.script = [RIGHT.answers(17), RIGHT.answers(40), RIGHT.proves]
    gateway.script += [WRONG.answers(12), refuses(404), WRONG.answers(50), WRONG.proves]
    for _ in range(2):
        await first.ask("respond", ASK)

    assert file.read_text() == RIGHT.note(40)
    assert os.listdir(tmp_path) == ["checkpoint"]

    second = make_client(witness=Witness(file, every=0))
    assert second.inwit.witness.newest == RIGHT.note(40)
    await second.ask("respond", ASK)  # a log that was rolled back looks like one that lags
    with pytest.raises(Forked) as raised:
        await second.ask("respond", ASK)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(40), WRONG.note(50))
    assert file.read_text() == RIGHT.note(40)


def answering(
    status: int, headers: dict[str, str] | dict[bytes, bytes]
) -> Callable[[httpx.Request], httpx.Response]:
    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=answer(), headers=headers)

    return handle


def test_clients_share_a_witness() -> None:
    def gateway(log: Log) -> httpx.Client:
        headers = {"x-inwit-checkpoint": log.header(17)}
        return httpx.Client(transport=httpx.MockTransport(answering(200, headers)))

    witness = Witness()
    with gateway(RIGHT) as one, gateway(WRONG) as other:
        Inwit("http://one", api_key=KEY, http=one, witness=witness).respond(ASK)
        with pytest.raises(Forked):
            Inwit("http://other", api_key=KEY, http=other, witness=witness).respond(ASK)


@given(st.binary(max_size=200), st.sampled_from([200, 202, 429, 503]))
@example(base64.b64encode(b"\xff"), 200)
@example(RIGHT.header(17).encode() + b"\n", 200)
def test_whatever_the_header_holds_the_errors_are_the_clients_own(raw: bytes, status: int) -> None:
    handler = answering(status, {b"x-inwit-checkpoint": raw})
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        inwit = Inwit("http://inwit", api_key=KEY, http=http, retries=0)
        with suppress(InwitError):
            inwit.respond(ASK)


async def test_a_stream_shows_its_checkpoint_and_asks_for_no_proof(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [RIGHT.answers(17), with_checkpoint(RIGHT, DECISION, END)]
    gateway.script += [RIGHT.answers(40), RIGHT.proves]
    await client.ask("respond", ASK)

    told = await client.listen()
    assert told.ended.released
    assert len(gateway.seen) == 2
    await client.ask("respond", ASK)

    assert client.inwit.witness.newest == RIGHT.note(40)


async def test_a_stream_of_a_forked_log_is_never_opened(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [RIGHT.answers(40), with_checkpoint(WRONG, DECISION, END)]
    await client.ask("respond", ASK)

    told = await client.listen()

    assert isinstance(told.error, Forked)
    assert told.events == []


async def test_a_stream_that_is_taken_up_on_a_forked_log(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [RIGHT.answers(40), streams(DECISION, then="break")]
    gateway.script += [with_checkpoint(WRONG, END)]
    await client.ask("respond", ASK)

    told = await client.listen()

    assert isinstance(told.error, Forked)
    assert told.error.response_id == ID


def with_checkpoint(log: Log, *events: bytes) -> Handler:
    headers = EVENT_STREAM | {"x_inwit_checkpoint": log.header(40)}
    return sends(b"".join(events), 200, **headers)
