"""What appends to the ledger cost on each database, with and without group commit.

    python -m load_tests.ledger [--rounds 3 --writers 1 16 256]

A closed loop of writers appends sealed records to SQLite on this disk, and to a PostgreSQL of its
own where Debian's is installed. `alone` is the same store with one entry to a commit; `signed` is
group commit with a sequencer beside it that signs every 0.5 s (a gateway: every 2 s). The ways are
measured in turn in each round; ratios of one round mean something, absolute times are those of this
machine.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from inwit.ledger.content_keys import KeyFile
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.notes import new_key
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.store import LedgerStore
from inwit.ledger.vault import Vault
from load_tests.ledger_commit import RECORD
from load_tests.overhead import spread
from load_tests.postgres import postgresql, programs
from load_tests.processes import machine_line

GROUP, ALONE, SIGNED = "group", "alone", "signed"
SIGN_EVERY_S = 0.5


@dataclass(frozen=True)
class Phase:
    """What a closed loop came to: entries a second, and milliseconds of an append."""

    rate: float
    median_ms: float
    tail_ms: float  # the 99th percentile


class Writers:
    """They append to one database, each the next record when its last one is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made = 0

    async def phase(self, way: str, writers: int, count: int) -> Phase:
        """So many appends, by so many at once."""
        most = {"most_at_once": 1} if way == ALONE else {}
        store = LedgerStore(self._database, **most)
        took: list[float] = []

        async def worker() -> None:
            for _ in range(count // writers):
                self._made += 1
                origin = replace(RECORD.origin, response_id=f"resp_{self._made:032x}")
                start = time.perf_counter()
                await store.append(replace(RECORD, origin=origin))
                took.append(time.perf_counter() - start)

        signing = self._signing() if way == SIGNED else nullcontext()
        async with store.running(), signing:
            start = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(writers)))
            seconds = time.perf_counter() - start
        tail = statistics.quantiles(took, n=100)[98]
        return Phase(len(took) / seconds, statistics.median(took) * 1e3, tail * 1e3)

    @asynccontextmanager
    async def _signing(self) -> AsyncGenerator[None]:
        """With a sequencer that has caught up with what others wrote."""
        sequencer = Sequencer(self._database, [KEY], SIGN_EVERY_S)
        await sequencer.work()
        async with sequencer.running():
            yield


KEY = new_key("log.example/load")


@contextmanager
def places(folder: Path) -> Generator[dict[str, str]]:
    """The databases by name."""
    found = {"SQLite": sqlite_url(folder)}
    installed = programs()
    if installed is None:
        print("PostgreSQL is not installed: SQLite alone")
        yield found
        return
    with postgresql(installed) as address:
        yield found | {"PostgreSQL": address}


async def measure(name: str, address: str, vault: Vault, given: argparse.Namespace) -> None:
    """All ways in each round; a line for each number of writers."""
    database = Database(address, vault=vault)
    await database.open()
    writers = Writers(database)
    await writers.phase(GROUP, 16, 400)
    ways = [GROUP, ALONE, SIGNED]
    for at_once in given.writers:
        found: dict[str, list[Phase]] = {way: [] for way in ways}
        for turn in range(given.rounds):
            for way in ways[turn % 3 :] + ways[: turn % 3]:
                count = max(at_once, min(given.most, 400 + at_once * 40))
                found[way].append(await writers.phase(way, at_once, count))
        print_line(name, at_once, found)
    await database.close()


def print_line(name: str, at_once: int, found: dict[str, list[Phase]]) -> None:
    """Rates and latencies of both ways, and ratios by round."""
    group, alone = found[GROUP], found[ALONE]
    cells = [
        f"{name}, {at_once}",
        spread([each.rate for each in group], 0),
        f"{statistics.median(each.median_ms for each in group):.2f}",
        f"{statistics.median(each.tail_ms for each in group):.1f}",
        spread([each.rate for each in alone], 0),
        f"{statistics.median(each.median_ms for each in alone):.2f}",
        spread([one.rate / two.rate for one, two in zip(group, alone, strict=True)], 2),
        spread([one.rate / two.rate for one, two in zip(found[SIGNED], group, strict=True)], 2),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


HEADS = (
    "database, writers",
    "group: entries/s",
    "median ms",
    "p99 ms",
    "alone: entries/s",
    "median ms",
    "group / alone",
    "signed / group",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.ledger", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--most", type=int, default=5_000, help="appends of a phase")
    given = parser.parse_args()
    print(machine_line())
    print(f"\n| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    with TemporaryDirectory(prefix="inwit-load-") as made, places(Path(made)) as found:
        vault = Vault(KeyFile(Path(made) / "content.key", make=True))
        for name, address in found.items():
            asyncio.run(measure(name, address, vault, given))


if __name__ == "__main__":
    main()
