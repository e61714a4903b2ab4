"""Deliveries in the ledger's database: leased to one gateway, ended once, never lost."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typer.testing import CliRunner, Result

from inwit.cases import ActKind
from inwit.cli.deliveries import deliveries as command
from inwit.errors import NotFound
from inwit.ledger import deliveries
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.deliveries import ATTEMPTS, LEASE, Delivery, DeliveryState, pause
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import DELIVERIES, ENTRIES, METADATA
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import verify_database

RUNS = int(os.environ.get("INWIT_TEST_DELIVERIES", "30"))
PER_HOST = 2
HOSTS = ("a.example", "b.example", "c.example")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ENDS = (ActKind.DELIVERED.value, ActKind.DELIVERY_GIVEN_UP.value)


def add(transaction: Transaction, name: str = "one", host: str = HOSTS[0]) -> None:
    deliveries.open(
        transaction,
        case_id=f"esc_{name}",
        response_id=f"resp_{name}",
        tenant="acme",
        key_id="k1",
        url=f"https://{host}/private-path?token=private-query",
    )


@dataclass
class Held:
    """What the model knows of a delivery: its lease, and its ends since it was last revived."""

    host: str
    owner: str = ""
    until: datetime = LONG_AGO
    ended: DeliveryState | None = None


owners = st.sampled_from(["one", "two"])
outcomes = st.sampled_from(["arrived", "failed", "final"])
steps = st.sampled_from([0, 1, 5, 59, 60, 61, 3600, 30 * 3600])


class Outbox(RuleBasedStateMachine):
    """Any run of gateways and clocks, beside a model of what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = sa.create_engine("sqlite://")
        METADATA.create_all(self.engine)
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.held: dict[str, Held] = {}
        self.sending: list[Delivery] = []
        self.entries = 0

    def teardown(self) -> None:
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Generator[Transaction]:
        with self.engine.begin() as connection:
            transaction = Transaction(connection)
            transaction.now = self.now
            yield transaction
            transaction.flush()

    @rule(host=st.sampled_from(HOSTS))
    def settle(self, host: str) -> None:
        with self.writing() as transaction:
            add(transaction, str(len(self.held)), host)
        with self.engine.connect() as connection:
            every = connection.execute(sa.select(DELIVERIES.c.id)).scalars()
            for name in set(every) - self.held.keys():
                self.held[name] = Held(host)

    @rule(owner=owners, most=st.integers(1, 4), stale=st.booleans())
    def take(self, owner: str, most: int, stale: bool) -> None:
        """`stale`: it asks for everything, whoever has taken it meanwhile."""
        mine = [each for each in self.held.values() if each.owner == owner and self.live(each)]
        busy = Counter(each.host for each in mine)
        with self.writing() as transaction:
            ids = list(self.held) if stale else deliveries.due(transaction, most, busy, PER_HOST)
            taken = deliveries.take(transaction, owner, ids)
        if not stale:
            assert len(taken) <= most
            hosts = Counter(each.host for each in taken)
            assert all(busy[host] + count <= PER_HOST for host, count in hosts.items())
        for each in taken:
            held = self.held[each.id]
            assert held.ended is None
            assert not self.live(held), "two gateways would send it at once"
            held.owner, held.until = owner, self.now + LEASE
        # Ids are random, and the order in which they stand here must not be.
        self.sending += sorted(taken, key=lambda each: each.case_id)

    @precondition(lambda self: self.sending)
    @rule(data=st.data(), outcome=outcomes)
    def record(self, data: st.DataObject, outcome: str) -> None:
        delivery = data.draw(st.sampled_from(self.sending))
        self.sending.remove(delivery)
        held = self.held[delivery.id]
        before = held.ended
        with self.writing() as transaction:
            if outcome == "arrived":
                ended = deliveries.delivered(transaction, delivery, "200")
            else:
                ended = deliveries.failed(transaction, delivery, "500", final=outcome == "final")
        owned = before is None and held.owner == delivery.owner
        if outcome == "arrived":
            assert ended == (before is None)
        else:
            last = outcome == "final" or delivery.attempts >= ATTEMPTS
            assert ended == (owned and last)
        if ended:
            arrived = outcome == "arrived"
            held.ended = DeliveryState.DELIVERED if arrived else DeliveryState.DEAD
            self.entries += 1
        if ended or (owned and outcome == "failed"):
            held.owner, held.until = "", self.now

    @rule(seconds=steps)
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def nothing_is_lost(self) -> None:
        self.now += timedelta(days=2)
        with self.writing() as transaction:
            found = deliveries.due(transaction, 1000, {}, 1000)
        assert sorted(found) == sorted(name for name, each in self.held.items() if not each.ended)

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def revive(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.held)))
        held = self.held[name]
        try:
            with self.writing() as transaction:
                deliveries.retry(transaction, name)
        except NotFound:
            assert held.ended is DeliveryState.DELIVERED
            return
        assert held.ended is not DeliveryState.DELIVERED
        self.held[name] = Held(held.host)

    @invariant()
    def every_end_has_its_entry(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(DELIVERIES)).all()
            entries = connection.execute(sa.select(ENTRIES.c.type, ENTRIES.c.body)).all()
        states = {row.id: row.state for row in rows}
        expected = {name: held.ended or "pending" for name, held in self.held.items()}
        assert states == expected
        assert len(entries) == self.entries
        assert all(each.type in ENDS and b"private" not in each.body for each in entries)

    def live(self, held: Held) -> bool:
        return held.until > self.now


