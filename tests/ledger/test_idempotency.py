"""Claims of idempotency keys: one owner at a time, one decision for ever."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import REGISTRY

from inwit.decisions import Receipt
from inwit.errors import Conflict, InvalidField, LedgerError
from inwit.ledger import idempotency, transaction
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.database import Database
from inwit.ledger.idempotency import Wanted
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import IDEMPOTENCY, METADATA
from inwit.ledger.verify_database import verify_database
from inwit.types import Claim
from tests.ledger.forgotten import held
from tests.ledger.test_store import ORIGIN, RECORD, another

LEASE_S = 10.0
HOURS_24 = timedelta(hours=24)


def wanted(owner: str, key: str = "k", request: str = "r", tenant: str = "acme") -> Wanted:
    return Wanted(Claim(tenant, key, owner), request, LEASE_S)


@dataclass
class Held:
    """What the model of a key knows: who holds it for what until when, and how it was answered."""

    owner: str
    request: str
    taken: datetime
    answer: str | None = None

    def over(self, now: datetime) -> bool:
        return now >= self.taken + HOURS_24

    def lapsed(self, now: datetime) -> bool:
        return self.answer is None and now >= self.taken + timedelta(seconds=LEASE_S)


keys = st.tuples(st.sampled_from(["acme", "other"]), st.sampled_from(["k1", "k2"]))
requests = st.sampled_from(["r1", "r1", "r1", "r2"])
steps = st.sampled_from([0, 1, 9, 10, 11, 3600, 86_390, 86_400])


class Keys(RuleBasedStateMachine):
    """Any run of claims, completions, releases and clocks, beside a model of what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = sa.create_engine("sqlite://")
        METADATA.create_all(self.engine)
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.held: dict[tuple[str, str], Held] = {}
        self.claims: list[Claim] = []
        self.told = 1

    def teardown(self) -> None:
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Generator[sa.Connection]:
        with self.engine.begin() as connection:
            yield connection

    @rule(key=keys, request=requests)
    def take(self, key: tuple[str, str], request: str) -> None:
        owner = f"o{len(self.claims)}"
        claim = Claim(*key, owner)
        before = self.held.get(key)
        with self.writing() as connection:
            try:
                answer = idempotency.take(connection, Wanted(claim, request, LEASE_S), self.now)
            except InvalidField:
                assert before is not None
                assert not before.over(self.now)
                assert before.request != request
                return
            except Conflict as error:
                assert before is not None
                assert before.answer is None
                assert not before.lapsed(self.now)
                self.told = error.retry_after or 0
                return
        if before is not None and not before.over(self.now):
            assert before.request == request
            assert answer == before.answer
            if answer is not None:
                return
            assert before.lapsed(self.now)
        assert answer is None
        self.claims.append(claim)
        self.held[key] = Held(owner, request, self.now)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        held = self._held_by(claim)
        response_id = f"resp_{claim.owner}"
        with self.writing() as connection:
            try:
                idempotency.complete(connection, claim, response_id)
            except Conflict:
                assert held is None
            else:
                assert held is not None
                held.answer = response_id

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        with self.writing() as connection:
            idempotency.release(connection, claim)
        if self._held_by(claim) is not None:
            del self.held[claim.tenant, claim.key_digest]

    @invariant()
    def a_wait_is_short(self) -> None:
        assert 1 <= self.told <= LEASE_S

    @rule(most=st.integers(1, 3))
    def sweep(self, most: int) -> None:
        with self.writing() as connection:
            idempotency.sweep(connection, most, self.now)
        over = {key for key, held in self.held.items() if held.over(self.now)}
        gone = self.held.keys() - self._keys()
        assert gone <= over
        assert len(gone) == min(most, len(over))
        newest = max((self.held[key].taken for key in gone), default=self.now)
        assert all(newest <= self.held[key].taken for key in over - gone)
        for key in gone:
            del self.held[key]

    @rule(seconds=steps)
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def _held_by(self, claim: Claim) -> Held | None:
        """The key's state, where this claim holds it and no answer is there."""
        held = self.held.get((claim.tenant, claim.key_digest))
        mine = held is not None and held.owner == claim.owner and held.answer is None
        return held if mine else None

    def _keys(self) -> set[tuple[str, str]]:
        with self.writing() as connection:
            rows = connection.execute(sa.select(IDEMPOTENCY.c.tenant, IDEMPOTENCY.c.key_digest))
            return {(row.tenant, row.key_digest) for row in rows}


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


