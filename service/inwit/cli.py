"""The command line: `inwit --help`."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop
from rich.console import Console

from inwit import __version__
from inwit.auth import ApiKeys, StoredKey
from inwit.bootstrap import Gateway, open_database, prepare_data_dir
from inwit.config import Settings, load_settings
from inwit.errors import InwitError, SetupError, Unauthorized
from inwit.ledger import read
from inwit.ledger.database import Database, sqlite_file
from inwit.ledger.verify import verify_chain
from inwit.policy.loader import PACKAGED, load_policies
from inwit.serve import serve as serve_gateway
from inwit.telemetry import configure_logs
from inwit.types import KeyRole

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
ledger_app = typer.Typer(no_args_is_help=True, help="Read and verify the ledger.")
app.add_typer(keys_app, name="keys")
app.add_typer(ledger_app, name="ledger")

_out = Console(highlight=False, soft_wrap=True)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def root() -> None:
    """Inwit: a guardrail gateway for LLM products."""


@app.command()
def up() -> None:
    """Start everything on this machine, for trying Inwit out."""
    settings = load_settings(**_embedded_defaults())
    prepare_data_dir(settings.data_dir)
    log_file = settings.data_dir / "log" / "inwit.jsonl"
    log_file.parent.mkdir(exist_ok=True)
    configure_logs(settings.log_level, log_file)
    _out.print(f"Inwit {__version__} starting, data in {settings.data_dir}")

    async def announce(gateway: Gateway, address: str) -> None:
        key = await _development_key(gateway)
        _out.print(_banner(address, key, log_file))

    uvloop.run(serve_gateway(settings, lambda step: _out.print(f"  {step}"), announce))
    _out.print("Stopped.")


@app.command()
def serve() -> None:
    """Run the gateway for production; settings from INWIT_… and an optional file."""
    settings = load_settings()
    configure_logs(settings.log_level)

    async def announce(_gateway: Gateway, _address: str) -> None:
        pass

    uvloop.run(serve_gateway(settings, lambda _: None, announce))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    tenant: Annotated[str, typer.Option(help="Whose key it is.")],
    policy: Annotated[str, typer.Option(help="The policy it decides by.")] = "default",
    roles: Annotated[str, typer.Option(help="Of respond, review, audit, admin.")] = "respond",
    as_json: _Json = False,
) -> None:
    """Make a key and print it, this once only."""
    wanted = _roles(roles)
    if not tenant or not name:
        raise typer.BadParameter("a key needs a name and a tenant")
    known = load_policies(load_settings().policy_dir or PACKAGED)
    if policy not in known:
        raise typer.BadParameter(f"there are: {', '.join(sorted(known))}", param_hint="--policy")

    async def work(keys: ApiKeys) -> tuple[StoredKey, str]:
        return await keys.create(name=name, tenant=tenant, policy=policy, roles=wanted)

    stored, key = _with_keys(work)
    if as_json:
        typer.echo(json.dumps({"id": stored.id, "key": key}))
    else:
        typer.echo(key)
        typer.echo(f"It is not shown again. To stop it: inwit keys revoke {stored.id}")


@keys_app.command("list")
def keys_list(as_json: _Json = False) -> None:
    """List the keys, revoked ones too."""
    stored = _with_keys(lambda keys: keys.list())
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "tenant": key.tenant,
            "policy": key.policy,
            "roles": ",".join(key.roles),
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


@keys_app.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as `keys list` shows it.")],
) -> None:
    """Stop a key; running gateways follow within INWIT_KEY_CACHE_MS."""
    _with_keys(lambda keys: keys.revoke(key_id))
    typer.echo(f"revoked {key_id}")


@ledger_app.command("show")
def ledger_show(
    response_id: Annotated[str, typer.Argument(help="The id of a response.")],
    content: Annotated[bool, typer.Option("--content", help="Print the content too.")] = False,
) -> None:
    """Print what the ledger holds about one response."""

    async def work(database: Database) -> list[read.Story]:
        return await database.read(lambda connection: read.stories(connection, response_id))

    stories = _with_ledger(work)
    if not stories:
        raise SystemExit(f"The ledger holds nothing about {response_id}.")
    for story in stories:
        shown = {**story.facts, "hash": story.hash}
        typer.echo(json.dumps(shown | ({"content": story.contents} if content else {}), indent=2))


@ledger_app.command("verify")
def ledger_verify() -> None:
    """Check every entry, link and commitment; exit 1 where something is broken."""
    found = _with_ledger(lambda database: database.read(verify_chain))
    for broken in found.breaks:
        typer.echo(f"entry {broken.sequence}: {broken.problem}")
    typer.echo(f"{found.entries} entries, {len(found.breaks)} breaks, head {found.head}")
    typer.echo(
        "Not shown by this: entries cut off the end, or a ledger written anew. "
        "Keep the head elsewhere and compare."
    )
    if found.breaks:
        raise SystemExit(1)


def main() -> None:
    """Run a command; what is wrong with the set-up is one sentence and exit code 2."""
    try:
        app()
    except InwitError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"inwit: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _embedded_defaults() -> dict[str, object]:
    """`up` runs inside itself whatever the environment does not place elsewhere."""
    given = os.environ
    return {
        "embedded_model": "INWIT_MODEL_URL" not in given,
        "embedded_redis": "INWIT_REDIS_URL" not in given,
    }


async def _development_key(gateway: Gateway) -> str:
    """The key that the first `up` made, or a new one where it does not work any more."""
    file = gateway.settings.data_dir / "dev-key"
    if file.is_file():
        key = file.read_text().strip()
        try:
            await gateway.keys.authenticate(f"Bearer {key}", KeyRole.RESPOND)
        except Unauthorized:
            pass
        else:
            return key
    policy = "default" if "default" in gateway.policies else min(gateway.policies)
    _, key = await gateway.keys.create(
        name="development", tenant="development", policy=policy, roles=[KeyRole.RESPOND]
    )
    _write_secret(file, key)
    return key


def _write_secret(file: Path, secret: str) -> None:
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(f"{secret}\n")


def _banner(address: str, key: str, log_file: Path) -> str:
    return f"""
