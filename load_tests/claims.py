"""What an idempotency key costs in the ledger: `python -m load_tests.claims`.

Entries alone beside entries whose key was claimed before, on a SQLite ledger in a temporary
folder. Ratios of one run mean something, absolute times are those of this disk.
"""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.idempotency import Wanted
from inwit.ledger.store import LedgerStore
from inwit.types import Claim
from load_tests.ledger_commit import AT_ONCE, RECORD, closed_loop


async def main() -> None:
    """Both, in one run, each at every number of requests at once."""
    with TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder)))
        await database.open()
        store = LedgerStore(database)

        async def alone() -> None:
            await store.append(RECORD)

        async def claimed() -> None:
            claim = Claim("load", uuid.uuid4().hex * 2, uuid.uuid4().hex)
            await store.claim(Wanted(claim, "ab" * 32, lease_s=60))
            await store.append(replace(RECORD, claim=claim))

        async with store.running():
            for at_once in AT_ONCE:
                _, plain = await closed_loop(alone, at_once)
                _, keyed = await closed_loop(claimed, at_once)
                print(
                    f"{at_once:>3} at once: {plain:6.2f} ms, with a key {keyed:6.2f} ms, "
                    f"{keyed / plain:.1f} times"
                )
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
