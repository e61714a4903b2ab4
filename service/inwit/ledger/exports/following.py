"""An export that goes on: batches are closed when they are full, or old enough."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from inwit.errors import LedgerError
from inwit.ledger.exports.exporter import Exporter
from inwit.ledger.exports.places import PlaceError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """Look every `look_s` seconds; export what has waited for `age_s` seconds, or is `rows`."""

    rows: int
    look_s: float
    age_s: float


async def export_all(exporter: Exporter) -> None:
    """Export what there is now.

    Raises:
        SetupError: the place fails, or the log is not the one that was exported.
        LedgerError: the database does.
    """
    head = await exporter.head()
    while exporter.done < head and await exporter.step():
        pass


async def follow(exporters: Sequence[Exporter], pace: Pace, stop: asyncio.Event) -> None:
    """Export as the ledger grows, until `stop`, and then what is left.

    Where the place or the database fails meanwhile, it is tried again at the next look.

    Raises:
        SetupError: the place fails at the end, or the log is not the one that was exported.
        LedgerError: the database does.
    """
    waiting: dict[Exporter, float] = {}  # since when something waits
    while not stop.is_set():
        for exporter in exporters:
            try:
                await _look(exporter, pace, waiting, stop)
            except (PlaceError, LedgerError) as error:
                log.warning("export_failed", form=exporter.form.value, error=str(error))
        try:
            async with asyncio.timeout(pace.look_s):
                await stop.wait()
        except TimeoutError:
            continue
    for exporter in exporters:
        await export_all(exporter)


async def _look(
    exporter: Exporter, pace: Pace, waiting: dict[Exporter, float], stop: asyncio.Event
) -> None:
    now = asyncio.get_running_loop().time()
    while not stop.is_set():
        left = await exporter.head() - exporter.done
        if left <= 0:
            waiting.pop(exporter, None)
            return
        since = waiting.setdefault(exporter, now)
        if left < pace.rows and now - since < pace.age_s:
            return
        if not await exporter.step():
            return
        log.info("exported_part", form=exporter.form.value, last=exporter.done)
        waiting.pop(exporter, None)
