"""The newest checkpoint goes to every anchor, each by itself."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.anchors import worker
from inwit.anchors.places import AnchorFailed, AnchorRefused, FolderAnchor
from inwit.anchors.worker import Anchoring
from inwit.errors import LedgerError
from inwit.labels import AnchorKind
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.notes import new_key
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import ANCHORED, CHECKPOINTS
from tests.ledger.test_store import another

FAILURES = "inwit_ledger_anchor_failures_total"
HOUR = timedelta(hours=1)


@dataclass
class FakeAnchor:
    """Keeps sizes, or fails."""

    kind: AnchorKind = AnchorKind.FOLDER
    sizes: list[int] = field(default_factory=list[int])
    fails: Exception | None = None
    first: Callable[[], Awaitable[object]] | None = None
    took: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, signed: Signed) -> None:
        if self.first is not None:
            await self.first()
        if self.fails is not None:
            raise self.fails
        self.sizes.append(signed.size)
        self.took.set()


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Database]:
    monkeypatch.setattr(worker, "_SETTLE_S", 0.0)
    opened = Database(sqlite_url(tmp_path))
    await opened.open()
    yield opened
    await opened.close()


def a_checkpoint(size: int) -> Signed:
    return Signed(size, f"note of {size}", datetime.now(UTC))


async def sign(database: Database, size: int, age: timedelta = timedelta(0)) -> Signed:
    """A checkpoint that the ledger has."""
    signed = Signed(size, f"note of {size}", datetime.now(UTC) - age)
    row = {"size": size, "root": bytes(32), "time": signed.time, "note": signed.note}
    await database.write(lambda each: each.execute(sa.insert(CHECKPOINTS), row))
    return signed


async def noted(database: Database) -> dict[str, int]:
    rows = await database.read(lambda each: each.execute(sa.select(ANCHORED)).all())
    return {row.anchor: row.size for row in rows}


def failures(kind: AnchorKind, cause: str) -> float:
    return REGISTRY.get_sample_value(FAILURES, {"anchor": kind.value, "cause": cause}) or 0


def age_s(kind: AnchorKind) -> float | None:
    return REGISTRY.get_sample_value("inwit_ledger_anchor_age_seconds", {"anchor": kind.value})


async def test_each_anchor_gets_what_is_new_to_it(database: Database) -> None:
    near, far = FakeAnchor(), FakeAnchor(AnchorKind.WEBHOOK, fails=AnchorFailed("no"))
    newest: list[Signed] = []
    anchoring = Anchoring(
        database, {"near": near, "far": far}, lambda: newest[-1] if newest else None, 60
    )
    await anchoring.work()  # nothing is signed yet
    newest.append(a_checkpoint(7))

    with capture_logs() as logs:
        await anchoring.work()
        await anchoring.work()
    far.fails = None
    await anchoring.work()
    newest.append(a_checkpoint(9))
    await anchoring.work()

    assert near.sizes == [7, 9]
    assert far.sizes == [7, 9]
    assert [line["event"] for line in logs] == ["anchor_failed"] * 2
    assert await noted(database) == {"near": 9, "far": 9}


def in_a_row(kind: AnchorKind) -> float | None:
    name = "inwit_ledger_anchor_failures_in_a_row"
    return REGISTRY.get_sample_value(name, {"anchor": kind.value})


async def test_failures_in_a_row_are_those_since_it_was_reached(database: Database) -> None:
    """Of the worst anchor of a kind. Where another gateway had it taken, nothing is known anew."""
    near, far = FakeAnchor(AnchorKind.GIT), FakeAnchor(AnchorKind.GIT, fails=AnchorFailed("away"))
    newest = [await sign(database, 7)]
    anchors = {"near": near, "far": far}
    anchoring = Anchoring(database, anchors, lambda: newest[-1], 60)

    async def look() -> float | None:
        await anchoring.work()
        return in_a_row(AnchorKind.GIT)

    assert [await look() for _ in range(3)] == [1, 2, 3]
    others = {"far": FakeAnchor(AnchorKind.GIT)}
    await Anchoring(database, others, lambda: newest[-1], 60).work()
    assert await look() == 3
    newest.append(await sign(database, 9))
    assert await look() == 4
    far.fails = None
    assert await look() == 0
    newest.append(await sign(database, 11))
    far.fails = AnchorFailed("away again")
    assert await look() == 1
    far.fails = AnchorRefused("it is there, and has another one")
    assert await look() == 0


@pytest.mark.parametrize("refused", [True, False])
async def test_a_refusal_is_counted_apart_from_a_failure(database: Database, refused: bool) -> None:
    error = AnchorRefused("other") if refused else AnchorFailed("away")
    cause = "changed" if refused else "failed"
    before = failures(AnchorKind.GIT, cause)

    with capture_logs() as logs:
        anchors = {"a": FakeAnchor(AnchorKind.GIT, fails=error)}
        await Anchoring(database, anchors, lambda: a_checkpoint(7), 60).work()

    assert failures(AnchorKind.GIT, cause) == before + 1
    assert logs[0]["log_level"] == ("error" if refused else "warning")


async def hangs() -> None:
    await asyncio.Event().wait()


async def test_an_anchor_that_breaks_stops_no_other(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, or if it never answers: here a file in the folder that is no text."""
    monkeypatch.setattr(worker, "_LONGEST_S", 0.05)
    folder = tmp_path / "anchor"
    folder.mkdir()
    (folder / f"{7:020}.checkpoint").write_bytes(b"\xff\xfe\x00")
    newest = [a_checkpoint(7)]
    well = FakeAnchor(AnchorKind.WEBHOOK)
    anchors = {
        "bytes": FolderAnchor(folder),
        "bug": FakeAnchor(AnchorKind.GIT, fails=ZeroDivisionError("secret")),
        "hung": FakeAnchor(AnchorKind.BUCKET, first=hangs),
        "well": well,
    }
    kinds = (AnchorKind.FOLDER, AnchorKind.GIT, AnchorKind.BUCKET)
    whys = {"UnicodeDecodeError", "ZeroDivisionError", "TimeoutError"}
    before = [failures(kind, "failed") for kind in kinds]

    with capture_logs() as logs:
        async with (
            asyncio.timeout(60),
            Anchoring(database, anchors, lambda: newest[-1], 0.02).running(),
        ):
            # Twice at least; and again where a slow machine was late with the bytes, too.
            while len(newest) < 3 or {line["why"] for line in logs} < whys:
                await well.took.wait()
                well.took.clear()
                newest.append(a_checkpoint(newest[-1].size + 1))

    assert all(failures(kind, "failed") > old for kind, old in zip(kinds, before, strict=True))
    assert {line["why"] for line in logs} == whys


