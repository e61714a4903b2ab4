"""The time for a shutdown, ports, files with secrets in them, and the collector of telemetry."""

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from inwit.auth import LOOK_UP_S
from inwit.config import Settings
from inwit.doctor.finding import Finding, ok, warning, wrong
from inwit.errors import SetupError
from inwit.exporting import ENDPOINT, check_sending, switched_off
from inwit.genai import OPT_IN, convention_of
from inwit.ledger import content_keys
from inwit.ledger.database import sqlite_file
from inwit.ports import bound

_CONNECT_S = 3.0
_OTLP_PORT = 4317


def longest_s_of(settings: Settings) -> float:
    """How long a request may be open without its caller's doing, with a database that is slow.

    Its deadline begins once its key is known and its idempotency key is claimed, for which it has
    as long as for the record at the end.
    """
    return LOOK_UP_S + (settings.deadline_ms + 2 * settings.record_ms) / 1000


async def drain_of(settings: Settings) -> list[Finding]:
    """Whether the slowest request that is open at a shutdown has the time to end well."""
    name, longest_s = "drain", longest_s_of(settings)
    if settings.shutdown_s >= longest_s:
        return [ok(name, f"A shutdown waits {settings.shutdown_s} s for what is open.")]
    words = (
        f"A request may take {longest_s:g} s (INWIT_DEADLINE_MS, twice INWIT_RECORD_MS and "
        f"{LOOK_UP_S:g} s for its key), and a shutdown cuts it after {settings.shutdown_s} s."
    )
    return [warning(name, words, "Raise INWIT_SHUTDOWN_S, or lower INWIT_DEADLINE_MS.")]


async def ports_of(settings: Settings) -> list[Finding]:
    """Whether they are free, or a gateway has them already."""
    name = "ports"
    try:
        with bound(settings) as ports:
            also = f" and {ports.operate_address}" if ports.operate else ""
            return [ok(name, f"{ports.address}{also} can be listened on.")]
    except SetupError as error:
        if await _serving(settings):
            return [ok(name, "A gateway is serving there.")]
        return [wrong(name, str(error), "See who listens there: `ss -ltnp`.")]


async def _serving(settings: Settings) -> bool:
    port = settings.port if settings.operate_port is None else settings.operate_port
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        async with httpx.AsyncClient(timeout=_CONNECT_S) as client:
            answer = await client.get(f"http://{host}:{port}/healthz")
            return answer.json().get("status") == "alive"
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


async def secret_files(settings: Settings) -> list[Finding]:
    """Whether others on this machine can read what they should not."""
    open_ones = [each for each in await asyncio.to_thread(_secret, settings) if _is_open(each)]
    if not open_ones:
        return [ok("secrets", "No file with secrets in it can be read by others.")]
    return [
        warning("secrets", f"{file} can be read by others.", f"Run `chmod 600 {file}`.")
        for file in open_ones
    ]


def _secret(settings: Settings) -> list[Path]:
    """Files that hold keys or content; those of a data folder that is closed to others are safe."""
    config = os.environ.get("INWIT_CONFIG")
    named = (Path(config) if config else None, settings.content_key_file, settings.ledger_key_file)
    found = [each for each in named if each is not None]
    folder = settings.data_dir
    if folder.is_dir() and _is_open(folder):
        found += [folder / each for each in (content_keys.FILE, "ledger.key", "dev-key")]
        found += [sqlite_file(folder), folder / "log" / "inwit.jsonl"]
    return [file for file in dict.fromkeys(found) if file.is_file()]


def _is_open(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


async def collector(_settings: Settings) -> list[Finding]:
    """Whether telemetry can be sent, and its collector be connected to, where one is named."""
    name, address = "collector", os.environ.get(ENDPOINT, "")
    try:
        convention_of(os.environ.get(OPT_IN, ""))
    except SetupError as error:
        return [wrong(name, str(error), "See docs/telemetry.md.")]
    if not address:
        return [ok(name, f"None is named ({ENDPOINT}).")]
    if switched_off():
        return [ok(name, "Nothing is sent (OTEL_SDK_DISABLED).")]
    try:
        await asyncio.to_thread(check_sending)
    except SetupError as error:
        return [wrong(name, str(error), "See docs/telemetry.md.")]
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname or "", parts.port or _OTLP_PORT
        async with asyncio.timeout(_CONNECT_S):
            _reader, writer = await asyncio.open_connection(host, port)
    except (OSError, ValueError):  # a timeout too
        words = (
            "The collector cannot be reached: spans and log events are dropped, and counted; "
            "GenAI metrics come late."
        )
        return [warning(name, words, f"See that it runs, and {ENDPOINT}.")]
    writer.close()
    return [ok(name, "It takes connections.")]
