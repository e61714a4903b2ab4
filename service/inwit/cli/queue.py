"""`inwit queue`: the review queue in Redis against the ledger."""

import asyncio
import json
from typing import Annotated

import typer

from inwit.cli.agreement import agreement
from inwit.cli.deliveries import deliveries
from inwit.clients.redis import answers, redis_client
from inwit.config import load_settings
from inwit.errors import QueueDown, SetupError
from inwit.escalation.index import Drift, Index
from inwit.escalation.queue import Queue
from inwit.ledger.store import LedgerStore
from inwit.ledger_setup import open_database

app = typer.Typer(no_args_is_help=True, help="The review queue: its index in Redis, its webhooks.")
app.add_typer(deliveries, name="deliveries")
app.command("agreement")(agreement)


@app.command("rebuild")
def rebuild(
    apply: Annotated[
        bool, typer.Option("--apply", help="Mend it; without this it is only looked at.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the queue with the ledger, and with --apply make it equal.

    Safe while gateways run, which do the same by themselves each minute.
    """
    drifts = asyncio.run(_compare(apply=apply))
    if as_json:
        typer.echo(json.dumps([_counts(drift) for drift in drifts]))
        return
    for drift in drifts:
        counts = _counts(drift)
        typer.echo("  ".join(f"{name} {value}" for name, value in counts.items()))
    total = sum(drift.total for drift in drifts)
    if not total:
        typer.echo("The queue is equal to the ledger.")
    elif apply:
        typer.echo(f"{total} cases mended; the ledger has an entry of it.")
    else:
        typer.echo(f"{total} cases differ. To mend them: inwit queue rebuild --apply")


async def _compare(*, apply: bool) -> list[Drift]:
    settings = load_settings()
    if settings.redis_url is None:
        raise SetupError(
            "Set INWIT_REDIS_URL: the embedded Redis is inside the gateway, which keeps its queue "
            "equal to the ledger by itself."
        )
    url = settings.redis_url.get_secret_value()
    async with (
        open_database(settings, keys=False) as database,
        redis_client(url, retries=False) as redis,
    ):
        ledger = LedgerStore(database)
        async with ledger.running():
            index = Index(database, ledger, Queue(redis))
            if not await answers(redis):
                raise QueueDown("Redis does not answer, so nothing was compared.")
            tenants = await index.late_tenants()
            work = index.repair if apply else index.drift
            return [await work(tenant) for tenant in tenants]


def _counts(drift: Drift) -> dict[str, object]:
    return {
        "tenant": drift.tenant,
        "missing": len(drift.missing),
        "stale": len(drift.stale),
        "extra": len(drift.extra),
    }
