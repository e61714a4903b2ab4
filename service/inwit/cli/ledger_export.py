"""`inwit ledger export`: the log's entries in other forms, in a folder or in object storage."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from inwit.cases import ActKind, ActRecord
from inwit.cli.database import with_ledger
from inwit.config import load_settings
from inwit.ledger.database import Database
from inwit.ledger.exports.exporter import ROWS, Exporter, Told, Wanted
from inwit.ledger.exports.following import Pace, export_all, follow
from inwit.ledger.exports.forms import Form, check
from inwit.ledger.exports.leaves import Selection
from inwit.ledger.exports.places import Place, open_place, plain
from inwit.ledger.exports.statements import read_grounds
from inwit.ledger.transaction import Transaction
from inwit.logs import configure_logs

_To = Annotated[str, typer.Option(help="A folder, or object storage: s3://BUCKET/PREFIX.")]
_Forms = Annotated[
    list[Form] | None, typer.Option(help="What to write; again for more.", show_default="jsonl")
]
_Since = Annotated[
    datetime | None, typer.Option(help="Entries from then on (UTC); the export then ends.")
]
_Until = Annotated[
    datetime | None, typer.Option(help="And before then (UTC); the export then ends.")
]
_Tenants = Annotated[
    list[str] | None, typer.Option(help="Of this tenant; again for more.", show_default="all")
]
_Follow = Annotated[
    bool, typer.Option("--follow", help="Go on as the ledger grows, until SIGTERM.")
]
_Rows = Annotated[int, typer.Option(min=1, help="Most entries in a part.")]
_Every = Annotated[float, typer.Option(min=0, help="Minutes after which --follow closes a part.")]
_Look = Annotated[float, typer.Option(min=0.05, help="Seconds between the looks of --follow.")]
_Dsa = Annotated[Path | None, typer.Option(help="The ground of statements of reasons, as TOML.")]
_Config = Annotated[
    list[str] | None,
    typer.Option(help="A setting of the object store, NAME=VALUE; again for more."),
]


def export(
    to: _To,
    form: _Forms = None,
    since: _Since = None,
    until: _Until = None,
    tenant: _Tenants = None,
    going_on: _Follow = False,
    rows: _Rows = ROWS,
    every: _Every = 5.0,
    look: _Look = 5.0,
    dsa: _Dsa = None,
    config: _Config = None,
) -> None:
    """Export the log's entries, each one once. No content is ever in it.

    Without --since and --until it goes on where the last run to the same place has ended.
    docs/exports.md tells what each form has, and how to run it.
    """
    selection = Selection(
        _utc(since) if since else None, _utc(until) if until else None, frozenset(tenant or ())
    )
    if going_on and selection.ranged:
        raise typer.BadParameter("--follow goes with neither --since nor --until")
    grounds = read_grounds(dsa) if dsa else None
    forms = list(dict.fromkeys(form or (Form.JSONL,)))
    for each in forms:
        check(each, grounds)
    place = open_place(to, _settings(config or ()))
    wanted = [Wanted(each, selection, grounds, rows) for each in forms]
    pace = Pace(rows, look, every * 60) if going_on else None

    async def work(database: Database) -> list[Exporter]:
        return await _run(database, place, plain(to), wanted, pace)

    for exporter in with_ledger(work):
        for line in _lines(exporter.form, exporter.told, exporter.done):
            typer.echo(line)


async def _run(
    database: Database, place: Place, to: str, wanted: Sequence[Wanted], pace: Pace | None
) -> list[Exporter]:
    exporters = [Exporter(database, place, each) for each in wanted]
    for exporter in exporters:
        await exporter.open()
    new = any(not exporter.begun for exporter in exporters)
    if new or pace is not None or wanted[0].selection.ranged:
        await _note(database, to, wanted, going_on=pace is not None)
    if pace is None:
        for exporter in exporters:
            await export_all(exporter)
        return exporters
    configure_logs(load_settings().log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    await follow(exporters, pace, stop)
    return exporters


def _stop(stop: asyncio.Event) -> None:
    """Finish what is there; a second signal ends it at once, which loses nothing either."""
    stop.set()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


async def _note(database: Database, to: str, wanted: Sequence[Wanted], *, going_on: bool) -> None:
    """Record that the operator takes entries out, once for each command."""
    facts = {
        "what": "entries",
        "forms": [each.form.value for each in wanted],
        "to": to,
        "follow": going_on,
        "with_content": False,
        **wanted[0].selection.as_json(),
    }

    def steps(transaction: Transaction) -> None:
        transaction.add(ActRecord(ActKind.EXPORTED, transaction.now, "", "operator", facts, {}))
        transaction.flush()

    await database.write(lambda connection: steps(Transaction(connection)))


def _settings(config: Sequence[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for each in config:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise typer.BadParameter("--config is NAME=VALUE")
        settings[name] = value
    return settings


def _lines(form: Form, told: Told, done: int) -> list[str]:
    """What a run has done, for people."""
    words = f"{form.value}: {told.rows} rows in {told.batches} parts, up to entry {done}."
    lines = [words + (f" {told.pruned} entries were pruned." if told.pruned else "")]
    if told.bad:
        some = ", ".join(str(each) for each in told.some)
        lines.append(
            f"{form.value}: {told.changed} entries were changed after they were written, "
            f"{told.missing} are missing ({some}{', …' if len(told.some) < told.bad else ''}). "
            "Run `inwit ledger verify`."
        )
    return lines


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
