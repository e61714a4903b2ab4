"""The server that the tests of this folder share, and what they measured on it."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.process.processes import free_port
from tests.vllm.server import CHECKPOINT, VllmServer


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    if not (CHECKPOINT / "config.json").is_file():
        pytest.fail(f"no checkpoint in {CHECKPOINT}: `make vllm-test` makes it")
    server = VllmServer(free_port(), tmp_path_factory.mktemp("vllm") / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def vllm_http(vllm_server: VllmServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the server itself, for tests that leave the gateway out."""
    timeout = aiohttp.ClientTimeout(total=500)
    async with aiohttp.ClientSession(vllm_server.base_url, timeout=timeout) as session:
        yield session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured with record_property."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name} = {value}")