async def test_an_anchor_that_is_slow_is_waited_for_by_no_other(database: Database) -> None:
    newest, well = [a_checkpoint(7)], FakeAnchor()
    anchors = {"hung": FakeAnchor(AnchorKind.BUCKET, first=hangs), "well": well}

    async with (
        asyncio.timeout(60),  # "hung" would be waited for twice as long
        Anchoring(database, anchors, lambda: newest[-1], 0.02).running(),
    ):
        for size in (8, 9, 10):
            await well.took.wait()
            well.took.clear()
            newest.append(a_checkpoint(size))

    assert well.sizes[:3] == [7, 8, 9]


async def test_what_was_taken_but_could_not_be_noted_is_no_failure_of_the_anchor(
    database: Database,
) -> None:
    before = failures(AnchorKind.FOLDER, "failed")
    full = "CREATE TRIGGER full BEFORE INSERT ON anchored BEGIN SELECT RAISE(ABORT, 'full'); END"
    await database.write(lambda each: each.execute(sa.text(full)))
    anchor = FakeAnchor()

    with pytest.raises(LedgerError):
        await Anchoring(database, {"a": anchor}, lambda: a_checkpoint(7), 60).work()

    assert anchor.sizes == [7]
    assert failures(AnchorKind.FOLDER, "failed") == before


@pytest.mark.parametrize("signed_before", [True, False])
async def test_what_never_took_one_is_late_since_the_first(
    database: Database, signed_before: bool
) -> None:
    """Or, where that cannot be read, since the start."""
    signed = await sign(database, 7, 3 * HOUR) if signed_before else a_checkpoint(7)
    anchors = {"far": FakeAnchor(AnchorKind.WEBHOOK, fails=AnchorFailed("no"))}

    await Anchoring(database, anchors, lambda: signed, 60).work()

    age = age_s(AnchorKind.WEBHOOK)
    assert age is not None
    assert age > 3 * 3600 if signed_before else 0 < age < 60


@pytest.mark.parametrize("order", [("well", "ill"), ("ill", "well")])
async def test_of_a_kind_the_age_is_that_of_the_worst(
    database: Database, order: tuple[str, str]
) -> None:
    newest = [await sign(database, 7, 3 * HOUR)]
    ill = FakeAnchor(AnchorKind.WEBHOOK, fails=AnchorFailed("no"))
    each = {"well": FakeAnchor(AnchorKind.WEBHOOK), "ill": ill}
    anchoring = Anchoring(database, {name: each[name] for name in order}, lambda: newest[-1], 60)

    for _ in range(2):
        await anchoring.work()
        assert (age_s(AnchorKind.WEBHOOK) or 0) > 3 * 3600
    ill.fails = None
    await anchoring.work()

    assert age_s(AnchorKind.WEBHOOK) == 0


async def test_ages_go_on_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = await sign(database, 7, HOUR)
    anchors = {"far": FakeAnchor(AnchorKind.WEBHOOK, fails=AnchorFailed("no"))}
    anchoring = Anchoring(database, anchors, lambda: signed, 60)
    await anchoring.work()
    before = age_s(AnchorKind.WEBHOOK) or 0

    async def away(_: object) -> None:
        raise LedgerError

    monkeypatch.setattr(database, "read", away)
    with pytest.raises(LedgerError):
        await anchoring.work()

    assert (age_s(AnchorKind.WEBHOOK) or 0) > before


