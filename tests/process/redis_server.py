"""A Redis or Valkey server of a test's own, on loopback: stopped, killed, started again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inwit.clients.embedded.redis import valkey_binary
from tests.process.processes import free_port

_START_S = 120.0


def redis_binary() -> Path:
    """Debian's redis-server. Where it is missing the test is skipped, but never in CI."""
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            raise AssertionError("redis-server is not installed: apt-get install redis-server")
        pytest.skip("redis-server is not installed here")
    return Path(found)


@dataclass
class RedisServer:
    """One server process on `folder`; `options` go on its command line."""

    binary: Path
    folder: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [self.binary, *place, "--save", "", *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_S
        while not self._answers():
            assert self.process.poll() is None, "it ended at its start"
            assert time.monotonic() < end, "it does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False

    def tell(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=_START_S)
            self.process = None


@contextmanager
def redis_server(folder: Path, *options: str, binary: Path | None = None) -> Generator[RedisServer]:
    """Runs while the block does; Debian's redis-server where nothing else is named."""
    server = RedisServer(binary or redis_binary(), folder, options)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.tell(signal.SIGCONT)
        server.kill()


@contextmanager
def valkey_server(folder: Path, *options: str) -> Generator[RedisServer]:
    """The same with Valkey's own binary, which is always there."""
    with redis_server(folder, *options, binary=valkey_binary()) as server:
        yield server
