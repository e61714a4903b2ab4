"""`inwit ledger erase`, `hold`, `holds`, `lift`, `prune` and `rotate-content-key`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, TypeVar

import sqlalchemy as sa
import typer

from inwit.cli.database import with_ledger
from inwit.config import load_settings
from inwit.errors import SetupError
from inwit.ledger import legal_holds
from inwit.ledger.administration import OPERATOR, note_change
from inwit.ledger.content_keys import KeyFile
from inwit.ledger.database import Database
from inwit.ledger.erasure import Erased, Wanted, erase, subject_of, would_erase
from inwit.ledger.legal_holds import LONGEST_REASON, HoldScope, LegalHold, tenant_of
from inwit.ledger.rekeying import Rotated, rotate_master, rotate_subjects
from inwit.ledger.retention import Kept, Retention
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import Vault

T = TypeVar("T")

_EndUser = Annotated[
    str | None, typer.Option(help="An end user, as requests name them; with --tenant.")
]
_Tenant = Annotated[str | None, typer.Option(help="Whose it is.")]
_Response = Annotated[str | None, typer.Option(help="The id of a response.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `inwit ledger`."""
    app.command("erase")(erase_content)
    app.command("hold")(place_hold)
    app.command("holds")(list_holds)
    app.command("lift")(lift_hold)
    app.command("prune")(prune)
    app.command("rotate-content-key")(rotate_content_key)


def _reason(given: str) -> str:
    if len(given) > LONGEST_REASON:
        raise typer.BadParameter(f"at most {LONGEST_REASON} characters: a ticket's number will do")
    return given


_Reason = Annotated[
    str,
    typer.Option(
        help="A reference, such as a ticket's number. It stands in the ledger for ever: no names.",
        callback=_reason,
        show_default="none",
    ),
]


def erase_content(
    end_user: _EndUser = None,
    tenant: _Tenant = None,
    response: _Response = None,
    reason: _Reason = "",
    dry_run: _DryRun = False,
    as_json: _Json = False,
) -> None:
    """Erase the content of an end user, or of one response, for good.

    Keys, texts and callback addresses go; the entries stay, and proofs with them. Open cases end
    as expired. Exit code 2 where a legal hold stands in the way.
    """
    _one_of(end_user, tenant, response)

    async def work(database: Database) -> Erased:
        owner = tenant or await database.read(lambda each: tenant_of(each, response or ""))
        wanted = Wanted(owner, end_user, response, OPERATOR, reason)
        if dry_run:
            return await would_erase(database, wanted)
        store = LedgerStore(database)
        async with store.running():
            return await erase(database, store.write, wanted)

    erased = with_ledger(work)
    if as_json:
        told = {"dry_run": dry_run, "scrubbed": erased.scrubbed}
        typer.echo(json.dumps({**asdict(erased.found), **told}))
        return
    verb = "Would be erased" if dry_run else "Erased"
    counts = ", ".join(f"{count} {name}" for name, count in asdict(erased.found).items())
    typer.echo(f"{verb}: {counts}.")
    if not dry_run:
        typer.echo("The ledger has an entry of it. Backups: see docs/forgetting.md.")
    _say_what_is_left(erased.scrubbed)


def place_hold(
    end_user: _EndUser = None,
    tenant: _Tenant = None,
    response: _Response = None,
    reason: _Reason = "",
) -> None:
    """Place a legal hold: what it covers is neither erased nor pruned until it is lifted."""
    if not reason:
        raise typer.BadParameter("say why", param_hint="--reason")
    if response is None and end_user is None and tenant is None:
        raise typer.BadParameter("name a response, an end user or a tenant")
    if response is not None or end_user is not None:
        _one_of(end_user, tenant, response)

    def work(transaction: Transaction) -> LegalHold:
        owner = tenant or ""
        if response is not None:
            scope, value = HoldScope.RESPONSE, response
        elif end_user is not None:
            scope = HoldScope.END_USER
            value = subject_of(transaction.connection, owner, end_user)
        else:
            scope, value = HoldScope.TENANT, owner
        return legal_holds.place(transaction, scope, value, owner, reason, OPERATOR)

    hold = _written(work)
    typer.echo(f"{hold.id} stands. To end it: inwit ledger lift {hold.id}")


