"""`inwit keys`: make, list and revoke API keys."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from inwit.auth import ApiKeys, StoredKey
from inwit.callbacks import allowed_host
from inwit.cli.database import with_database
from inwit.config import load_settings
from inwit.policy.loader import PACKAGED, load_policies
from inwit.types import KeyRole

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SECRET = "What signs its webhooks: "  # noqa: S105  # the words before it


@app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    tenant: Annotated[str, typer.Option(help="Whose key it is.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A policy that it may use; give it again for more. The first decides by default.",
            show_default="default",
        ),
    ] = None,
    roles: Annotated[str, typer.Option(help="Of respond, review, audit, admin.")] = "respond",
    callback_host: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST, HOST:PORT or *.HOST that webhooks may go to; again for more.",
            show_default="none",
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Make a key and print it, this once only; with callback hosts, what signs webhooks too."""
    wanted = _roles(roles)
    if not tenant or not name:
        raise typer.BadParameter("a key needs a name and a tenant")
    policies = _known_policies(policy or ["default"])
    hosts = _allowed_hosts(callback_host or [], "--callback-host")

    async def work(keys: ApiKeys) -> tuple[StoredKey, str, str | None]:
        stored, key = await keys.create(
            name=name, tenant=tenant, policies=policies, roles=wanted, callback_hosts=hosts
        )
        rule = await keys.callback_rule(stored.id)
        return stored, key, rule.secret if rule else None

    stored, key, secret = _with_keys(work)
    if as_json:
        shown = {"id": stored.id, "key": key}
        typer.echo(json.dumps(shown | ({"callback_secret": secret} if secret else {})))
        return
    typer.echo(key)
    if secret:
        typer.echo(_SECRET + secret)
    typer.echo(f"It is not shown again. To stop it: inwit keys revoke {stored.id}")


@app.command("list")
def list_keys(as_json: _Json = False) -> None:
    """List the keys, revoked ones too."""
    stored = _with_keys(lambda keys: keys.list())
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "tenant": key.tenant,
            "policies": ",".join(key.policies),
            "roles": ",".join(key.roles),
            "callback_hosts": ",".join(key.callback_hosts),
            "created": key.created.isoformat(timespec="seconds"),
            "revoked": key.revoked.isoformat(timespec="seconds") if key.revoked else "",
        }
        for key in stored
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo("  ".join(value or "-" for value in row.values()))


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The id, as `keys list` shows it.")],
) -> None:
    """Stop a key; running gateways follow within INWIT_KEY_CACHE_MS."""
    _with_keys(lambda keys: keys.revoke(key_id))
    typer.echo(f"revoked {key_id}")


@app.command("callbacks")
def change_callbacks(
    key_id: Annotated[str, typer.Argument(help="The id, as `keys list` shows it.")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST, HOST:PORT or *.HOST, in place of those before; again for more.",
            show_default="as it was",
        ),
    ] = None,
    no_hosts: Annotated[bool, typer.Option("--no-hosts", help="Allow none any more.")] = False,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Sign with a new secret from now on.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Change where webhooks of a key may go, or what signs them; printed where it is new."""
    if bool(host) == no_hosts and (host or not new_secret):
        raise typer.BadParameter("say --host, --no-hosts or --new-secret")
    hosts = [] if no_hosts else _allowed_hosts(host, "--host") if host else None

    async def work(keys: ApiKeys) -> str | None:
        return await keys.set_callbacks(key_id, hosts, new_secret=new_secret)

    secret = _with_keys(work)
    if as_json:
        shown = {"id": key_id} | ({"callback_secret": secret} if secret else {})
        typer.echo(json.dumps(shown))
        return
    typer.echo(f"changed {key_id}; running gateways follow within INWIT_KEY_CACHE_MS")
    if secret:
        typer.echo(_SECRET + secret)
        typer.echo("It is not shown again.")


def _allowed_hosts(given: list[str], option: str) -> list[str]:
    try:
        return [allowed_host(each) for each in given]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _known_policies(wanted: list[str]) -> list[str]:
    known = load_policies(load_settings().policy_dir or PACKAGED)
    if not known.keys() >= set(wanted):
        raise typer.BadParameter(f"there are: {', '.join(sorted(known))}", param_hint="--policy")
    return wanted


def _roles(joined: str) -> list[KeyRole]:
    try:
        return [KeyRole(role.strip()) for role in joined.split(",")]
    except ValueError as error:
        known = ", ".join(KeyRole)
        raise typer.BadParameter(f"known roles are {known}", param_hint="--roles") from error


def _with_keys(work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    return with_database(lambda database: work(ApiKeys(database, cache_s=0)))
