"""`inwit ledger`: read and verify the record."""

import asyncio
import json
from typing import Annotated

import typer

from inwit.bootstrap import ledger_url, prepare_data_dir
from inwit.cli.database import with_ledger
from inwit.config import Settings, load_settings
from inwit.ledger import policies, read
from inwit.ledger.database import Database
from inwit.ledger.schema import Schema
from inwit.ledger.verify_database import verify_database

_MIGRATION_S = 3600

app = typer.Typer(no_args_is_help=True, help="Read and verify the ledger.")


@app.command("show")
def show_response(
    response_id: Annotated[str, typer.Argument(help="The id of a response.")],
    content: Annotated[bool, typer.Option("--content", help="Print the content too.")] = False,
) -> None:
    """Print what the ledger holds about one response."""

    async def work(database: Database) -> list[read.Story]:
        return await database.read(lambda connection: read.stories(connection, response_id))

    stories = with_ledger(work)
    if not stories:
        raise SystemExit(f"The ledger holds nothing about {response_id}.")
    for story in stories:
        shown = {**story.facts, "hash": story.hash}
        typer.echo(json.dumps(shown | ({"content": story.contents} if content else {}), indent=2))


@app.command("policy")
def show_policy(
    digest: Annotated[str, typer.Argument(help="The digest, as entries and /readyz name it.")],
) -> None:
    """Print the exact text of a policy that was in force."""
    kept = with_ledger(lambda database: policies.read(database, digest))
    if kept is None:
        raise SystemExit(f"The ledger holds no policy with the digest {digest}.")
    typer.echo(kept.text, nl=False)


@app.command("migrate")
def migrate_ledger() -> None:
    """Bring the database to this version's schema; safe to repeat, and from two places at once."""
    found = asyncio.run(_migrate(load_settings()))
    if found.current:
        typer.echo(f"The schema is {found.wanted} already.")
    elif found.usable:
        typer.echo(
            f"The schema is {found.found}, of a newer version; this one ({found.wanted}) works on "
            "it too. Nothing was changed."
        )
    else:
        typer.echo(f"Migrated from {found.found or 'an empty database'} to {found.wanted}.")


async def _migrate(settings: Settings) -> Schema:
    """Not as the gateway opens it: a migration of much may take longer than a request."""
    if settings.database_url is None:
        prepare_data_dir(settings.data_dir)
    database = Database(ledger_url(settings), timeout_s=_MIGRATION_S)
    found = await database.open()
    await database.close()
    return found


@app.command("verify")
def verify_ledger() -> None:
    """Check every entry, link and commitment; exit 1 where something is broken."""
    found = with_ledger(lambda database: database.read(verify_database))
    for broken in found.breaks:
        typer.echo(f"entry {broken.sequence}: {broken.problem}")
    typer.echo(f"{found.entries} entries, {len(found.breaks)} breaks, head {found.head}")
    typer.echo(
        "Not shown by this: entries cut off the end, or a ledger written anew. "
        "Keep the head elsewhere and compare."
    )
    if found.breaks:
        raise SystemExit(1)