def list_holds(
    lifted: Annotated[bool, typer.Option("--all", help="Those that were lifted, too.")] = False,
    as_json: _Json = False,
) -> None:
    """List the legal holds that stand."""

    async def work(database: Database) -> list[LegalHold]:
        def read(connection: sa.Connection) -> list[LegalHold]:
            return legal_holds.listed(connection, lifted=lifted)

        return await database.read(read)

    rows = [_shown(hold) for hold in with_ledger(work)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo("  ".join(row.values()))
    if not rows:
        typer.echo("No hold stands.")


def lift_hold(hold: Annotated[str, typer.Argument(help="The id of a hold.")]) -> None:
    """End a legal hold."""
    _written(lambda transaction: legal_holds.lift(transaction, hold, OPERATOR))
    typer.echo(f"{hold} is lifted.")


def prune(dry_run: _DryRun = False, as_json: _Json = False) -> None:
    """Do now what INWIT_RETENTION says, as gateways do each hour."""
    rules = load_settings().retention
    if rules is None:
        raise SetupError("INWIT_RETENTION is not set: everything is kept (docs/forgetting.md).")

    async def work(database: Database) -> Kept:
        store = LedgerStore(database)
        async with store.running():
            return await Retention(database, store, rules, dry_run=dry_run, pause_s=0.0).look()

    kept = with_ledger(work)
    if as_json:
        typer.echo(json.dumps({**asdict(kept), "dry_run": dry_run}))
        return
    verb = "Would go" if dry_run else "Gone"
    typer.echo(f"{verb}: the content of {kept.responses} responses, {kept.entries} entries.")
    _say_what_is_left(kept.scrubbed)


def rotate_content_key(
    add: Annotated[
        bool, typer.Option("--add", help="Add a fresh key to the file first, as the active one.")
    ] = False,
    subject_keys: Annotated[
        bool, typer.Option("--subject-keys", help="New keys for end users and tenants instead.")
    ] = False,
    end_user: _EndUser = None,
    tenant: _Tenant = None,
    as_json: _Json = False,
) -> None:
    """Wrap all keys by the active master key, and seal what older versions wrote in the clear.

    Safe while gateways run, and when it is stopped and started again.
    """
    if end_user is not None and tenant is None:
        raise typer.BadParameter("name the tenant too", param_hint="--tenant")
    if tenant is not None and not subject_keys:
        raise typer.BadParameter("only with --subject-keys", param_hint="--tenant")

    async def work(database: Database) -> tuple[Rotated | int, bool | None]:
        if subject_keys:
            done = await _rotate_subjects(database, tenant, end_user)
        else:
            done = await _rotate_master(database, add=add)
        return done, await database.scrub()

    done, scrubbed = with_ledger(work)
    if as_json:
        facts = {"subjects": done} if isinstance(done, int) else asdict(done)
        typer.echo(json.dumps(facts | {"scrubbed": scrubbed}))
        return
    _say_what_is_left(scrubbed)
    if isinstance(done, int):
        typer.echo(f"New keys: {done}.")
        return
    _say_rotated(done)


def _say_rotated(done: Rotated) -> None:
    typer.echo(
        f"Wrapped anew: {done.subjects} keys. Sealed: {done.contents} pieces of content, "
        f"{done.texts} texts."
    )
    if done.left:
        typer.echo(
            f"{done.left} keys were wrapped by another master key meanwhile: a gateway does not "
            "have the new one yet. Give it to all of them, then run this again."
        )
        raise SystemExit(1)
    typer.echo(
        "Every key is under the active master key; the others are needed by old backups only."
    )


async def _rotate_subjects(database: Database, tenant: str | None, end_user: str | None) -> int:
    only = await _only(database, tenant, end_user)
    count = await rotate_subjects(database, _vault(database), only)
    facts = {"content_keys": "subjects", "only": only, "subjects": count}
    await _note_rotated(database, facts, tenant or "")
    return count


async def _rotate_master(database: Database, *, add: bool) -> Rotated:
    vault = _vault(database)
    if add:
        _add_key(vault)
    done = await rotate_master(database, vault)
    active = {"content_keys": "master", "active": vault.holder.active, "added": add}
    await _note_rotated(database, active | asdict(done))
    return done


async def _note_rotated(database: Database, facts: Mapping[str, object], tenant: str = "") -> None:
    await database.write(lambda connection: note_change(connection, facts, tenant=tenant))


async def _only(database: Database, tenant: str | None, end_user: str | None) -> str | None:
    if tenant is None:
        return None
    return await database.read(lambda each: subject_of(each, tenant, end_user))


def _add_key(vault: Vault) -> None:
    if not isinstance(vault.holder, KeyFile):
        raise SetupError("--add needs the keys in a file (INWIT_CONTENT_KEY_FILE).")
    typer.echo(f"Added {vault.holder.add()} to {vault.holder.file}.", err=True)


def _vault(database: Database) -> Vault:
    if database.vault is None:
        raise SetupError("Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY (docs/forgetting.md).")
    return database.vault


def _say_what_is_left(scrubbed: bool | None) -> None:
    if scrubbed is False:
        typer.echo(
            "Somebody reads the database, so that its write-ahead file could not be emptied yet: "
            "copies of what is gone, and of the keys that open it, may still lie in there. "
            "A gateway tries on, and empties it once nobody reads; where none runs, the next "
            "command that writes to the ledger then does, such as `inwit ledger migrate` "
            "(docs/forgetting.md#erase)."
        )


def _one_of(end_user: str | None, tenant: str | None, response: str | None) -> None:
    if (end_user is None) == (response is None):
        raise typer.BadParameter("name an end user (with --tenant) or a response")
    if (end_user is None) != (tenant is None):
        raise typer.BadParameter("an end user is one of a tenant; a response needs none")


def _written(steps: Callable[[Transaction], T]) -> T:
    async def work(database: Database) -> T:
        store = LedgerStore(database)
        async with store.running():
            return await store.write(steps)

    return with_ledger(work)


def _shown(hold: LegalHold) -> dict[str, str]:
    return {
        "id": hold.id,
        "scope": hold.scope.value,
        "value": hold.value,
        "placed": hold.placed.isoformat(timespec="seconds"),
        "by": hold.placed_by,
        "lifted": hold.lifted.isoformat(timespec="seconds") if hold.lifted else "-",
        "reason": hold.reason,
    }
