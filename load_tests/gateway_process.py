"""The gateway as a process of its own, with its own data, key and Redis."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from load_tests.processes import pinned, stop
from load_tests.stub_model import MODEL

READY_WITHIN_S = 60.0


@dataclass(frozen=True)
class Gateway:
    """A gateway that is ready."""

    port: int
    pid: int
    key: str


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(port: int, model_port: int, data: Path) -> dict[str, str]:
    """The settings of the gateway under load."""
    return {
        **os.environ,
        "INWIT_MODEL_URL": f"http://127.0.0.1:{model_port}/v1",
        "INWIT_MODEL": MODEL,
        "INWIT_PORT": str(port),
        "INWIT_DATA_DIR": str(data),
        "INWIT_EMBEDDED_REDIS": "1",
    }


def make_key(python: str, settings: dict[str, str], policies: tuple[str, ...]) -> str:
    """An API key from the gateway's own command, for those policies (none: the default one)."""
    command = [python, "-m", "inwit", "keys", "create", "--name", "load", "--tenant", "load"]
    for policy in policies:
        command += ["--policy", policy]
    made = subprocess.run(
        [*command, "--roles", "respond", "--json"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if made.returncode != 0:
        raise SystemExit(f"no API key, `inwit keys create` failed:\n{made.stderr[-2000:]}")
    return str(json.loads(made.stdout)["key"])


def is_ready(port: int) -> bool:
    """Whether /readyz answers 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the gateway is ready; end the run with its log when it will not be."""
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        if is_ready(port):
            return
        time.sleep(0.1)
    state = "ended" if process.poll() is not None else "is not ready"
    raise SystemExit(f"the gateway {state}:\n{log.read_text(errors='replace')[-3000:]}")


@contextmanager
def running_gateway(
    core: int | None,
    model_port: int,
    python: str | None,
    *,
    settings: dict[str, str] | None = None,
    policies: tuple[str, ...] = (),
) -> Generator[Gateway]:
    """A gateway on one core (None: any), with fresh data that is removed at the end."""
    interpreter = python or sys.executable
    place = nullcontext() if core is None else pinned(core)
    with TemporaryDirectory(prefix="inwit-load-") as folder, place:
        port = free_port()
        settings = environment(port, model_port, Path(folder)) | (settings or {})
        key = make_key(interpreter, settings, policies)
        log = Path(folder) / "gateway.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [interpreter, "-m", "inwit", "serve"], env=settings, stdout=output, stderr=output
            )
        try:
            wait_until_ready(process, port, log)
            yield Gateway(port, process.pid, key)
        finally:
            stop(process)