async def test_a_lost_claim_spoils_nothing_for_the_others_in_its_commit(
    database: Database,
) -> None:
    store = LedgerStore(database)
    async with store.running():
        mine, lost, third = (wanted(f"o{n}", key=f"k{n}") for n in range(3))
        for each in (mine, lost, third):
            assert await store.claim(each) is None
        taken = sa.update(IDEMPOTENCY).where(IDEMPOTENCY.c.owner == "o1").values(owner="another")
        await database.write(lambda db: db.execute(taken))

        results = await asyncio.gather(
            *(
                store.append(
                    replace(
                        RECORD,
                        origin=replace(ORIGIN, response_id=f"resp_{each.claim.owner}"),
                        claim=each.claim,
                    )
                )
                for each in (mine, lost, third)
            ),
            store.append(RECORD),
            return_exceptions=True,
        )
        answers = [await store.claim(wanted("new", key=f"k{n}")) for n in (0, 2)]

    assert isinstance(results[1], Conflict)
    receipts = [each for each in results if isinstance(each, Receipt)]
    assert [each.sequence for each in receipts] == [1, 2, 3]
    assert answers == ["resp_o0", "resp_o2"]
    found = await database.read(verify_database)
    assert (found.entries, found.breaks) == (3, ())


async def test_a_commit_that_fails_completes_no_claim(database: Database) -> None:
    store = LedgerStore(database)
    mine = wanted("o1")
    async with store.running():
        await store.claim(mine)
        await database.write(lambda db: db.execute(sa.text("DROP TABLE contents")))
        with pytest.raises(LedgerError):
            await store.append(replace(RECORD, claim=mine.claim))
        store.release(mine.claim)

        assert await store.claim(wanted("o2")) is None


async def test_a_held_response_that_cannot_be_sealed_completes_no_claim(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise KeyMissing("k1")

    store, mine = LedgerStore(database), wanted("o1")
    async with store.running():
        await store.claim(mine)
        monkeypatch.setattr(transaction, "blinded", away)
        with pytest.raises(KeyMissing):
            await held(database, claim=mine.claim)
        monkeypatch.undo()
        await held(database, claim=mine.claim)

    found = await database.read(verify_database)
    assert (found.entries, found.breaks) == (1, ())


@pytest.mark.parametrize("turns", [1, 20])
async def test_a_claim_whose_caller_went_is_let_go(database: Database, turns: int) -> None:
    """Before its commit has begun, and while it is under way."""
    release, store = threading.Event(), LedgerStore(database)
    blocked = asyncio.create_task(database.write(lambda _: release.wait(120)))
    async with store.running():
        gone = asyncio.create_task(store.claim(wanted("o1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        release.set()
        await blocked

        assert await store.claim(wanted("o2")) is None


async def test_a_release_that_fails_is_left_to_the_lease(database: Database) -> None:
    store = LedgerStore(database)
    async with store.running():
        await database.write(lambda db: db.execute(sa.text("DROP TABLE idempotency")))
        store.release(wanted("o1").claim)
        with pytest.raises(LedgerError):  # it shares the commit that the release breaks
            await store.append(RECORD)
        receipt = await store.append(RECORD)

    assert receipt.sequence == 1


async def test_what_is_over_goes_as_new_ones_come(database: Database) -> None:
    store = LedgerStore(database)
    over = sa.update(IDEMPOTENCY).values(expires=datetime.now(UTC) - timedelta(seconds=1))
    async with store.running():
        await asyncio.gather(*(store.claim(wanted("o", key=f"old{n}")) for n in range(10)))
        await database.write(lambda db: db.execute(over))
        for n in range(4):
            await store.claim(wanted("o", key=f"new{n}"))
        again = await store.claim(wanted("o", key="old9", request="another"))

    assert again is None  # its 24 hours are over
    left = await database.read(
        lambda db: sorted(db.execute(sa.select(IDEMPOTENCY.c.key_digest)).scalars())
    )
    assert [key for key in left if key.startswith("new")] == [f"new{n}" for n in range(4)]
    assert len(left) == 5


async def test_claims_share_a_commit(database: Database) -> None:
    def commits() -> float:
        return REGISTRY.get_sample_value("inwit_ledger_commit_seconds_count") or 0

    store = LedgerStore(database)
    before = commits()
    async with store.running():
        await asyncio.gather(
            *(store.claim(wanted("o", key=f"k{n}")) for n in range(50)),
            *(store.append(another()) for _ in range(50)),
        )

    assert commits() - before <= 3
