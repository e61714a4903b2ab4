"""`inwit ledger`: read and verify the record."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from inwit.checkpointing import ledger_key_file
from inwit.cli.database import with_ledger
from inwit.cli.ledger_story import print_story, seen
from inwit.config import Settings, load_settings
from inwit.errors import InwitError
from inwit.ledger import opened, policies, proofs, read, verify
from inwit.ledger.bundle import Written, note_bundle, write_bundle
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.database import Database
from inwit.ledger.notes import read_keys
from inwit.ledger.schema import Schema
from inwit.ledger.sealing import Fate, fate_of
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import Verification, verify_database
from inwit.ledger_setup import ledger_url, prepare_data_dir

_MIGRATION_S = 3600

app = typer.Typer(no_args_is_help=True, help="Read and verify the ledger.")


@app.command("show")
def show_response(
    response_id: Annotated[str, typer.Argument(help="The id of a response.")],
    content: Annotated[bool, typer.Option("--content", help="Print the content too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="All facts, one JSON object for each entry.")
    ] = False,
) -> None:
    """Print one response's whole story: its entries, who did what, and whether it is proven."""

    def look(connection: sa.Connection) -> tuple[list[read.Story], int, Fate | None]:
        newest, fate = proofs.newest(connection), fate_of(connection, response_id)
        return read.stories(connection, response_id), newest.size if newest else 0, fate

    stories, covered, fate = with_ledger(lambda database: database.read(look))
    if not stories:
        raise SystemExit(f"The ledger holds nothing about {seen(response_id)}.")
    if not as_json:
        print_story(stories, covered, content=content)
        if fate is not None:
            typer.echo(f"Content: {fate.value}.")
        elif any(story.shut for story in stories):
            typer.echo("Content: sealed by a key that is not here.")
        return
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
def verify_ledger(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle's folder.", show_default="the database")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="The log's public key, NAME+ID+BASE64; may be repeated.",
            show_default="for the database, those of its key file",
        ),
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that was kept, or a folder of them; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check every entry, hash, signature and outcome of the database, or of a bundle.

    It exits with 0 where all is intact, 1 where something was changed, 2 where something is
    missing, and 3 where it cannot be checked so (docs/verify.md).
    """
    try:
        kept = [note for each in previous or () for note in verify.kept_notes(each)]
        if bundle is not None:
            found = verify.verify_bundle(bundle, _keys(key), kept)
            lines, content = [], {}
        else:
            keys = verify.keys_of(key) if key else _own_keys()
            checked = with_ledger(
                lambda database: database.read(
                    lambda connection: verify_database(connection, keys, kept, _open_rows)
                )
            )
            found, lines = checked.result, _of_database(checked, signed=bool(keys))
            content = {"opened": checked.opened, "sealed": checked.sealed}
    except (verify.Misuse, InwitError) as error:
        typer.echo(f"inwit: {error}", err=True)
        raise SystemExit(verify.MISUSE) from error
    told = verify.as_json(found)
    told["content"] |= content
    typer.echo(json.dumps(told, indent=1) if as_json else "\n".join([*verify.words(found), *lines]))
    raise SystemExit(found.code)


def _keys(texts: list[str] | None) -> list[verify.Key]:
    if not texts:
        raise verify.Misuse("give the log's public key: --key NAME+ID+BASE64")
    return verify.keys_of(texts)


def _own_keys() -> list[verify.Key]:
    """The keys that this gateway signs with, where it has any."""
    file = ledger_key_file(load_settings())
    return verify.keys_of(each.vkey for each in read_keys(file)) if file.exists() else []


def _open_rows(
    connection: sa.Connection, rows: Sequence[sa.Row[Any]]
) -> Sequence[tuple[bytes, bytes] | None] | None:
    try:
        return opened.open_rows(connection, rows)
    except KeyMissing:
        return None


def _of_database(found: Verification, *, signed: bool) -> list[str]:
    """What only a look at a database can say."""
    lines = [
        "",
        f"{found.entries} entries, {found.result.tampered.count} breaks, head {found.head}",
        f"Content: {found.opened} pieces are what was committed to; {found.sealed} are sealed by "
        "keys that are not here.",
    ]
    if not signed:
        lines.append("No key was given and there is no key file: signatures were not looked at.")
    return lines


@app.command("bundle")
def write_ledger_bundle(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    with_content: Annotated[
        bool, typer.Option("--with-content", help="Put the content in too, readable.")
    ] = False,
) -> None:
    """Write a folder by which a stranger checks the ledger, offline, with the verifier in it."""
    now = datetime.now(UTC)

    async def work(database: Database) -> Written:
        rows = opened.open_rows if with_content else None
        written = await database.read(lambda db: write_bundle(db, out, now, rows))

        def note(connection: sa.Connection) -> None:
            transaction = Transaction(connection)
            note_bundle(transaction, written, "operator")
            transaction.flush()

        await database.write(note)
        return written

    written = with_ledger(work)
    typer.echo(f"{out}: {written.size} entries, {written.checkpoint} of them under a checkpoint.")
    if with_content:
        typer.echo(f"{written.openings} pieces of content; {written.shut} did not open.")
