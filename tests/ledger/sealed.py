"""A ledger with a vault, and responses of end users in it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from inwit.ledger.content_keys import KeyLines
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.ledger.vault import Vault
from tests.ledger.test_store import ORIGIN, RECORD

LINE = "k1:" + "QUJD" * 10 + "QUI="  # 32 bytes
REQUEST = (
    b'{"messages": [{"role": "user", "content": "Is the moon a secret of mine?"}], '
    b'"context": [], "tools": [], "end_user": "ann", "metadata": {}}'
)
SEALED = {
    "request": REQUEST,
    "candidate": b'{"text": "The moon is no secret.", "explanation": null}',
    "released": b'{"text": "The moon is no secret.", "tool_calls": []}',
}


def fixed_vault() -> Vault:
    """By a master key that is always the same."""
    return Vault(KeyLines(LINE, "the test"))


@asynccontextmanager
async def sealed_database(folder: Path) -> AsyncGenerator[Database]:
    """A ledger in a folder, open."""
    database = Database(sqlite_url(folder), vault=fixed_vault())
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def append_for(database: Database, end_user: str | None, *responses: str) -> None:
    """Record responses of an end user of the tenant `acme`."""
    store = LedgerStore(database)
    async with store.running():
        for response in responses:
            origin = replace(ORIGIN, response_id=response, end_user=end_user)
            request = REQUEST.replace(b'"ann"', json.dumps(end_user).encode())
            contents = {**SEALED, "request": request}
            await store.append(replace(RECORD, origin=origin, contents=contents))
