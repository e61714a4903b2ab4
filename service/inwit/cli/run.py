"""`inwit up` and `inwit serve`."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from inwit import __version__
from inwit.bootstrap import Gateway
from inwit.clients.embedded.tether import tether
from inwit.config import load_settings
from inwit.errors import Unauthorized
from inwit.ledger_setup import prepare_data_dir
from inwit.logs import configure_logs
from inwit.ports import inherited
from inwit.serve import serve as serve_gateway
from inwit.types import KeyRole
from inwit.workers import supervise

_out = Console(highlight=False, soft_wrap=True)


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


def serve(
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port of this machine.")
    ] = 1,
    inherit: Annotated[str, typer.Option(hidden=True, help="Sockets of the parent.")] = "",
) -> None:
    """Run the gateway for production; settings from INWIT_… and an optional file."""
    settings = load_settings()
    configure_logs(settings.log_level)
    # Not for `up`, which a closed terminal must end. Until there are policies it means nothing.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if workers > 1:
        sys.exit(uvloop.run(supervise(settings, workers, dict(os.environ))))

    async def announce(gateway: Gateway, _address: str) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload)

    ports = None
    if inherit:
        tether()
        ports = inherited([int(each) for each in inherit.split(",")])
    uvloop.run(serve_gateway(settings, lambda _: None, announce, ports))


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
    names = sorted(gateway.policies.current, key=lambda name: (name != "default", name))
    _, key = await gateway.keys.create(
        name="development", tenant="development", policies=names, roles=[KeyRole.RESPOND]
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
