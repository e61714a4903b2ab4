"""A real vLLM server on the CPU; `make vllm-test` makes its environment and its checkpoint."""

import asyncio
import contextlib
import http.client
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("VLLM_TEST_CACHE", ROOT / ".cache" / "vllm")).resolve()
CHECKPOINT = CACHE / "checkpoint"
READY_WITHIN = 540.0  # seconds; 60 to 90 on two idle cores
STOPPED_WITHIN = 60.0

SAMPLE = re.compile(r"^(?P<name>[^\s{]+)(?:\{.*\})? (?P<value>\S+)$", re.MULTILINE)


class VllmServer:
    """One vLLM server in a process group of its own; its address survives a restart."""

    def __init__(self, port: int, log: Path, flags: tuple[str, ...] = ()) -> None:
        self.port = port
        self.flags = flags
        self.base_url = f"http://127.0.0.1:{port}"
        self.model = "smollm2"
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("vLLM is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it is healthy; blocks for a minute or more."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [ROOT / "scripts/vllm/serve.sh", CHECKPOINT, str(self.port), *self.flags],
                env={**os.environ, "VLLM_TEST_CACHE": str(CACHE)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not self.healthy():
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended at start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(
                    f"vLLM was not ready in {READY_WITHIN:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.2)

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask it to end; whatever is left of its process group after a while is killed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOPPED_WITHIN)
            self.kill()

    def kill(self) -> None:
        """End the server and its workers at once, in the middle of whatever they do."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOPPED_WITHIN)
            self._process = None

    async def restart(self) -> None:
        """Kill it if it runs, and start it again at the same address."""
        self.kill()
        await asyncio.to_thread(self.start)

    async def counter(self, name: str) -> float:
        """The sum over all labels of one counter or gauge of /metrics."""
        async with aiohttp.request(
            "GET", f"{self.base_url}/metrics", raise_for_status=True
        ) as response:
            text = await response.text()
        values = [float(found["value"]) for found in SAMPLE.finditer(text) if found["name"] == name]
        if not values:
            raise LookupError(f"vLLM has no metric {name}")
        return sum(values)

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
