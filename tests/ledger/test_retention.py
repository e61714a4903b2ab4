"""How long things are kept: nothing goes without a rule, a checkpoint, or against a hold."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, Reviewer, Role, RulingKind
from inwit.config_ledger import RetentionRules
from inwit.errors import Gone
from inwit.ledger import legal_holds, pruning, retention
from inwit.ledger.audit_read import Asked, acts
from inwit.ledger.case_files import case_file
from inwit.ledger.chain import leaf_hash
from inwit.ledger.database import Database
from inwit.ledger.golden import make_golden
from inwit.ledger.legal_holds import HoldScope
from inwit.ledger.responses import StoredResponses
from inwit.ledger.retention import Kept, Retention
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CHECKPOINTS, CONTENTS, DATA_KEYS, ENTRIES
from inwit.ledger.vault import NO_KEY
from inwit.types import PolicyRef
from tests.ledger.forgotten import CASE, REVIEWER, edited, erased, held, rows, write
from tests.ledger.sealed import SEALED
from tests.ledger.sealed_both import database as database
from tests.ledger.sealed_both import postgres as postgres
from tests.ledger.test_store import ORIGIN, RECORD

AUDITOR = Reviewer("rev_aud", Role.AUDITOR)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def kept(database: Database, response: str, days: int, policy: str = "default") -> None:
    """A response of so many days ago."""
    store = LedgerStore(database)
    async with store.running():
        origin = replace(
            ORIGIN, response_id=response, end_user="ann", policy=PolicyRef(policy, "1", "ab" * 32)
        )
        time = NOW - timedelta(days=days)
        await store.append(replace(RECORD, origin=origin, time=time, contents=SEALED))


async def act(database: Database, kind: ActKind, days: int, response: str = "") -> None:
    record = ActRecord(
        kind, NOW - timedelta(days=days), "acme", "rev_a", {}, {}, response_id=response
    )
    await write(database, lambda each: each.add(record))


async def look(database: Database, *, dry_run: bool = False, **rules: Any) -> Kept:
    store = LedgerStore(database)
    async with store.running():
        asked = RetentionRules(**rules)
        return await Retention(database, store, asked, dry_run=dry_run, pause_s=0.0).look(NOW)


async def signed(database: Database, size: int, note: str | None = "a note") -> None:
    row = {"size": size, "root": bytes(32), "time": NOW, "note": note}
    await database.write(lambda each: each.execute(sa.insert(CHECKPOINTS), row))


async def types(database: Database) -> list[str]:
    return [row.type if row.body else "-" for row in await rows(database, ENTRIES)]


async def left(database: Database) -> set[str]:
    """The responses that have content."""
    names = {row.sequence: row.response_id for row in await rows(database, ENTRIES)}
    return {names[row.sequence] for row in await rows(database, CONTENTS)}


async def test_content_goes_by_its_policy(database: Database) -> None:
    await kept(database, "resp_1", 100)
    await kept(database, "resp_2", 50)
    await kept(database, "resp_3", 8, "children")
    await kept(database, "resp_4", 6, "children")
    await kept(database, "resp_5", 999, "evidence")
    rules = {"*": "90d", "children": "7d", "evidence": "2000d"}

    assert await look(database, content=rules, dry_run=True) == Kept(responses=2)
    assert await left(database) == {f"resp_{n}" for n in range(1, 6)}
    assert await look(database, content=rules) == Kept(responses=2)

    assert await left(database) == {"resp_2", "resp_4", "resp_5"}
    keys = {row.response_id: row.wrapped for row in await rows(database, DATA_KEYS)}
    assert {each for each in keys if keys[each] == NO_KEY} == {"resp_1", "resp_3"}
    with pytest.raises(Gone, match="was deleted when its time was over"):
        await StoredResponses(database).about("acme", "resp_1")
    assert await look(database, content=rules) == Kept()
    assert await types(database) == ["decision"] * 5  # entries have rules of their own


async def test_nothing_goes_without_a_rule(database: Database) -> None:
    await kept(database, "resp_1", 9_999)
    await kept(database, "resp_2", 9_999, "children")
    await signed(database, 2)

    assert await look(database) == Kept()
    assert await look(database, content={"children": "1d"}) == Kept(responses=1)
    assert await look(database, entries={"viewed": "1d"}) == Kept()
    assert await types(database) == ["decision"] * 2


async def test_a_person_is_forgotten_whose_content_is_gone_already(database: Database) -> None:
    await kept(database, "resp_1", 100)
    await look(database, content={"*": "90d"})

    await erased(database, end_user="ann")

    (key,) = await rows(database, DATA_KEYS)
    assert (key.subject, key.wrapped) == ("erased", NO_KEY)


async def test_an_open_case_keeps_its_content(database: Database) -> None:
    await held(database)
    later = datetime.now(UTC) + timedelta(days=10)
    store = LedgerStore(database)
    async with store.running():
        keeping = Retention(database, store, RetentionRules(content={"*": "1d"}), pause_s=0.0)
        assert await keeping.look(later) == Kept()
    await edited(database, "An edit.", rule=True)
    store = LedgerStore(database)
    async with store.running():
        keeping = Retention(database, store, RetentionRules(content={"*": "1d"}), pause_s=0.0)
        assert await keeping.look(later) == Kept(responses=1)
    assert not await rows(database, CONTENTS)


@pytest.mark.parametrize("scope", list(HoldScope))
async def test_a_hold_stands_above_every_rule(database: Database, scope: HoldScope) -> None:
    await kept(database, "resp_1", 100)
    await kept(database, "resp_2", 100)
    await signed(database, 2)
    (subject,) = {row.subject for row in await rows(database, DATA_KEYS)}
    value = {HoldScope.RESPONSE: "resp_1", HoldScope.END_USER: subject, HoldScope.TENANT: "acme"}
    hold = await write(
        database, lambda each: legal_holds.place(each, scope, value[scope], "acme", "x", "op")
    )
    both: dict[str, Any] = {"content": {"*": "90d"}, "entries": {"*": "90d"}}
    free = 1 if scope is HoldScope.RESPONSE else 0

    assert await look(database, **both) == Kept(responses=free, entries=free)

    await write(database, lambda each: legal_holds.lift(each, hold.id, "op"))
    await look(database, **both)
    assert not await rows(database, CONTENTS)
    assert (await types(database))[:2] == ["-", "-"]


async def test_entries_are_pruned_by_their_type(database: Database) -> None:
    await kept(database, "resp_1", 900)
    await act(database, ActKind.VIEWED, 450, "resp_1")
    await act(database, ActKind.VIEWED, 350, "resp_1")
    await act(database, ActKind.RULED, 450, "resp_1")
    for kind in (ActKind.SIGNING_KEYS, ActKind.ERASED, ActKind.PRUNED):
        await act(database, kind, 9_999)
    await signed(database, 7)
    before = await rows(database, ENTRIES)
    rules = {"*": "800d", "viewed": "400d"}

    assert await look(database, entries=rules, dry_run=True) == Kept(entries=2)
    assert await look(database, entries=rules) == Kept(entries=2)

    after = await rows(database, ENTRIES)
    for place in (0, 1):
        row = after[place]
        assert (row.body, row.type, row.tenant, row.response_id) == (b"", "pruned", "", "")
        same = ("sequence", "id", "time", "hash", "previous")
        assert [getattr(row, name) for name in same] == [
            getattr(before[place], name) for name in same
        ]
    assert after[2:7] == before[2:]
    told = [json.loads(row.body)["facts"] for row in after[7:]]
    assert told == [
        {"rule": "entries/viewed/400d", "count": 1, "first": 2, "last": 2},
        {"rule": "entries/*/800d", "count": 1, "first": 1, "last": 1},
    ]
    assert [leaf_hash(row.body) for row in after[2:]] == [row.hash for row in after[2:]]
    assert await look(database, entries=rules) == Kept()


async def test_what_no_checkpoint_covers_stays(database: Database) -> None:
    for number in range(4):
        await act(database, ActKind.VIEWED, 500 + number)
    assert await look(database, entries={"*": "1d"}) == Kept()
    await signed(database, 2)
    await signed(database, 4, note=None)  # stored, and not yet signed

    assert await look(database, entries={"*": "1d"}) == Kept(entries=2)
    assert (await types(database))[:4] == ["-", "-", "viewed", "viewed"]


async def test_content_goes_with_its_entry(database: Database) -> None:
    await kept(database, "resp_1", 900)
    await signed(database, 1)

    assert await look(database, entries={"*": "800d"}) == Kept(entries=1)

    assert not await rows(database, CONTENTS)
    assert not await rows(database, DATA_KEYS)  # nobody can ask for it any more
    assert await StoredResponses(database).about("acme", "resp_1") is None


async def test_an_open_case_keeps_its_entries(database: Database) -> None:
    await held(database)
    await signed(database, 1)
    later = datetime.now(UTC) + timedelta(days=10)
    store = LedgerStore(database)
    async with store.running():
        keeping = Retention(database, store, RetentionRules(entries={"*": "1d"}), pause_s=0.0)
        assert await keeping.look(later) == Kept()


async def test_who_reads_a_pruned_entry_is_told_so(database: Database) -> None:
    await held(database)
    await edited(database, "An edit.", rule=True)
    await write(database, lambda each: make_golden(each, CASE, RulingKind.BLOCK, "rev_s"))
    size = len(await rows(database, ENTRIES))
    await signed(database, size)
    later = datetime.now(UTC) + timedelta(days=10)
    store = LedgerStore(database)
    async with store.running():
        keeping = Retention(database, store, RetentionRules(entries={"*": "1d"}), pause_s=0.0)
        await keeping.look(later)

    with pytest.raises(Gone, match="no longer kept"):
        await database.read(lambda each: case_file(each, CASE, REVIEWER.id))
    found = await database.read(lambda each: acts(each, Asked(AUDITOR), None, 100))
    assert {(each.kind, each.facts is not None) for each in found.found} == {("pruned", True)}


async def test_batches_end_and_an_hour_costs_what_is_new(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    monkeypatch.setattr(pruning, "_BATCH", 2)
    monkeypatch.setattr(pruning, "_STRETCH", 3)
    for number in range(7):
        await kept(database, f"resp_{number}", 100 - number)
    await signed(database, 7)
    store = LedgerStore(database)
    async with store.running():
        rules = RetentionRules(content={"*": "97d"}, entries={"*": "97d"})
        keeping = Retention(database, store, rules, pause_s=0.0)
        assert await keeping.look(NOW) == Kept(responses=3, entries=3)
        assert await keeping.look(NOW) == Kept()
        assert await keeping.look(NOW + timedelta(days=2)) == Kept(responses=2, entries=2)
        await keeping.look(NOW + timedelta(days=9))
    assert (await types(database))[:7] == ["-"] * 7


async def test_a_gateway_without_rules_runs_nothing(database: Database) -> None:
    before = asyncio.all_tasks()
    async with Retention(database, LedgerStore(database), None).running():
        assert asyncio.all_tasks() == before


async def gone(database: Database) -> None:
    while await rows(database, CONTENTS):  # each look lets the other go on
        pass


async def test_a_gateway_looks_at_once(database: Database) -> None:
    await kept(database, "resp_1", 100)
    store = LedgerStore(database)
    rules = RetentionRules(content={"*": "1d"})
    async with store.running(), Retention(database, store, rules).running():
        await asyncio.wait_for(gone(database), 60)


def test_a_policy_of_its_own_has_its_own_time() -> None:
    rules = retention.content_rules(RetentionRules(content={"a": "7d", "b": "7d", "*": "9d"}))
    names = (None, "a", "b", "c")
    assert [[rule.fits(name) for name in names] for rule in rules] == [
        [False, True, True, False],
        [True, False, False, True],
    ]
