"""What a caller asks of the log itself: its receipts, and that it only grew."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from inwit.client import BadAnswer, Forked, NotFound
from tests.client.conftest import ASK, Client
from tests.client.logs import Log
from tests.client.server import (
    ID,
    FakeGateway,
    answer,
    refuses,
    replies,
    sends,
)

RIGHT, WRONG = Log(), Log("wrong")


async def test_a_log_is_proven_when_asked(gateway: FakeGateway, client: Client) -> None:
    one, two, three = (sends(RIGHT.note(size).encode()) for size in (17, 40, 60))
    gateway.script = [refuses(404, "not-found"), one, two, RIGHT.proves, three, refuses(404)]

    with pytest.raises(NotFound):
        await client.ask("prove_log")
    await client.ask("prove_log")
    assert client.inwit.witness.newest == RIGHT.note(17)
    await client.ask("prove_log")
    assert client.inwit.witness.newest == RIGHT.note(40)
    with pytest.raises(NotFound):
        await client.ask("prove_log")

    assert {each.path for each in gateway.seen[:3]} == {"/v1/ledger/checkpoint"}


async def test_a_log_that_cannot_be_proven_when_asked(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [sends(RIGHT.note(17).encode()), sends(WRONG.note(50).encode()), RIGHT.proves]
    gateway.script += [sends(b"\xff")]
    await client.ask("prove_log")

    with pytest.raises(Forked):
        await client.ask("prove_log")
    with pytest.raises(BadAnswer):
        await client.ask("prove_log")


@pytest.mark.parametrize("name", [ID, "ent_16"])
async def test_a_receipt_is_waited_for_and_checked(
    gateway: FakeGateway, client: Client, name: str
) -> None:
    pending = replies({"status": "pending"}, 202, retry_after="0")
    gateway.script = [pending, refuses(503, retry_after="0"), replies(RIGHT.receipt(16, 40))]

    receipt = await client.ask("receipt", name)

    assert [each.path for each in gateway.seen] == [f"/v1/receipts/{name}"] * 3
    assert (receipt.origin, receipt.index) == ("log.example", 16)
    assert receipt.entry == RIGHT.entry(16).decode()
    assert receipt.hash == RIGHT.leaves[16].hex()
    assert json.loads(receipt.json) == RIGHT.receipt(16, 40)
    assert receipt.checkpoint == client.inwit.witness.newest == RIGHT.note(40)


async def test_a_receipt_of_an_answer(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [replies(answer()), replies(RIGHT.receipt(0, 1))]

    receipt = await client.ask("receipt", await client.ask("respond", ASK))

    assert gateway.seen[1].path == f"/v1/receipts/{ID}"
    assert receipt.proof == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": RIGHT.entry(17).decode()},
        {"entry": RIGHT.entry(16).decode() + "é"},
        {"entry": "\ud800"},
        {"index": 17},
        {"index": 40},
        {"proof": []},
        {"proof": ["x"]},
        {"checkpoint": RIGHT.note(41)},
        {"checkpoint": ""},
        {"checkpoint": None},
    ],
)
async def test_a_receipt_that_proves_nothing_is_a_bad_answer(
    gateway: FakeGateway, client: Client, changes: dict[str, Any]
) -> None:
    gateway.script = [replies(RIGHT.receipt(16, 40) | changes)]

    with pytest.raises(BadAnswer):
        await client.ask("receipt", ID)


@pytest.mark.parametrize("asked", ["resp_another", "ent_17", "ent_1"])
async def test_the_receipt_of_another_entry_is_a_bad_answer(
    gateway: FakeGateway, client: Client, asked: str
) -> None:
    gateway.script = [replies(RIGHT.receipt(16, 40))]

    with pytest.raises(BadAnswer, match="of another entry"):
        await client.ask("receipt", asked)


@dataclass
class Odd(Log):
    """A log of entries that are not what an entry is."""

    holds: bytes = b""

    def entry(self, index: int) -> bytes:
        return self.holds


@pytest.mark.parametrize(
    "holds",
    [
        b"",
        b"resp_5f0c",
        b'["resp_5f0c"]',
        b'{"response":"resp_5f0c"}',
        b'{"response":"resp_5f0c","sequence":17}',
        b'{"response":"resp_5f0c","sequence":true}',
        b'{"response":["resp_5f0c"],"sequence":1}',
    ],
)
async def test_an_entry_says_whose_it_is_and_where_it_stands(
    gateway: FakeGateway, client: Client, holds: bytes
) -> None:
    gateway.script = [replies(Odd(holds=holds).receipt(0, 1))]

    with pytest.raises(BadAnswer):
        await client.ask("receipt", ID)


@pytest.mark.parametrize("kept", [17, 60])
async def test_the_checkpoint_of_a_receipt_is_proven_before_it_is_handed_out(
    gateway: FakeGateway, client: Client, kept: int
) -> None:
    failing = refuses(503, retry_after="0")
    gateway.script = [RIGHT.answers(kept), replies(RIGHT.receipt(16, 40)), failing, RIGHT.proves]
    gateway.script += [replies(RIGHT.receipt(16, 40))]
    await client.ask("respond", ASK)

    receipt = await client.ask("receipt", ID)

    assert receipt.index == 16
    assert gateway.seen[3].path.endswith(f"?old={min(kept, 40)}&new={max(kept, 40)}")
    assert client.inwit.witness.newest == RIGHT.note(max(kept, 40))
    assert client.inwit.witness.unproven_s == 0
    await client.ask("receipt", ID)
    assert len(gateway.seen) == 5, "what was proven is not asked again"


async def test_a_receipt_under_a_forged_checkpoint(gateway: FakeGateway, client: Client) -> None:
    """The header and all proofs are those of the log; the body's checkpoint is not."""
    forged = replies(WRONG.receipt(16, 23), x_inwit_checkpoint=RIGHT.header(22))
    gateway.script = [RIGHT.answers(22), forged, RIGHT.proves]
    await client.ask("respond", ASK)

    with pytest.raises(Forked) as raised:
        await client.ask("receipt", ID)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(22), WRONG.note(23))
    assert raised.value.request_id


async def test_a_receipt_whose_checkpoint_cannot_be_proven_is_not_handed_out(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [RIGHT.answers(22), replies(WRONG.receipt(16, 23)), refuses(404, "not-found")]
    await client.ask("respond", ASK)

    with pytest.raises(NotFound):
        await client.ask("receipt", ID)

    assert client.inwit.witness.unproven_s > 0
    assert client.inwit.witness.newest == RIGHT.note(22)


async def test_a_receipt_from_a_forked_log(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [RIGHT.answers(40), replies(WRONG.receipt(16, 40))]
    await client.ask("respond", ASK)

    with pytest.raises(Forked) as raised:
        await client.ask("receipt", ID)

    assert raised.value.request_id