Inwit is answering at {address}  (API: {address}/docs, state: {address}/readyz)
Logs: {log_file}. Stop with Ctrl-C; the next start finds its data again.
Development API key: {key}

Try:
{_curl(address, key)}
"""


def _curl(address: str, key: str) -> str:
    headers = f"-H 'authorization: Bearer {key}' -H 'content-type: application/json'"
    question = {"role": "user", "content": "How do tides work?"}
    body = json.dumps({"messages": [question], "temperature": 0, "max_tokens": 120})
    return f"curl -s {address}/v1/respond {headers} -d '{body}'"


def _roles(joined: str) -> list[KeyRole]:
    try:
        return [KeyRole(role.strip()) for role in joined.split(",")]
    except ValueError as error:
        known = ", ".join(KeyRole)
        raise typer.BadParameter(f"known roles are {known}", param_hint="--roles") from error


def _with_ledger(work: Callable[[Database], Awaitable[T]]) -> T:
    """Like `_with_database`, for reading: a ledger that is not there is not made."""
    settings = load_settings()
    if settings.database_url is None and not sqlite_file(settings.data_dir).is_file():
        raise SetupError(
            f"There is no ledger in {settings.data_dir}. "
            "Set INWIT_DATA_DIR or INWIT_DATABASE_URL as the gateway has it."
        )
    return _with_database(work)


def _with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    settings: Settings = load_settings()

    async def run() -> T:
        async with open_database(settings) as database:
            return await work(database)

    return asyncio.run(run())


def _with_keys(work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    return _with_database(lambda database: work(ApiKeys(database, cache_s=0)))