async def test_a_gateway_that_is_behind_offers_nothing(database: Database) -> None:
    older, newer = await sign(database, 7), await sign(database, 9)
    anchor = FakeAnchor()
    fast, slow = (
        Anchoring(database, {"a": anchor}, lambda each=each: each, 60) for each in (newer, older)
    )

    await fast.work()
    await slow.work()

    assert anchor.sizes == [9]
    assert await noted(database) == {"a": 9}


async def test_what_is_noted_of_an_anchor_only_rises(database: Database) -> None:
    """Both look, then both send: the slower one had it taken first, and notes it last."""
    older, newer = await sign(database, 7), await sign(database, 9)
    fast = Anchoring(database, {"a": FakeAnchor()}, lambda: newer, 60)
    slow = Anchoring(database, {"a": FakeAnchor(first=fast.work)}, lambda: older, 60)

    await slow.work()

    assert await noted(database) == {"a": 9}


@pytest.mark.parametrize("told", ["by the folder", "by the note"])
async def test_a_larger_checkpoint_of_another_gateway_is_no_change(
    database: Database, tmp_path: Path, told: str
) -> None:
    """It came between the look and the sending: nobody is woken."""
    older, newer = await sign(database, 7), await sign(database, 9)
    folder = FolderAnchor(tmp_path / "anchor")
    if told == "by the folder":  # and not noted yet: its gateway is still at it
        anchor = FakeAnchor(first=lambda: _both(folder, newer, older))
    else:
        fast = Anchoring(database, {"a": FakeAnchor()}, lambda: newer, 60)
        anchor = FakeAnchor(first=fast.work, fails=AnchorRefused("409"))
    before = failures(AnchorKind.FOLDER, "changed")

    await Anchoring(database, {"a": anchor}, lambda: older, 60).work()

    assert failures(AnchorKind.FOLDER, "changed") == before


async def _both(folder: FolderAnchor, newer: Signed, older: Signed) -> None:
    await folder.put(newer)
    await folder.put(older)


@pytest.mark.parametrize("name", [f"{9:020}", "z", "9" * 90, "not text"])
async def test_a_larger_one_that_is_not_the_ledgers_is_a_change(
    database: Database, tmp_path: Path, name: str
) -> None:
    older = await sign(database, 7)
    await sign(database, 9)
    folder = tmp_path / "anchor"
    folder.mkdir()
    if name == "not text":
        (folder / f"{9:020}.checkpoint").write_bytes(b"\xff\xfe")
    else:
        (folder / f"{name}.checkpoint").write_text("another note")
    before = failures(AnchorKind.FOLDER, "changed")

    await Anchoring(database, {"a": FolderAnchor(folder)}, lambda: older, 60).work()

    assert failures(AnchorKind.FOLDER, "changed") == before + 1


async def test_an_anchor_that_is_past_the_whole_ledger_is_asked_again(
    database: Database, tmp_path: Path
) -> None:
    """The ledger lost what was anchored: a database of before, or somebody's hand."""
    anchors = {"a": FolderAnchor(tmp_path / "anchor")}
    older, newer = await sign(database, 7), await sign(database, 9)
    await Anchoring(database, anchors, lambda: newer, 60).work()
    await database.write(lambda each: each.execute(sa.delete(CHECKPOINTS).filter_by(size=9)))
    before = failures(AnchorKind.FOLDER, "changed")

    await Anchoring(database, anchors, lambda: older, 60).work()

    assert failures(AnchorKind.FOLDER, "changed") == before + 1
    assert await noted(database) == {"a": 9}


async def test_two_gateways_with_one_anchor_contradict_nobody(tmp_path: Path) -> None:
    """Each signs and sends as it comes, on one file of SQLite: nothing is met that contradicts."""
    key, before = new_key("log.example.com/inwit"), failures(AnchorKind.FOLDER, "changed")
    databases = [Database(sqlite_url(tmp_path)) for _ in range(2)]
    for each in databases:
        await each.open()
    sequencers = [Sequencer(each, [key], 0.013 * (n + 1)) for n, each in enumerate(databases)]
    stores = [LedgerStore(each) for each in databases]
    anchorings = [
        Anchoring(each, {"a": FolderAnchor(tmp_path / "anchor")}, _of(signing), 0)
        for each, signing in zip(databases, sequencers, strict=True)
    ]
    async with AsyncExitStack() as stack:
        for each in (*sequencers, *anchorings, *stores):
            await stack.enter_async_context(each.running())
        for number in range(60):
            await stores[number % 2].append(another())
            await asyncio.sleep(0.005)
    for each in databases:
        await each.close()

    assert failures(AnchorKind.FOLDER, "changed") == before
    assert len(list((tmp_path / "anchor").glob("*.checkpoint"))) > 3


def _of(sequencer: Sequencer) -> Callable[[], Signed | None]:
    return lambda: sequencer.newest
