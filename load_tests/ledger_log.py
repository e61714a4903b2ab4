"""What proofs of a small and of a large log cost: receipts, and the sequencer that catches up.

    python -m load_tests.ledger_log [ENTRIES ...]        # 1,000 and 1,000,000

The entries are written straight into a SQLite ledger, half acceptances and half decisions, as
`load_tests.verification` makes them. Then one sequencer takes them all in, and receipts of entries
all over the log are made as the gateway makes them.
"""

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
import uvloop
from tests.ledger.test_store import DECISION, ORIGIN, RECORD, VERDICT

from inwit.api.ledger import InclusionReceipt
from inwit.decisions import AcceptedRecord, Asked
from inwit.ledger import proofs, receipts
from inwit.ledger.chain import entry_body, leaf_hash
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.notes import new_key
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.tables import ENTRIES
from inwit.ledger.transaction import encoded
from load_tests.processes import machine_line

AT_ONCE = 10_000
RECEIPTS = 200


def rows(entries: int) -> Iterator[dict[str, Any]]:
    """Rows of the entries, linked."""
    two = replace(DECISION, verdicts=(VERDICT, replace(VERDICT, judge="classifier", model="guard")))
    record = replace(RECORD, decision=two, rounds=(replace(RECORD.rounds[0], decision=two),))
    kinds: list[dict[str, Any]] = [
        encoded(AcceptedRecord(ORIGIN, RECORD.time, Asked.RESPONSE, {"request": b"{}"})).facts,
        encoded(record).facts,
    ]
    previous = bytes(32)
    for index in range(entries):
        moment = RECORD.time + timedelta(milliseconds=20 * index)
        named = {"response": f"resp_{index // 2:032x}", "id": f"ent_{index:032x}"}
        facts = {**kinds[index % 2], **named, "time": moment.isoformat()}
        body = entry_body(facts, index + 1, previous)
        digest = leaf_hash(body)
        yield {
            "sequence": index + 1,
            "id": named["id"],
            "time": moment,
            "type": facts["type"],
            "tenant": facts["tenant"],
            "response_id": named["response"],
            "body": body,
            "hash": digest,
            "previous": previous,
        }
        previous = digest


async def fill(database: Database, entries: int) -> None:
    """Write them, many to a commit."""
    made = rows(entries)

    def write(connection: sa.Connection) -> int:
        some = [row for _, row in zip(range(AT_ONCE), made, strict=False)]
        if some:
            connection.execute(sa.insert(ENTRIES), some)
        return len(some)

    while await database.write(write) == AT_ONCE:
        pass


def receipt(connection: sa.Connection, response: str) -> tuple[int, int, float]:
    """Bytes of a receipt without content, of its entry, and the milliseconds that both took."""
    start = time.perf_counter()
    entry, proof = receipts.proof_for(connection, ORIGIN.principal.tenant, response)
    took = (time.perf_counter() - start) * 1e3
    if entry is None or proof is None:
        raise SystemExit(f"no proof of {response}")
    told = InclusionReceipt(
        origin=proof.checkpoint.note.partition("\n")[0],
        entry=proof.body.decode(),
        index=proof.index,
        proof=["A" * 44 for _ in proof.hashes],
        checkpoint=proof.checkpoint.note,
        openings={},
    )
    return len(told.model_dump_json()), len(proof.body), took


async def measure(entries: int) -> None:
    """A line for a log of so many."""
    with TemporaryDirectory(prefix="inwit-load-") as folder:
        database = Database(sqlite_url(Path(folder)))
        await database.open()
        await fill(database, entries)
        start, busy = time.perf_counter(), time.process_time()
        signed = await Sequencer(database, [new_key("log.example/load")], 60).work()
        caught, busy = time.perf_counter() - start, time.process_time() - busy
        names = [f"resp_{random.randrange(entries // 2):032x}" for _ in range(RECEIPTS)]  # noqa: S311
        found = [
            await database.read(lambda connection, name=name: receipt(connection, name))
            for name in names
        ]
        start = time.perf_counter()
        at = await database.read(lambda connection: proofs.tree_at(connection, entries))
        again = (time.perf_counter() - start) * 1e3
        await database.close()
    size, body, took = (statistics.median(column) for column in zip(*found, strict=True))
    if signed is None or at.size != entries:
        raise SystemExit("nothing was signed")
    cells = [
        f"{entries:,}",
        f"{size:.0f} (of them the entry {body:.0f})",
        f"{took:.2f}",
        f"{max(each[2] for each in found):.1f}",
        f"{caught:.2f} s, {busy:.2f} s of a processor",
        f"{again:.1f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


async def main() -> None:
    """Each size."""
    print(machine_line())
    print("\n| entries | bytes of a receipt | ms to make one: median | longest | ", end="")
    print("sequencer from nothing | ms to read its edge again |\n|" + "---|" * 6)
    for entries in [int(each) for each in sys.argv[1:]] or [1_000, 1_000_000]:
        await measure(entries)


if __name__ == "__main__":
    uvloop.run(main())
