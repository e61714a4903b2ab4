"""What the log proves over HTTP: receipts, checkpoints, tiles, and a tenant's own entries."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.ledger.notes import VerifyingKey, checkpoint_of, new_key
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.tables import CONTENTS
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify import included
from inwit.types import KeyRole
from tests.conftest import ASK, Caller, MakeCaller

KEY = new_key("log.example.com")


@pytest.fixture
async def caller(make_caller: MakeCaller) -> Caller:
    """One whose gateway knows a key."""
    made = await make_caller(roles=(KeyRole.RESPOND, KeyRole.AUDIT))
    made.gateway.head.vkeys = (KEY.vkey,)
    return made


async def sign(caller: Caller) -> int:
    """Sign a checkpoint over all that is there, and give its size."""
    sequencer = Sequencer(caller.database, [KEY], 60, caller.gateway.head.take)
    newest = await sequencer.work()
    assert newest is not None
    return newest.size


async def fill(caller: Caller, entries: int) -> None:
    """Entries of another tenant."""

    def work(connection: sa.Connection) -> None:
        transaction = Transaction(connection)
        for _ in range(entries):
            transaction.add(ActRecord(ActKind.CHANGED, datetime.now(UTC), "other", "k", {}, {}))
        transaction.flush()

    await caller.database.write(work)


async def answered(caller: Caller, path: str) -> Any:
    answer = await caller.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_receipt_proves_what_was_recorded(caller: Caller) -> None:
    answer = (await caller.respond(ASK)).json()
    before = await caller.http.get(f"/v1/receipts/{answer['id']}")
    await fill(caller, 300)
    await sign(caller)

    receipt = await answered(caller, f"/v1/receipts/{answer['id']}")
    by_entry = await answered(caller, f"/v1/receipts/{answer['receipt']['entry']}")

    assert before.status_code == 202
    assert before.json() == {"status": "pending"}
    assert int(before.headers["retry-after"]) > 0
    assert receipt == by_entry
    entry = json.loads(receipt["entry"])
    assert entry["response"] == answer["id"]
    assert entry["sequence"] == answer["receipt"]["sequence"] == receipt["index"] + 1
    assert ASK["messages"][0]["content"] not in json.dumps(receipt)
    opening = receipt["openings"]["released"]
    content = base64.b64decode(opening["content"])
    assert json.loads(content)["text"] == answer["output"]["content"]
    opened = hmac.new(bytes.fromhex(opening["salt"]), content, hashlib.sha256).hexdigest()
    assert opened == entry["commitments"]["released"]
    leaf = hashlib.sha256(b"\x00" + receipt["entry"].encode()).digest()
    assert leaf.hex() == answer["receipt"]["hash"]
    checkpoint = checkpoint_of(receipt["checkpoint"])
    proof = [base64.b64decode(each) for each in receipt["proof"]]
    assert included(leaf, receipt["index"], checkpoint.size, proof, checkpoint.root)
    assert VerifyingKey.read(KEY.vkey).signed(receipt["checkpoint"])
    assert receipt["origin"] == KEY.name


async def test_a_receipt_without_content_is_one_all_the_same(caller: Caller) -> None:
    answer = (await caller.respond(ASK)).json()
    await sign(caller)
    await caller.database.write(lambda db: db.execute(sa.delete(CONTENTS)))

    receipt = await answered(caller, f"/v1/receipts/{answer['id']}")

    assert receipt["openings"] == {}
    assert receipt["proof"]


async def test_a_receipt_is_for_its_own_tenant(caller: Caller) -> None:
    answer = (await caller.respond(ASK)).json()
    await sign(caller)
    _, other = await caller.gateway.keys.create(
        name="other", tenant="other", policies=("default",), roles=(KeyRole.RESPOND,)
    )
    headers = {"authorization": f"Bearer {other}"}
    names = (answer["id"], answer["receipt"]["entry"], "resp_" + "0" * 32, "x", "..%2f", "ent_1")

    for name in names:
        refused = await caller.http.get(f"/v1/receipts/{name}", headers=headers)
        assert refused.status_code == 404
    _, auditor = await caller.gateway.keys.create(
        name="auditor", tenant="acme", policies=("default",), roles=(KeyRole.AUDIT,)
    )
    headers = {"authorization": f"Bearer {auditor}"}
    refused = await caller.http.get(f"/v1/receipts/{answer['id']}", headers=headers)
    assert refused.status_code == 403


async def test_every_answer_carries_the_newest_checkpoint(caller: Caller) -> None:
    unsigned = await caller.respond(ASK)
    size = await sign(caller)
    answers = [
        await caller.respond(ASK),
        await caller.http.post("/v1/respond", json={}),
        await caller.http.get("/healthz"),
        await caller.http.get("/nowhere"),
    ]

    assert "x-inwit-checkpoint" not in unsigned.headers
    for answer in answers:
        note = base64.b64decode(answer.headers["x-inwit-checkpoint"]).decode()
        assert checkpoint_of(note).size == size
        assert VerifyingKey.read(KEY.vkey).signed(note)


async def test_checkpoint_keys_and_consistency(caller: Caller) -> None:
    none_yet = await caller.http.get("/v1/ledger/checkpoint")
    await caller.respond(ASK)
    old = await sign(caller)
    first = (await caller.http.get("/v1/ledger/checkpoint")).text
    await fill(caller, 700)
    new = await sign(caller)
    second = (await caller.http.get("/v1/ledger/checkpoint")).text

    found = await answered(caller, f"/v1/ledger/consistency?old={old}&new={new}")

    assert none_yet.status_code == 404
    assert (checkpoint_of(first).size, checkpoint_of(second).size) == (old, new)
    assert (await answered(caller, "/v1/ledger/keys")) == {"keys": [KEY.vkey]}
    assert (found["old"], found["new"]) == (old, new)
    assert found["proof"]
    for path, status in {
        f"old={new}&new={old}": 422,
        f"old={old}&new={new + 1}": 404,
        "old=-1&new=3": 422,
        "old=1": 422,
        f"old=1&new={2**64}": 422,
    }.items():
        refused = await caller.http.get(f"/v1/ledger/consistency?{path}")
        assert refused.status_code == status, path
        assert refused.headers["content-type"] == "application/problem+json"


async def test_what_another_gateway_signed_a_moment_ago_is_proven(caller: Caller) -> None:
    await caller.respond(ASK)
    old = await sign(caller)
    await fill(caller, 300)
    elsewhere = await Sequencer(caller.database, [KEY], 60).work()
    assert elsewhere is not None

    found = await answered(caller, f"/v1/ledger/consistency?old={old}&new={elsewhere.size}")

    assert found["proof"]
    assert (await caller.http.get("/v1/ledger/tile/0/000")).status_code == 200


async def test_tiles_are_named_and_filled_as_c2sp_has_it(caller: Caller) -> None:
    await fill(caller, 600)
    size = await sign(caller)

    full = await caller.http.get("/v1/ledger/tile/0/001")
    partial = await caller.http.get(f"/v1/ledger/tile/0/002.p/{size - 512}")
    above = await caller.http.get("/v1/ledger/tile/1/000.p/2")

    assert [len(each.content) for each in (full, partial, above)] == [8192, (size - 512) * 32, 64]
    row = hashlib.sha256(b"\x01").digest()
    level = [full.content[at : at + 32] for at in range(0, 8192, 32)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
    assert above.content[32:] == level[0] != row
    assert "immutable" in full.headers["cache-control"]
    for path in (
        *("0/003", "1/000", "0/002", f"0/002.p/{size - 511}", "0/1", "0/x001", "0/x000/001/002"),
        *("0/002.p/0", "0/002.p/256", "0/-01", "0/..", "0/001/", "3/000", "0/x999/x999/x999/999"),
    ):
        assert (await caller.http.get(f"/v1/ledger/tile/{path}")).status_code == 404, path
    assert (await caller.http.get("/v1/ledger/tile/8/000")).status_code == 422


async def test_an_auditor_reads_the_tenants_own_entries(caller: Caller) -> None:
    answers = [(await caller.respond(ASK)).json() for _ in range(3)]
    await fill(caller, 5)

    lines = (await caller.http.get("/v1/ledger/entries")).text.splitlines()
    page = (await caller.http.get("/v1/ledger/entries?limit=1")).text.splitlines()
    after = json.loads(page[0])["sequence"]
    rest = (await caller.http.get(f"/v1/ledger/entries?after={after}")).text.splitlines()

    entries = [json.loads(line) for line in lines]
    assert {entry["tenant"] for entry in entries} == {"acme"}
    assert {answer["id"] for answer in answers} <= {entry["response"] for entry in entries}
    assert page + rest == lines
    for line in lines:
        hash_ = hashlib.sha256(b"\x00" + line.encode()).hexdigest()
        if (sequence := json.loads(line)["sequence"]) == answers[0]["receipt"]["sequence"]:
            assert hash_ == answers[0]["receipt"]["hash"], sequence


@pytest.mark.parametrize(
    "path",
    ["receipts/resp_1", "ledger/checkpoint", "ledger/keys", "ledger/tile/0/000", "ledger/entries"],
)
async def test_nobody_is_told_without_a_key(caller: Caller, path: str) -> None:
    answer = await caller.http.get(f"/v1/{path}", headers={"authorization": ""})

    assert answer.status_code == 401
