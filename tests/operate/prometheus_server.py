"""A real Prometheus on loopback, with the project's own rules, asked over HTTP."""

import asyncio
import json
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from scripts.dashboards.__main__ import RULES

from tests.operate.programs import program
from tests.process.processes import free_port

SCRAPE_S = 1
_START_S = 240.0
_STOP_S = 120.0


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    http: httpx.AsyncClient
    address: str

    async def ask(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer of its API.

        Raises:
            AssertionError: it is no success.
        """
        answer = await self.http.get(f"{self.address}/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    async def value(self, query: str) -> float | None:
        """The one value of an instant query; None where there is none."""
        found = (await self.ask("query", query=query))["result"]
        return float(found[0]["value"][1]) if found else None

    async def until(self, query: str, seconds: float) -> None:
        """Wait until a query has an answer.

        Raises:
            TimeoutError: it has none in time.
        """
        async with asyncio.timeout(seconds):
            while await self.value(query) is None:  # noqa: ASYNC110  # nobody tells of a scrape
                await asyncio.sleep(SCRAPE_S)


def _configuration(folder: Path, jobs: Mapping[str, Sequence[str]]) -> None:
    # The project's own rules, but what is evaluated every 2 minutes is, here, each second: the test
    # does not last as long.
    text = RULES.read_text()
    assert "interval: 2m" in text
    (folder / "rules.yaml").write_text(text.replace("interval: 2m", f"interval: {SCRAPE_S}s"))
    scrapes = [
        {"job_name": name, "file_sd_configs": [_found_in(folder, name, targets)]}
        for name, targets in jobs.items()
    ]
    every = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    configuration = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": scrapes}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))


def _found_in(folder: Path, name: str, targets: Sequence[str]) -> dict[str, Any]:
    place(folder, name, targets)
    return {"files": [str(folder / f"{name}.json")], "refresh_interval": "1s"}


def place(folder: Path, name: str, targets: Sequence[str]) -> None:
    """Say where a job is; Prometheus follows. The replicas are in a namespace, as in Kubernetes."""
    groups = [{"targets": list(targets), "labels": {"namespace": "test"}}]
    made = folder / f"{name}.new"
    made.write_text(json.dumps(groups))
    made.rename(folder / f"{name}.json")


@contextmanager
def prometheus(
    folder: Path, http: httpx.AsyncClient, jobs: Mapping[str, Sequence[str]]
) -> Generator[Prometheus]:
    """Runs, scraping those targets by job, while the block does."""
    folder.mkdir()
    _configuration(folder, jobs)
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/-/ready", process, folder / "log")
            yield Prometheus(http, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=_STOP_S)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while not _answers(address):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, "it does not answer"
        time.sleep(0.1)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False
