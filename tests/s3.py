"""An S3 server on loopback (moto's) for what writes to buckets. `make process-test` installs it."""

import subprocess
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.process.processes import free_port

BUCKET = "kept"
_SERVER = Path(__file__).parents[1] / ".venv-moto" / "bin" / "moto_server"
_START_S = 60.0


@pytest.fixture(scope="session")
def s3() -> Generator[Mapping[str, str]]:
    """What finds it, as variables of the environment; it has the bucket BUCKET."""
    if not _SERVER.is_file():
        pytest.skip("`make process-test` installs an S3 server")
    address = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [_SERVER, "-p", address.rpartition(":")[2]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(address)
        yield {
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.terminate()
        process.wait(timeout=20)


def _make_bucket(address: str) -> None:
    ends = time.monotonic() + _START_S
    while True:
        try:
            httpx.put(f"{address}/{BUCKET}", timeout=10).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)  # another process, seen only by asking
        else:
            return
