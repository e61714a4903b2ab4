"""What a ledger is worth when its gateways and its database die in the middle of commits.

Whatever was answered is in it, whatever was accepted has one end or is told as open, and every
checkpoint that a caller was shown still holds.
"""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from inwit.client import Forked
from inwit.ledger import verify
from inwit.ledger.database import sqlite_url
from inwit.ledger.verify_database import Verification, verify_database
from tests.fakes_server import FakeServer
from tests.ledger.test_postgres import as_owner, binaries
from tests.ledger.test_postgres import postgres as postgres  # a fixture
from tests.process.ledger_callers import Callers
from tests.process.ledger_places import ABANDONED_S, SOON_ABANDONED, Place, place_of
from tests.process.redis_server import valkey_server

pytestmark = pytest.mark.process

KILLS = 2
WAL = "ledger.sqlite3-wal"
FRAME = 4096 + 24  # of a write-ahead file: a page and what stands before it


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Place]:
    """A ledger of its own, and what its gateways lean on."""
    url = None
    if request.param == "postgresql":
        url = fresh_database(request.getfixturevalue("postgres")[0], f"c{time.monotonic_ns()}")
    with valkey_server(tmp_path) as redis:
        async with FakeServer().running() as server:
            yield place_of(tmp_path, server, redis.url, url)


def fresh_database(url: str, name: str) -> str:
    programs = binaries()
    assert programs is not None
    as_owner(programs / "createdb", f"--maintenance-db={url}", name)
    return f"{url.rpartition('/')[0]}/{name}"


on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


async def callers_of(place: Place) -> Callers:
    return Callers(await asyncio.to_thread(place.make_key))


def check_log(place: Place, callers: Callers) -> None:
    """Every answer is in the log, nothing ended twice, and checkpoints only grew."""
    ends = place.ends()
    assert callers.answered
    assert {ends.get(response, [""])[0] for response in callers.answered} == {"decision"}
    assert {len(kinds) for kinds in ends.values()} == {1}
    sizes = place.checkpoints()
    assert sizes == sorted(set(sizes))


async def test_a_gateway_is_killed_in_the_middle_of_commits(place: Place, tmp_path: Path) -> None:
    callers, kept = await callers_of(place), tmp_path / "kept"
    still_open, died = 0, 0.0
    for _ in range(KILLS):
        async with place.gateway() as (gateway, address), callers.asking(address, at_once=24):
            await callers.grown(address)
            await callers.more(40)
            gateway.process.kill()
            await asyncio.to_thread(gateway.process.wait)
        died = time.monotonic()
        size = callers.keep(kept)
        told = await place.verified(kept)
        assert told["result"] == "intact", told
        assert told["checkpoint"]["size"] >= size
        still_open = told["open"]["count"]
        assert all(each["age_s"] is not None for each in told["open"]["oldest"])
    assert still_open > 0

    await asyncio.sleep(max(0.0, died + ABANDONED_S - time.monotonic()))  # so long they are open
    async with place.gateway(**SOON_ABANDONED) as (gateway, _):
        for _ in range(still_open):
            await asyncio.to_thread(gateway.wait_for, '"request_abandoned"')
    told = await place.verified(kept)

    assert (told["result"], told["open"]["count"]) == ("intact", 0)
    assert told["outcomes"]["failed"] >= still_open
    check_log(place, callers)


