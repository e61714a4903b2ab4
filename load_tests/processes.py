"""Start, pin, watch and stop the processes of a load run (Linux: /proc and affinity)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cores:
    """The core of what is measured, and the core of the stub and the load generator."""

    measured: int
    load: int

    @property
    def apart(self) -> bool:
        return self.measured != self.load


def choose_cores() -> Cores:
    """The first and the last core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(measured=allowed[0], load=allowed[-1])


def machine_line() -> str:
    """How busy the machine is with other work: without that, nobody can weigh a figure."""
    cores = len(os.sched_getaffinity(0))
    return f"load average {os.getloadavg()[0]:.1f} on {cores} cores before the start"


@contextmanager
def pinned(core: int) -> Generator[None]:
    """Run this thread on one core; processes and threads started inside inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Usage:
    """Resident memory and CPU time so far of a process, or of several."""

    resident_mb: float
    cpu_s: float

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.resident_mb + other.resident_mb, self.cpu_s + other.cpu_s)


@dataclass(frozen=True)
class ProcessState:
    """One line of /proc/PID/stat."""

    pid: int
    parent: int
    name: str
    usage: Usage


def state_of(pid: int) -> ProcessState | None:
    """What the kernel says of a process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, rest = text[text.index("(") + 1 :].rsplit(")", 1)
    fields = rest.split()
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return ProcessState(pid, int(fields[1]), name, Usage(int(fields[21]) * PAGE / 2**20, cpu))


def tree(root: int) -> list[ProcessState]:
    """A process and everything it has started, the root first."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    states = [state for state in map(state_of, pids) if state is not None]
    found = [state for state in states if state.pid == root]
    for parent in found:  # grows while it is read: breadth first
        found += [state for state in states if state.parent == parent.pid]
    return found


def usage_by_program(root: int) -> dict[str, Usage]:
    """Usage of a process tree, summed by program name (`python`, `valkey-server`)."""
    sums: dict[str, Usage] = {}
    for state in tree(root):
        name = re.sub(r"python[\d.]*|inwit", "python", state.name)
        sums[name] = sums.get(name, Usage(0.0, 0.0)) + state.usage
    return sums


def stop(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """Ask a process to end; after `patience_s` end it and what it has started, by pid."""
    children = [state.pid for state in tree(process.pid)[1:]]
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in children:
        left = state_of(pid)
        if left is not None and left.parent in (1, process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def stub_model(core: int, **settings: float) -> Generator[int]:
    """A stub model server on a free port, which is the value; stopped at the end."""
    command = [sys.executable, "-m", "load_tests.stub_model", "--port", "0"]
    for name, value in settings.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        line = process.stdout.readline().decode()
        address = re.search(r":(\d+)/v1", line)
        if address is None:
            raise RuntimeError(f"the stub model did not start: {line!r}")
        yield int(address[1])
    finally:
        if process.poll() is not None:
            print(f"the stub model ended early, with {process.returncode}", file=sys.stderr)
        stop(process)
