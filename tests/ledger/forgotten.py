"""What tests of forgetting need: a held response of a person, and looks at every table."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inwit.cases import Hold, Offer, OnExpiry, Output, Reviewer, Role, RulingKind
from inwit.ledger import leases, reviewing, rulings
from inwit.ledger.database import Database
from inwit.ledger.erasure import Erased, Wanted, erase
from inwit.ledger.rulings import Said
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import DATA_KEYS, ENTRIES, SUBJECTS
from inwit.ledger.transaction import Transaction
from inwit.pipeline.held import held_content
from inwit.types import Claim, Severity
from tests.ledger.sealed import SEALED
from tests.ledger.test_store import ORIGIN, RECORD

ANSWER = Output("My answer is an unlikely word: xylopyrographer.", "stop")
EXPIRED = Output("Nobody looked in time.", "content_filter")
REVIEWER = Reviewer("rev_a", Role.REVIEWER)
TOKEN = "a" * 43
CASE = "esc_" + "1" * 32
HELD = "resp_" + "1" * 32


async def erased(database: Database, **wanted: Any) -> Erased:
    store = LedgerStore(database)
    async with store.running():
        return await erase(database, store.write, Wanted("acme", **wanted))


async def write(database: Database, steps: Callable[[Transaction], Any]) -> Any:
    store = LedgerStore(database)
    async with store.running():
        return await store.write(steps)


async def held(
    database: Database, end_user: str | None = "ann", claim: Claim | None = None
) -> None:
    """A held response of an end user, with a callback."""
    hold = Hold(
        id=CASE,
        severity=Severity.HIGH,
        language="en",
        required=1,
        drawn=False,
        claim_within=timedelta(minutes=10),
        rule_within=timedelta(minutes=10),
        on_expiry=OnExpiry.NEXT_TIER,
        expired=EXPIRED,
        offers=(Offer(RulingKind.APPROVE, ANSWER),),
        callback_url="https://caller.example/hook?user=xylocallback",
    )
    record = replace(
        RECORD,
        origin=replace(ORIGIN, response_id=HELD, end_user=end_user),
        time=datetime.now(UTC),
        hold=hold,
        claim=claim,
        contents={**SEALED, "held": held_content(hold)},
    )
    store = LedgerStore(database)
    async with store.running():
        await store.append(record)


async def edited(database: Database, text: str, *, rule: bool) -> None:
    """A reviewer's own text for that case; ruled for, where wanted."""
    digest = Output(text, "stop").digest
    await write(database, lambda each: leases.claim(each, CASE, REVIEWER, TOKEN, 120))
    review = {"passed": True}
    judged = reviewing.judged
    await write(database, lambda each: judged(each, CASE, REVIEWER.id, TOKEN, text, digest, review))
    if rule:
        said = Said(
            CASE,
            REVIEWER.id,
            TOKEN,
            RulingKind.EDIT,
            digest,
            ORIGIN.policy.digest,
            "request-1",
            reason="because of xyloreason",
        )
        await write(database, lambda each: rulings.rule(each, said))


async def rows(database: Database, table: sa.Table) -> list[Any]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    return list(await database.read(lambda each: each.execute(query).all()))


async def acts(database: Database, kind: str) -> list[dict[str, Any]]:
    found = await rows(database, ENTRIES)
    return [json.loads(row.body) for row in found if row.type == kind]


async def key_bytes(database: Database, response: str) -> list[bytes]:
    """The wrapped keys of a response and of its subject."""

    def read(connection: sa.Connection) -> list[bytes]:
        data = connection.execute(sa.select(DATA_KEYS).filter_by(response_id=response)).one()
        subject = connection.execute(sa.select(SUBJECTS).filter_by(id=data.subject)).one()
        return [data.wrapped, subject.wrapped]

    return await database.read(read)


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
