"""Reports on demand: read here, computed in a short-lived process of its own, kept for a minute.

Nothing here imports numpy: a gateway's worker stays as small as it is.
"""

import asyncio
import os
import sys
import time

import structlog
from pydantic import TypeAdapter

from inwit.agreement.reading import read_rows
from inwit.agreement.report import BOTH, Both, PeopleReport, Report
from inwit.agreement.rows import Filters, Rows
from inwit.errors import InwitError, Overloaded
from inwit.ledger.database import Database

log = structlog.get_logger()

_KEPT_S = 60.0
_MOST_KEPT = 16
_MOST_WAITING = 4
_LONGEST_S = 60.0
_ROWS = TypeAdapter(Rows)


class Reports:
    """The agreement statistics of one ledger. One is computed at a time, and kept for a while."""

    def __init__(self, database: Database, kept_s: float = _KEPT_S) -> None:
        self._database = database
        self._kept_s = kept_s
        self._kept: dict[Filters, tuple[float, Both]] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def report(self, filters: Filters) -> Report:
        """What may be told to everybody who may see agreement; at most a minute old.

        Raises:
            Overloaded: others wait for reports already, or this one takes too long.
            LedgerError: the database failed.
        """
        return (await self._both(filters)).report

    async def people(self, filters: Filters) -> PeopleReport:
        """The same about single people, by pseudonym: for seniors only.

        Raises:
            Overloaded: others wait for reports already, or this one takes too long.
            LedgerError: the database failed.
        """
        return (await self._both(filters)).people

    async def _both(self, filters: Filters) -> Both:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded("Others wait for such reports already.", retry_after=10)
        self._waiting += 1
        try:
            async with self._turn:
                return self._known(filters) or await self._make(filters)
        finally:
            self._waiting -= 1

    def _known(self, filters: Filters) -> Both | None:
        made, both = self._kept.get(filters, (0.0, None))
        return both if both is not None and time.monotonic() < made + self._kept_s else None

    async def _make(self, filters: Filters) -> Both:
        both = await compute_apart(await read_rows(self._database, filters))
        self._kept.pop(filters, None)
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[filters] = time.monotonic(), both
        return both


async def compute_apart(rows: Rows, longest_s: float = _LONGEST_S) -> Both:
    """Compute in a process of its own, which is gone when this returns or is cancelled.

    Raises:
        Overloaded: it took too long.
        InwitError: it failed.
    """
    given = await asyncio.to_thread(_ROWS.dump_json, rows)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "inwit.agreement"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(longest_s):
            made, _ = await process.communicate(given)
    except TimeoutError:
        raise Overloaded(
            "The agreement statistics take too long. Choose a shorter period, or one policy.",
            retry_after=60,
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        log.error("agreement_failed", status=process.returncode)
        raise InwitError("The agreement statistics could not be computed.")
    return await asyncio.to_thread(BOTH.validate_json, made)


def _environment() -> dict[str, str]:
    """Without Inwit's settings, among which are secrets; and with one thread for numpy."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("INWIT_")}
    return {**own, "OPENBLAS_NUM_THREADS": "1"}
