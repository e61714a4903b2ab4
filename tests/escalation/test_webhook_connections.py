"""What a webhook is sent to: never an address inside, and only the one that was looked at."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from inwit.escalation.addresses import Lookup
from inwit.ledger.database import Database
from tests.escalation.receiver import Receiver
from tests.escalation.webhook_world import World, world_at
from tests.escalation.webhook_world import no_second_attempt as no_second_attempt

pytestmark = pytest.mark.usefixtures("no_second_attempt")


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[World]:
    async with Receiver().running() as receiver, world_at(database, receiver) as made:
        yield made


def lookup_of(*answers: Sequence[str]) -> tuple[list[str], Lookup]:
    """Gives one answer after the other; the last one for ever."""
    asked: list[str] = []

    async def lookup(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    return asked, lookup


@pytest.fixture
async def touched() -> AsyncGenerator[tuple[int, list[int]]]:
    """A port of loopback, and who connected to it."""
    connections: list[int] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], connections
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["10.0.0.7"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], []],
)
async def test_a_name_that_leads_inside_is_not_called(
    world: World, touched: tuple[int, list[int]], found: list[str]
) -> None:
    port, connections = touched
    await world.keys.set_callbacks(world.key_id, [f"hooks.example.com:{port}"])
    await world.settle(url=f"https://hooks.example.com:{port}/")
    asked, lookup = lookup_of(found)
    async with world.deliverer(lookup=lookup).running():
        (row,) = await world.until("pending")

    assert row.last_result == "address_refused"
    assert asked == ["hooks.example.com"]
    assert connections == []


@pytest.mark.parametrize("host", ["127.0.0.2", "10.0.0.7", "[::ffff:127.0.0.1]", "[fd00::1]"])
async def test_an_address_inside_is_not_called_even_where_it_is_allowed(
    world: World, host: str
) -> None:
    await world.keys.set_callbacks(world.key_id, [host])
    await world.settle(url=f"https://{host}/")
    asked, lookup = lookup_of(["8.8.8.8"])
    async with world.deliverer(lookup=lookup).running():
        (row,) = await world.until("pending")

    assert row.last_result == "address_refused"
    assert asked == []


async def test_a_name_that_changes_after_it_was_looked_at_changes_nothing(
    world: World, touched: tuple[int, list[int]]
) -> None:
    port, connections = touched
    await world.keys.set_callbacks(world.key_id, [f"hooks.example.com:{port}"])
    await world.settle(url=f"https://hooks.example.com:{port}/")
    # Of a block of the internet that is given to nobody.
    asked, lookup = lookup_of(["2e00::1"], ["127.0.0.1"])
    async with world.deliverer(lookup=lookup, timeout_s=0.5).running():
        (row,) = await world.until("pending")

    assert row.last_result in ("not_connected", "timeout")
    assert asked == ["hooks.example.com"]
    assert connections == []


async def test_what_is_connected_to_is_the_address_that_was_looked_at(world: World) -> None:
    port = world.receiver.port
    async with Receiver().running("127.0.0.2", port=port) as other:
        await world.settle(url=f"http://localhost:{port}/")
        asked, lookup = lookup_of(["127.0.0.2"], ["127.0.0.1"])
        async with world.deliverer(lookup=lookup).running():
            await world.until("delivered")

    assert asked == ["localhost"]
    assert len(other.got) == 1
    assert world.receiver.got == []
    assert other.got[0].headers["host"] == f"localhost:{port}"


async def test_a_name_that_does_not_resolve(world: World) -> None:
    async def lookup(name: str, port: int) -> Sequence[str]:
        raise OSError(f"nobody knows {name}")

    await world.settle(url=f"http://localhost:{world.receiver.port}/")
    async with world.deliverer(lookup=lookup).running():
        (row,) = await world.until("pending")

    assert row.last_result == "not_resolved"


async def test_proxies_of_the_environment_are_not_used(
    world: World, touched: tuple[int, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, connections = touched
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    await world.settle()
    async with world.deliverer().running():
        await world.until("delivered")

    assert connections == []


def certificate(folder: Path, name: str) -> Path:
    """A certificate for a name, with its key, that signs itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    key, made = folder / "key.pem", folder / "certificate.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run(
        [openssl, "req", "-x509", *kind, *subject, *files], check=True, capture_output=True
    )
    both = folder / "both.pem"
    both.write_text(made.read_text() + key.read_text())
    return both


@pytest.mark.parametrize(
    ("name", "trusted", "result"),
    [
        ("localhost", True, "200"),
        ("other.example", True, "tls_failed"),
        ("localhost", False, "tls_failed"),
    ],
)
async def test_the_certificate_must_be_for_the_name_and_trusted(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    trusted: bool,
    result: str,
) -> None:
    both = await asyncio.to_thread(certificate, tmp_path, name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(both)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with (
        Receiver().running(tls=tls) as receiver,
        world_at(database, receiver) as world,
    ):
        await world.settle(url=f"https://localhost:{receiver.port}/")
        _, lookup = lookup_of(["127.0.0.1"])
        async with world.deliverer(lookup=lookup).running():
            (row,) = await world.until("delivered", "pending")

    assert row.last_result == result
    assert len(receiver.got) == (result == "200")
