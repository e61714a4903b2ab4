"""`inwit queue deliveries`: webhooks that have not arrived."""

import json
from typing import Annotated

import typer

from inwit.cli.database import with_ledger
from inwit.ledger import deliveries as rows
from inwit.ledger.database import Database
from inwit.ledger.deliveries import Delivery
from inwit.ledger.transaction import Transaction

deliveries = typer.Typer(help="Webhooks that have not arrived.")

_MOST = 1000


@deliveries.callback(invoke_without_command=True)
def show_deliveries(
    retry: Annotated[
        str | None,
        typer.Option(help="Send this one again at once, with all its attempts before it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List webhooks that are given up or still tried, the newest first; or send one again."""
    if retry is not None:
        with_ledger(lambda database: _retry(database, retry))
        typer.echo(f"{retry} is sent again within seconds")
        return
    found = with_ledger(
        lambda database: database.read(lambda connection: rows.listed(connection, _MOST))
    )
    shown = [_shown(each) for each in found]
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for row in shown:
        typer.echo("  ".join(str(value) for value in row.values()))
    if len(shown) == _MOST:
        typer.echo(f"There may be more than these {_MOST}.")


async def _retry(database: Database, delivery_id: str) -> None:
    await database.write(lambda connection: rows.retry(Transaction(connection), delivery_id))


def _shown(delivery: Delivery) -> dict[str, str | int]:
    """Without the path and the query of its URL, which may hold what is not for everyone."""
    return {
        "id": delivery.id,
        "state": delivery.state.value,
        "response": delivery.response_id,
        "key": delivery.key_id,
        "host": delivery.host or "-",
        "attempts": delivery.attempts,
        "last_result": delivery.last_result or "-",
        "due": delivery.due.isoformat(timespec="seconds"),
        "created": delivery.created.isoformat(timespec="seconds"),
    }
