"""`inwit ledger`: read and verify the record."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from inwit.checkpointing import held_keys
from inwit.cli.database import noting_in_ledger, reading_ledger
from inwit.cli.ledger_story import OwnKeys, checkpoint_of, print_story, seen, standing_of
from inwit.cli.misuse import MisusedCommand
from inwit.config import Settings, load_settings
from inwit.errors import InwitError, SetupError
from inwit.ledger import opened, policies, read, verify
from inwit.ledger.as_stored import one_snapshot
from inwit.ledger.bundle import Written, note_bundle, write_bundle
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.database import Database
from inwit.ledger.schema import Schema
from inwit.ledger.sealing import Fate, fate_of
from inwit.ledger.story import Proven, proven
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import Verification, verify_database
from inwit.ledger_setup import ledger_url, prepare_data_dir

_MIGRATION_S = 3600
_UNUSABLE = (
    "the keys that the settings name (INWIT_LEDGER_KEY_FILE, INWIT_LEDGER_KEY) cannot be used "
    "here (--key)"
)

app = typer.Typer(no_args_is_help=True, help="Read and verify the ledger.")


@app.command("show")
def show_response(
    response_id: Annotated[str, typer.Argument(help="The id of a response.")],
    content: Annotated[bool, typer.Option("--content", help="Print the content too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="All facts, one JSON object for each entry.")
    ] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="The log's public key, NAME+ID+BASE64; may be repeated.",
            show_default="those that the settings name",
        ),
    ] = None,
) -> None:
    """Print one response's whole story: its entries, who did what, and whether it is proven."""
    own = _own_keys(key)

    def look(connection: sa.Connection) -> tuple[list[read.Story], Proven, Fate | None]:
        one_snapshot(connection)
        stories, fate = read.stories(connection, response_id), fate_of(connection, response_id)
        return stories, proven(connection, response_id, own.keys), fate

    stories, stand, fate = reading_ledger(lambda database: database.read(look))
    if not stories:
        raise SystemExit(f"The ledger holds nothing about {seen(response_id)}.")
    if not as_json:
        print_story(stories, stand, own, content=content)
        if fate is not None:
            typer.echo(f"Content: {fate.value}.")
        elif any(story.shut for story in stories):
            typer.echo("Content: sealed by a key that is not here.")
        return
    for story in stories:
        standing = standing_of(story, stand).value
        shown = {**story.facts, "hash": story.hash, "standing": standing}
        shown["checkpoint"] = checkpoint_of(stand)
        shown |= {"unfit": story.unfit} if story.unfit else {}
        typer.echo(json.dumps(shown | ({"content": story.contents} if content else {}), indent=2))


def _own_keys(texts: list[str] | None) -> OwnKeys:
    """To say who signed. The story is told without any: who reads it need not have the file."""
    if texts:
        try:
            return OwnKeys(verify.keys_of(texts), "you gave")
        except verify.Misuse as error:
            raise typer.BadParameter(
                str(error).removeprefix("--key: "), param_hint="--key"
            ) from error
    try:
        return OwnKeys(verify.keys_of(each.vkey for each in held_keys(load_settings())))
    except SetupError:
        return OwnKeys((), lacking=_UNUSABLE)


@app.command("policy")
def show_policy(
    digest: Annotated[str, typer.Argument(help="The digest, as entries and /readyz name it.")],
) -> None:
    """Print the exact text of a policy that was in force."""
    kept = reading_ledger(lambda database: policies.read(database, digest))
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


@app.command("verify", cls=MisusedCommand)
def verify_ledger(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle's folder.", show_default="the database")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="The log's public key, NAME+ID+BASE64; may be repeated.",
            show_default="for the database, those that the settings name",
        ),
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that was kept, or a folder of them; may be repeated."),
    ] = None,
    anchored: Annotated[
        list[Path] | None, typer.Option(help="The same, for what you fetched from an anchor.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check every entry, hash, signature and outcome of the database, or of a bundle.

    It exits with 0 where all is intact, 1 where something was changed, 2 where something is
    missing, and 3 where it cannot be checked so (docs/verify.md).
    """
    try:
        given = [*(previous or ()), *(anchored or ())]
        kept = [note for each in given for note in verify.kept_notes(each)]
        if bundle is not None:
            found, lines = verify.verify_bundle(bundle, _keys(key), kept), []
        else:
            keys = verify.keys_of(key or [each.vkey for each in held_keys(load_settings())])
            checked = reading_ledger(
                lambda database: database.read(
                    lambda connection: verify_database(connection, keys, kept, _open_rows)
                )
            )
            found, lines = checked.result, _of_database(checked)
    except (verify.Misuse, InwitError, OSError) as error:
        typer.echo(f"inwit: {error}", err=True)
        raise SystemExit(verify.MISUSE) from error
    told = json.dumps(verify.as_json(found), indent=1)
    typer.echo(told if as_json else "\n".join([*verify.words(found), *lines]))
    raise SystemExit(found.code)


def _keys(texts: list[str] | None) -> list[verify.Key]:
    if not texts:
        raise verify.Misuse("give the log's public key: --key NAME+ID+BASE64")
    return verify.keys_of(texts)


def _open_rows(
    connection: sa.Connection, rows: Sequence[sa.Row[Any]]
) -> Sequence[tuple[bytes, bytes] | None] | None:
    try:
        return opened.open_rows(connection, rows)
    except KeyMissing:
        return None


def _of_database(found: Verification) -> list[str]:
    """What only a look at a database can say."""
    breaks = found.result.tampered.count
    return ["", f"{found.entries} entries, {breaks} breaks, head {found.head}"]


@app.command("bundle")
def write_ledger_bundle(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    with_content: Annotated[
        bool, typer.Option("--with-content", help="Put the content in too, readable.")
    ] = False,
) -> None:
    """Write a folder by which a stranger checks the ledger, offline, with the verifier in it."""
    now, rows = datetime.now(UTC), opened.open_rows if with_content else None
    written = reading_ledger(
        lambda database: database.read(lambda db: write_bundle(db, out, now, rows))
    )
    try:
        noting_in_ledger(lambda database: database.write(partial(_note, written)))
    except InwitError as error:
        if written.openings:  # content does not leave unless that is recorded
            shutil.rmtree(out, ignore_errors=True)
            raise
        typer.echo(f"inwit: that it was taken out is not recorded: {error}", err=True)
    typer.echo(f"{out}: {written.size} entries, {written.checkpoint} of them under a checkpoint.")
    if with_content:
        typer.echo(f"{written.openings} pieces of content; {written.shut} did not open.")


def _note(written: Written, connection: sa.Connection) -> None:
    transaction = Transaction(connection)
    note_bundle(transaction, written, "operator")
    transaction.flush()
