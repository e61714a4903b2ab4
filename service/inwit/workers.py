"""Several gateways on one machine: a parent holds the ports, and starts again what dies.

The children share the listening sockets; whoever is free takes the next connection. What they
count is in files of a folder that the parent gives them, so that each one's /metrics has the sum.
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog
from prometheus_client.multiprocess import (
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]  # untyped
)

from inwit.config import Settings
from inwit.errors import SetupError
from inwit.ports import Ports, bound
from inwit.stopping import CLOSE_S

log = structlog.get_logger()

METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"  # what prometheus-client calls it; read at its import
INHERIT = "--inherit"

_SETUP_CODE = 2  # how a command ends that is set up wrongly (inwit.cli.main)
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0  # a worker that lived this long has not failed at its start


async def supervise(settings: Settings, workers: int, environment: dict[str, str]) -> int:
    """Run that many workers until SIGTERM or SIGINT; give the exit code.

    Raises:
        SetupError: a port is taken, or a setting fits one process only.
    """
    refuse_embedded(settings)
    with bound(settings) as ports, _counters(environment.get(METRICS_DIR)) as folder:
        environment = environment | {METRICS_DIR: str(folder)}
        team = _Team(ports, environment, settings.shutdown_s + CLOSE_S, folder)
        async with _signals(team):
            log.info("workers", count=workers, address=ports.address, metrics=str(folder))
            code = await team.work(workers)
        log.info("workers_stopped", code=code)
        return code


def refuse_embedded(settings: Settings) -> None:
    """Embedded parts belong to one process.

    Raises:
        SetupError: one is to be started.
    """
    embedded = {
        "INWIT_EMBEDDED_MODEL": settings.embedded_model and settings.model_url is None,
        "INWIT_EMBEDDED_REDIS": settings.embedded_redis and settings.redis_url is None,
    }
    for name, wanted in embedded.items():
        if wanted:
            raise SetupError(
                f"{name} and --workers do not go together: each worker would start one of its "
                "own. Name a server that all share, or run one worker."
            )


class _Team:
    """The workers of one parent."""

    def __init__(
        self, ports: Ports, environment: dict[str, str], stop_s: float, folder: Path
    ) -> None:
        self._ports = ports
        self._environment = environment
        self._stop_s = stop_s
        self._folder = folder
        self._running: set[Process] = set()
        self._stopping = asyncio.Event()
        self._code = 0

    async def work(self, workers: int) -> int:
        """Keep that many running until told to stop; 0 where all ended in order."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._keep(number), name=f"worker-{number}")
        return self._code

    def tell(self, number: int) -> None:
        """Pass a signal on."""
        for process in self._running:
            _tell(process, number)

    def stop(self, number: int) -> None:
        """Pass the signal on, and start nobody again. Only the workers listen from now on."""
        self._stopping.set()
        self._ports.close()
        self.tell(number)

    async def _keep(self, number: int) -> None:
        """One place among them: a worker, and another one when it dies."""
        clock = asyncio.get_running_loop().time
        pause_s, lives = _FIRST_PAUSE_S, 0
        while not self._stopping.is_set():
            began = clock()
            code = await self._one(number)
            lives += 1
            if self._stopping.is_set():
                # A worker that had not begun to listen for signals ends by ours.
                self._code = self._code or int(code not in (0, -signal.SIGTERM, -signal.SIGINT))
            elif code == _SETUP_CODE and lives == 1:
                # It has said why; the others are set up alike.
                self._code = code
                self.stop(signal.SIGTERM)
            else:
                pause_s = _FIRST_PAUSE_S if clock() - began > _STEADY_S else pause_s
                log.error("worker_died", worker=number, code=code, again_in_s=pause_s)
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _one(self, number: int) -> int:
        """A worker's whole life; its exit code, negative where a signal ended it."""
        descriptors = self._ports.descriptors
        process = await asyncio.create_subprocess_exec(
            *_command(descriptors),
            pass_fds=descriptors,
            env=self._environment,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which passes it on
        )
        log.info("worker_started", worker=number, pid=process.pid)
        self._running.add(process)
        if self._stopping.is_set():  # while it was being started
            _tell(process, signal.SIGTERM)
        try:
            return await self._ended(process)
        finally:
            self._running.discard(process)
            # Its gauges go; what it has counted stays.
            mark_process_dead(process.pid, str(self._folder))

    async def _ended(self, process: Process) -> int:
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await asyncio.wait({ending}, timeout=self._stop_s)
            if not ending.done():
                log.error("worker_killed", pid=process.pid)
                process.kill()
            return await ending
        finally:
            stopping.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _tell(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        process.send_signal(number)


def _command(descriptors: Sequence[int]) -> list[str]:
    inherit = ",".join(map(str, descriptors))
    return [sys.executable, "-m", "inwit", "serve", INHERIT, inherit]


@asynccontextmanager
async def _signals(team: _Team) -> AsyncGenerator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, team.stop, number)
    loop.add_signal_handler(signal.SIGHUP, team.tell, signal.SIGHUP)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


@contextmanager
def _counters(given: str | None) -> Generator[Path]:
    """An empty folder for what is counted: the given one, or one that goes at the end."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="inwit-metrics-") as made:
            yield Path(made)
        return
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.db"):
            file.unlink()
    except OSError as error:
        raise SetupError(f"{METRICS_DIR}: {folder} cannot be used ({error.strerror}).") from error
    yield folder
