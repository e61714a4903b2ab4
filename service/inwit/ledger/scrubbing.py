"""What is deleted must be gone from the files of SQLite too: its write-ahead file is emptied.

That works only in a moment in which nobody reads what stands there: a bundle that is written, or a
verifier, holds it up. So a gateway tries from time to time, whoever has deleted: this process, a
command, or a gateway that has died meanwhile.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from inwit.tasks import beside

log = structlog.get_logger()

_BUSY_MS = 50  # no commit waits longer for a try that is in vain
_EVERY_S = 60.0
_AGAIN_S = 5.0
_TOLD_AFTER_S = 900.0


class Scrubs(Protocol):
    """What can be scrubbed; a `Database`."""

    async def scrub(self) -> bool | None:
        """Whether nothing is left; None where that is not ours to do."""
        ...


class Scrubbing:
    """Tries again and again, in the background of a gateway."""

    def __init__(self, database: Scrubs, *, every_s: float = _EVERY_S) -> None:
        self._database = database
        self._every_s = every_s
        self._in_vain_s = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work while the block runs."""
        async with beside("scrubbing", self._forever()):
            yield

    async def _forever(self) -> None:
        while True:
            pause_s = min(self._every_s, _AGAIN_S) if self._in_vain_s else self._every_s
            await asyncio.sleep(pause_s)
            try:
                done = await self._database.scrub()
            except Exception as error:  # noqa: BLE001  # whatever it is, the next try may do better
                log.warning("scrubbing_failed", error=type(error).__name__)
                done = False
            if done is None:
                return
            self._tell(done, pause_s)

    def _tell(self, done: bool, pause_s: float) -> None:
        before = self._in_vain_s
        self._in_vain_s = 0.0 if done else before + pause_s
        if before < _TOLD_AFTER_S <= self._in_vain_s:
            log.warning("write_ahead_file_kept", for_s=round(self._in_vain_s))
        elif done and before >= _TOLD_AFTER_S:
            log.info("write_ahead_file_emptied")


def empty_write_ahead_file(connection: sqlite3.Connection, usual_ms: int) -> bool:
    """Move all that stands in it to the database itself; False where others read it on.

    `usual_ms`: how long the connection waits for others otherwise, in milliseconds.
    """
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    try:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={usual_ms}")
    return not busy
