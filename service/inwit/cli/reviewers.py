"""`inwit reviewers`: the people who sign in to the review console."""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar

import typer

from inwit.cases import Reviewer, Role
from inwit.cli.database import with_database
from inwit.console.account_rows import OPERATOR, Account
from inwit.console.accounts import Accounts
from inwit.console.passwords import Passwords, check_new
from inwit.errors import NotFound
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.types import Category, Severity

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Add, list and change the people of the console.")

_Name = Annotated[str, typer.Argument(help="What the person signs in with.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
_Role = Annotated[Role, typer.Option(help="What they may do (docs/console.md).")]
_Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="Whose cases they see; repeat. All if unset.")
]
_Policies = Annotated[
    list[str] | None, typer.Option("--policy", help="Of which policies; repeat. All if unset.")
]
_Languages = Annotated[
    list[str] | None, typer.Option("--language", help="That they read; repeat. All if unset.")
]
_Clearance = Annotated[Severity, typer.Option(help="The worst that they are shown.")]


@app.command("add")
def add(
    name: _Name,
    role: _Role = Role.REVIEWER,
    tenant: _Tenants = None,
    policy: _Policies = None,
    language: _Languages = None,
    clearance: _Clearance = Severity.CRITICAL,
    password_stdin: _FromStdin = False,
    as_json: _Json = False,
) -> None:
    """Add a person with a password of their own; those of a provider need no adding."""
    reviewer = Reviewer(
        "",
        role,
        tenants=frozenset(tenant or ()),
        policies=frozenset(policy or ()),
        languages=frozenset(language or ()),
        clearance=clearance,
    )
    password = _new_password(name, password_stdin)

    async def work(accounts: Accounts) -> Account:
        hashed = await Passwords().hash(password)
        return await accounts.create(name, reviewer, hashed, OPERATOR)

    _show([_with_accounts(work)], as_json)


@app.command("list")
def list_people(as_json: _Json = False) -> None:
    """List everybody, disabled people too."""
    _show(_with_accounts(lambda accounts: accounts.list()), as_json)


@app.command("change")
def change(
    name: _Name,
    role: Annotated[Role | None, typer.Option(help="Another role; it ends their sessions.")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", help="In place of those before; `all` for all.")
    ] = None,
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="In place of those before; `all` for all.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="In place of those before; or `all`.")
    ] = None,
    clearance: Annotated[Severity | None, typer.Option(help="The worst they are shown.")] = None,
    opted_out: Annotated[
        list[Category] | None, typer.Option("--opted-out", help="Not shown to them; repeat.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Change what a person may do; what is not named stays."""

    def edit(before: Reviewer) -> Reviewer:
        return replace(
            before,
            role=role or before.role,
            tenants=_scope(tenant, before.tenants),
            policies=_scope(policy, before.policies),
            languages=_scope(language, before.languages),
            clearance=clearance or before.clearance,
            opted_out=before.opted_out if opted_out is None else frozenset(opted_out),
        )

    async def work(accounts: Accounts) -> Account:
        return await accounts.change(await _id_of(accounts, name), edit, OPERATOR)

    _show([_with_accounts(work)], as_json)


@app.command("disable")
def disable(name: _Name) -> None:
    """Shut a person out at once; what they did stays in the ledger."""
    _set_disabled(name, True)
    typer.echo("disabled")


@app.command("enable")
def enable(name: _Name) -> None:
    """Let a disabled person in again."""
    _set_disabled(name, False)
    typer.echo("enabled")


@app.command("password")
def set_password(name: _Name, password_stdin: _FromStdin = False) -> None:
    """Give a person another password; it unlocks the account and ends their sessions."""
    password = _new_password(name, password_stdin)

    async def work(accounts: Accounts) -> None:
        account_id = await _id_of(accounts, name)
        await accounts.set_password(account_id, await Passwords().hash(password), OPERATOR)

    _with_accounts(work)
    typer.echo("changed")


def _set_disabled(name: str, disabled: bool) -> None:
    async def work(accounts: Accounts) -> None:
        await accounts.set_disabled(await _id_of(accounts, name), disabled, OPERATOR)

    _with_accounts(work)


def _scope(given: list[str] | None, before: frozenset[str]) -> frozenset[str]:
    if given is None:
        return before
    return frozenset() if given == ["all"] else frozenset(given)


def _new_password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    else:
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    check_new(password, name)
    return password


async def _id_of(accounts: Accounts, name: str) -> str:
    account = await accounts.named(name) or await accounts.by_id(name)
    if account is None:
        raise NotFound("There is nobody of that name or id; `inwit reviewers list` shows who is.")
    return account.id


def _show(people: list[Account], as_json: bool) -> None:
    rows = [_row(each) for each in people]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            "  ".join(",".join(v) if isinstance(v, list) else v or "-" for v in row.values())
        )


def _row(account: Account) -> dict[str, str | list[str]]:
    reviewer = account.reviewer
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role.value,
        "tenants": sorted(reviewer.tenants) or ["all"],
        "policies": sorted(reviewer.policies) or ["all"],
        "languages": sorted(reviewer.languages) or ["all"],
        "clearance": reviewer.clearance.value,
        "opted_out": sorted(each.value for each in reviewer.opted_out) or ["none"],
        "signs_in_by": account.issuer or "password",
        "created": account.created.isoformat(timespec="seconds"),
        "state": "disabled" if account.disabled else "enabled",
    }


def _with_accounts(work: Callable[[Accounts], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        ledger = LedgerStore(database)
        async with ledger.running():
            return await work(Accounts(database, ledger))

    return with_database(run)