@on_sqlite
async def test_what_a_torn_write_ahead_file_loses_is_known(place: Place, tmp_path: Path) -> None:
    """A commit is on the disk before it is answered (synchronous=FULL): what kill -9 or a power cut
    leaves half written was answered to nobody. To cut more than that is to be a disk that lied.
    """
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with place.gateway() as (gateway, address), callers.asking(address):
        with one_write_ahead_file(place):
            await callers.grown(address)
            await callers.more(20)
            await callers.prove(address)
            gateway.process.kill()
            await asyncio.to_thread(gateway.process.wait)
            place.folder = copied(place, tmp_path / "as it lay")
    size = callers.keep(kept)
    whole = (place.folder / WAL).read_bytes()
    assert len(whole) > FRAME * 40

    for number, torn in enumerate((whole[32 : 32 + FRAME // 2], bytes(FRAME), b"\xff" * 3 * FRAME)):
        damaged = copied(place, tmp_path / f"torn-{number}", whole + torn)
        found = looked_at(damaged, kept)
        assert (found.breaks, found.gaps) == ((), ())
        check_log(Place(damaged, place.settings), callers)
    lost: list[int] = []
    # At last all but a frame: whatever was proven meanwhile is gone.
    for cut in (1, FRAME, FRAME * 2, len(whole) // 2, len(whole) - 2 * FRAME):
        for tail in (b"", b"\xa5" * cut):
            damaged = copied(place, tmp_path / f"cut-{cut}-{len(tail)}", whole[:-cut] + tail)
            by_itself, with_kept = looked_at(damaged), looked_at(damaged, kept)
            assert by_itself.breaks == ()  # a beginning of the log, and no more
            assert bool(with_kept.breaks) is (with_kept.entries < size)
            lost.append(with_kept.entries)
    assert max(lost) >= size > min(lost)

    async with place.gateway() as (_, address), callers.asking(address):  # the whole one goes on
        await callers.grown(address)
    assert (await place.verified(kept))["result"] == "intact"


@on_sqlite
async def test_a_disk_that_lied_is_noticed_by_who_kept_a_checkpoint(
    place: Place, tmp_path: Path
) -> None:
    """The gateway itself cannot know: its checkpoints went with the entries. It signs on a smaller
    log, and an anchor or any caller of before can prove that.
    """
    anchor, kept = tmp_path / "elsewhere", tmp_path / "kept"
    anchor.mkdir()
    anchored = {"INWIT_ANCHORS": f'{{"elsewhere": "file://{anchor}"}}', "INWIT_ANCHOR_MS": "100"}
    callers = await callers_of(place)
    async with place.gateway(**anchored) as (gateway, address), callers.asking(address):
        with one_write_ahead_file(place):
            await callers.grown(address)
            early = (place.folder / WAL).stat().st_size
            await callers.grown(address)
            await callers.more(20)
            await callers.prove(address)
            gateway.process.kill()
            await asyncio.to_thread(gateway.process.wait)
            whole = (place.folder / WAL).read_bytes()
            place.folder = copied(place, tmp_path / "lied", whole[:early])
    size = callers.keep(kept)
    assert looked_at(place.folder).entries < size

    later = Callers(callers.key)
    async with place.gateway(**anchored) as (gateway, address):
        async with later.asking(address):
            await later.until(lambda: later.sizes[address] > size)
        alarm = await asyncio.to_thread(gateway.wait_for, '"anchor_refused"')
        with pytest.raises(Forked):
            await callers.prove(address)

    assert (await place.verified())["result"] == "intact"  # by itself it is
    assert (await place.verified(kept))["result"] == "tampered"
    assert "elsewhere" in alarm


@contextmanager
def one_write_ahead_file(place: Place) -> Generator[None]:
    """Whoever reads all the while keeps SQLite from beginning the file anew."""
    with closing(sqlite3.connect(place.folder / "ledger.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchall()
        yield


def copied(place: Place, folder: Path, wal: bytes | None = None) -> Path:
    """The same ledger as it lay there, with that write-ahead file."""
    shutil.copytree(place.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
    if wal is not None:
        (folder / WAL).write_bytes(wal)
    return folder


def looked_at(folder: Path, *kept: Path) -> Verification:
    """As `inwit ledger verify` does it, in this process."""
    engine = sa.create_engine(sqlite_url(folder), poolclass=sa.NullPool)
    notes = [note for each in kept for note in verify.kept_notes(each)]
    with engine.connect() as connection:
        return verify_database(connection, previous=notes)
