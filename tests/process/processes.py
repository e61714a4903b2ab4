"""Real `inwit` processes for tests: started, waited for, and stopped by process id."""

import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# How long something may hang before a test gives up. A machine that is slow, or stands still for
# some seconds, is no failure.
START_S = 240.0
STOP_S = 120.0
# For the same reason a gateway gives nothing up soon, unless that is what a test is about.
PATIENT = {
    "INWIT_DEADLINE_MS": "240000",
    "INWIT_GENERATE_MS": "200000",
    "INWIT_JUDGE_MS": "100000",
    "INWIT_EXPLAIN_MS": "100000",
    "INWIT_CLASSIFY_MS": "100000",
    "INWIT_RECORD_MS": "120000",
}
_PORTS = range(20_000, 32_000)


@dataclass
class Inwit:
    """One `inwit` process and what it has printed so far."""

    process: subprocess.Popen[str]
    data_dir: Path
    _lines: "queue.Queue[str | None]"
    printed: list[str] = field(default_factory=list[str])

    def wait_for(self, words: str) -> str:
        """The next line with these words. Fails when the process ends first."""
        while True:
            line = self._lines.get(timeout=START_S)
            if line is None:
                raise AssertionError(f"ended before {words!r}: {''.join(self.printed)}")
            self.printed.append(line)
            if words in line:
                return line.strip()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send the signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_S)

    def children(self) -> list[int]:
        """Process ids of its children now."""
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]


@contextmanager
def inwit(
    command: str, data_dir: Path, settings: Mapping[str, str] | None = None
) -> Generator[Inwit]:
    """Run `inwit COMMAND` while the block runs; standard output and error are read together.

    It is patient, but for what `settings` say.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "inwit", *command.split()],
        env=environment(data_dir, PATIENT | dict(settings or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield Inwit(process, data_dir, lines)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def run_inwit(
    command: str, data_dir: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "inwit", *command.split()],
        env=environment(data_dir, settings),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def entries_of(response_id: str, data_dir: Path, settings: Mapping[str, str] | None = None) -> Any:
    """What the ledger holds about a response, content too, oldest first."""
    shown = run_inwit(f"ledger show --json --content {response_id}", data_dir, settings)
    decoder, left, entries = json.JSONDecoder(), shown.stdout.strip(), list[Any]()
    while left:
        entry, end = decoder.raw_decode(left)
        entries.append(entry)
        left = left[end:].strip()
    return entries


def make_key(data_dir: Path) -> str:
    """An API key for a gateway on this data."""
    made = run_inwit("keys create --name test --tenant acme --json", data_dir)
    return str(json.loads(made.stdout)["key"])


def free_port() -> int:
    """A port of loopback that nobody listens on, and that stays so until it is used.

    It is below those that Linux hands out by itself (ip_local_port_range): no connection has it by
    then, nor anybody who asked for any port. Each worker of pytest draws another one.
    """
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(data_dir: Path, settings: Mapping[str, str] | None) -> dict[str, str]:
    """The test's environment, with the settings of a gateway on a port of its own."""
    return {
        **os.environ,
        "INWIT_DATA_DIR": str(data_dir),
        "INWIT_PORT": "0",
        "PYTHONUNBUFFERED": "1",
        **(settings or {}),
    }


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
