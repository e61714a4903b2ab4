"""What a ledger is worth when its gateways and its database die in the middle of commits.

Whatever was answered is in it, whatever was accepted has one end or is told as open, and every
checkpoint that a caller was shown still holds.
"""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.fakes_server import FakeServer
from tests.ledger.test_postgres import as_owner, binaries
from tests.ledger.test_postgres import postgres as postgres  # a fixture
from tests.process.ledger_callers import Callers
from tests.process.ledger_places import ABANDONED_S, Place, place_of
from tests.process.redis_server import valkey_server

pytestmark = pytest.mark.process

KILLS = 3


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
    still_open = 0
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
    async with place.gateway() as (gateway, _):
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
        await callers.grown(address)
        await callers.more(20)
        gateway.process.kill()
        await asyncio.to_thread(gateway.process.wait)
    size = callers.keep(kept)
    whole = (place.folder / "ledger.sqlite3-wal").read_bytes()
    frame = 4096 + 24
    frames = (len(whole) - 32) // frame
    assert frames > 20

    for torn in (b"", whole[32 : 32 + frame // 2], bytes(frame), b"\xff" * (frame * 3 + 1)):
        damaged = copied(place, tmp_path / f"torn-{len(torn)}", whole + torn)
        told = await damaged.verified(kept)
        assert told["result"] == "intact"
        check_log(damaged, callers)
    lost = 0
    for cut in (1, frame - 1, frame * 2, len(whole) // 2):
        for tail in (b"", b"\xa5" * cut):
            damaged = copied(place, tmp_path / f"cut-{cut}-{len(tail)}", whole[:-cut] + tail)
            told = await damaged.verified()
            assert told["result"] == "intact"  # a beginning of the log, and no more
            with_kept = await damaged.verified(kept)
            lost += with_kept["entries"] < size
            assert (with_kept["result"] == "tampered") is (with_kept["entries"] < size)
    assert lost >= 2


@on_sqlite
async def test_a_disk_that_lied_is_noticed_by_whoever_kept_a_checkpoint(
    place: Place, tmp_path: Path
) -> None:
    """The gateway itself cannot know: what it had signed went with the entries. Its anchor can."""
    anchor = tmp_path / "elsewhere"
    anchor.mkdir()
    anchored = {
        "INWIT_ANCHORS": f'{{"elsewhere": "file://{anchor}"}}',
        "INWIT_ANCHOR_MS": "100",
    }
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with place.gateway(**anchored) as (gateway, address), callers.asking(address):
        await callers.grown(address)
        early = (place.folder / "ledger.sqlite3-wal").stat().st_size
        await callers.more(30)
        await callers.grown(address)
        gateway.process.kill()
        await asyncio.to_thread(gateway.process.wait)
    size = callers.keep(kept)
    wal = place.folder / "ledger.sqlite3-wal"
    wal.write_bytes(wal.read_bytes()[:early])
    later = Callers(callers.key)

    async with place.gateway(**anchored) as (gateway, address):
        async with later.asking(address):
            await later.until(lambda: later.sizes[address] > size)
        again = await place.verified()
        with_kept = await place.verified(kept, anchor)
        gateway.stop(signal.SIGTERM)

    assert again["result"] == "intact"  # of itself it is
    assert with_kept["result"] == "tampered"
    with pytest.raises(AssertionError, match="contradict|differ|another log"):
        async with callers.asking(address):
            pass


def copied(place: Place, folder: Path, wal: bytes) -> Place:
    """The same ledger as it lay there, with that write-ahead file."""
    shutil.copytree(place.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
    (folder / "ledger.sqlite3-wal").write_bytes(wal)
    return Place(folder, place.settings)