Outbox.TestCase.settings = settings(
    max_examples=RUNS,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOutbox = Outbox.TestCase


def test_pauses_grow_to_a_day_and_spread() -> None:
    pauses = [pause(attempts, 0.0).total_seconds() for attempts in range(1, ATTEMPTS)]

    assert pauses == [5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400]
    assert [pause(1, draw).total_seconds() for draw in (-1, 1)] == [4, 6]


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(None, 5), (0, 5), (-100, 5), (1, 5), (60, 60), (7 * 86_400, 86_400)],
)
def test_a_receiver_is_left_alone_for_as_long_as_it_asks_within_reason(
    asked: int | None, waited: int
) -> None:
    wanted = None if asked is None else timedelta(seconds=asked)

    assert pause(1, 0.0, wanted).total_seconds() == waited


@pytest.fixture
async def store(database: Database) -> AsyncGenerator[LedgerStore]:
    made = LedgerStore(database)
    async with made.running():
        yield made


async def rows_of(database: Database) -> list[Delivery]:
    return await database.read(lambda connection: deliveries.listed(connection, 100))


async def test_it_is_given_up_after_the_last_attempt(
    database: Database, store: LedgerStore
) -> None:
    await store.write(add)
    (waiting,) = await rows_of(database)
    past = sa.update(DELIVERIES).values(due=LONG_AGO)

    given_up: list[bool] = []
    for _ in range(ATTEMPTS):
        (taken,) = await store.write(lambda t: deliveries.take(t, "me", [waiting.id]))
        given_up.append(await store.write(lambda t, it=taken: deliveries.failed(t, it, "500")))
        await database.write(lambda connection: connection.execute(past))

    (dead,) = await rows_of(database)
    assert given_up == [*[False] * (ATTEMPTS - 1), True]
    assert (dead.state, dead.attempts, dead.last_result) == (DeliveryState.DEAD, ATTEMPTS, "500")
    assert dead.id.startswith("msg_")
    assert "." not in dead.id
    assert (
        await database.read(lambda c: deliveries.given_up(Transaction(c), timedelta(days=1))) == 1
    )
    assert await database.read(lambda c: deliveries.given_up(Transaction(c), timedelta(0))) == 0


async def test_its_entry_names_its_case_and_not_where_it_went(
    database: Database, store: LedgerStore
) -> None:
    await store.write(add)
    (waiting,) = await rows_of(database)
    (taken,) = await store.write(lambda t: deliveries.take(t, "me", [waiting.id]))
    await store.write(lambda t: deliveries.delivered(t, taken, "204"))

    body = await database.read(lambda c: c.execute(sa.select(ENTRIES.c.body)).scalar_one())
    found = await database.read(verify_database)

    entry = json.loads(body)
    assert (entry["type"], entry["case"], entry["response"]) == ("delivered", "esc_one", "resp_one")
    assert entry["facts"] == {"delivery": taken.id, "attempts": 1, "result": "204"}
    assert b"a.example" not in body
    assert (found.entries, found.breaks) == (1, ())


async def test_a_host_with_much_to_come_keeps_nobody_waiting(
    database: Database, store: LedgerStore
) -> None:
    for number in range(50):
        await store.write(lambda t, name=f"a{number}": add(t, name, "slow.example"))
    await store.write(lambda t: add(t, "b", "other.example"))

    def due(most: int, busy: int) -> Callable[[sa.Connection], list[str]]:
        under_way = {"slow.example": busy}
        return lambda c: deliveries.due(Transaction(c), most, under_way, 4)

    chosen = await database.read(due(16, 1))
    full = await database.read(due(2, 4))

    every = {each.id: each.host for each in await rows_of(database)}
    assert [every[name] for name in chosen] == [*["slow.example"] * 3, "other.example"]
    assert [every[name] for name in full] == ["other.example"]


async def test_a_settlement_that_is_undone_has_no_delivery(
    database: Database, store: LedgerStore
) -> None:
    def undone(transaction: Transaction) -> None:
        add(transaction)
        raise NotFound("no such case")

    with pytest.raises(NotFound):
        await store.write(undone)

    assert await rows_of(database) == []


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))
    return tmp_path


async def given_up_in(data_dir: Path) -> None:
    """A ledger with one that is given up, one that is tried, and one that has arrived."""
    database = Database(sqlite_url(data_dir))
    await database.open()
    store = LedgerStore(database)
    async with store.running():
        for name in ("dead", "tried", "arrived"):
            await store.write(lambda t, name=name: add(t, name))
        by_case = {each.case_id: each for each in await rows_of(database)}
        ids = [by_case[f"esc_{name}"].id for name in ("dead", "arrived")]
        taken = await store.write(lambda t: deliveries.take(t, "me", ids))
        for each in taken:
            if each.case_id == "esc_dead":
                await store.write(lambda t, it=each: deliveries.failed(t, it, "410", final=True))
            else:
                await store.write(lambda t, it=each: deliveries.delivered(t, it, "200"))
    await database.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(command, list(words))


def test_the_command_lists_what_has_not_arrived_and_sends_it_again(data_dir: Path) -> None:
    asyncio.run(given_up_in(data_dir))

    rows = {row["response"]: row for row in json.loads(run("--json").output)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "resp_dead": "dead",
        "resp_tried": "pending",
    }
    dead = rows["resp_dead"]
    assert (dead["host"], dead["attempts"], dead["last_result"]) == ("a.example", 1, "410")
    assert "private" not in run().output

    again = run("--retry", dead["id"])
    assert again.exit_code == 0
    states = {row["state"]: row["attempts"] for row in json.loads(run("--json").output)}
    assert states == {"pending": 0}
    refused = run("--retry", "msg_unknown")
    assert isinstance(refused.exception, NotFound)
