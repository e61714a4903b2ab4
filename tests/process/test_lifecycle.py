"""How a gateway starts and ends, as real processes: probes, drain, cuts, signals."""

import asyncio
import json
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.processes import STOP_S, free_port, inwit, run_inwit
from tests.process.test_serve import serving
from tests.process.test_streaming import STREAM, WAIT_S, GatedServer, Gateway, asked, streaming

pytestmark = pytest.mark.process

CALLERS = 24
CHAT = {"model": "default", **ASK}


@dataclass
class Seen:
    """What callers saw: how each request ended, and which responses they have whole."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    ids: set[str] = field(default_factory=set[str])
    cut: list[str] = field(default_factory=list[str])
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, kind: str, response_id: str | None = None) -> None:
        self.kinds[kind] += 1
        if response_id is not None:
            self.ids.add(response_id)
        async with self.changed:
            self.changed.notify_all()

    async def until(self, **least: int) -> None:
        async with self.changed:
            await self.changed.wait_for(
                lambda: all(self.kinds[kind] >= count for kind, count in least.items())
            )


async def test_no_request_is_lost_or_cut_when_told_to_stop(tmp_path: Path) -> None:
    """Callers that never let go: each request is answered whole, or refused before it began."""
    server, seen, strangers = GatedServer(), Seen(), Seen()
    server.opened.set()
    async with (
        asyncio.timeout(2 * WAIT_S),
        server.running(),
        streaming(tmp_path, server, INWIT_SHUTDOWN_S="120") as gateway,
    ):
        callers = [asyncio.create_task(_keep_calling(gateway, n, seen)) for n in range(CALLERS)]
        await seen.until(json=CALLERS, stream=CALLERS)
        server.opened.clear()
        server.at_gate.clear()
        await server.at_gate.wait()  # from here on some are in the middle of their answer

        gateway.process.process.send_signal(signal.SIGTERM)
        draining = await gateway.logged("draining")
        await asyncio.gather(*(_json(gateway.client, strangers) for _ in range(CALLERS)))
        server.opened.set()
        await asyncio.gather(*callers)
        drained = await gateway.logged("drained")
        await gateway.logged("stopped")
        checked = await asyncio.to_thread(run_inwit, "ledger verify", tmp_path)

    assert gateway.process.process.returncode == 0
    assert not seen.cut
    assert strangers.kinds == {"refused": CALLERS}
    assert draining["open"] > 0
    assert (drained["found"], drained["cut"]) == (draining["open"], 0)
    assert _recorded(tmp_path) == seen.ids
    assert ", 0 breaks" in checked.stdout


async def _keep_calling(gateway: Gateway, number: int, seen: Seen) -> None:
    """One caller on a connection of its own, one request after another until the port is closed."""
    call, client = (_stream if number % 2 else _json), gateway.client
    async with httpx.AsyncClient(
        base_url=client.base_url, headers=client.headers, timeout=WAIT_S
    ) as own:
        while True:
            try:
                await call(own, seen)
            except httpx.ConnectError:
                return
            except httpx.HTTPError as error:
                seen.cut.append(repr(error))


async def _json(client: httpx.AsyncClient, seen: Seen) -> None:
    answer = await client.post("/v1/respond", json=ASK)
    if answer.status_code == 503:
        await _refused(answer, seen)
    else:
        await seen.add("json", answer.json()["id"])


async def _stream(client: httpx.AsyncClient, seen: Seen) -> None:
    async with client.stream("POST", "/v1/respond", json=STREAM) as answer:
        body = (await answer.aread()).decode()
    if answer.status_code == 503:
        await _refused(answer, seen)
    elif "event: done" in body:
        await seen.add("stream", answer.headers["x-inwit-response"])
    else:
        seen.cut.append(body[-200:])


async def _refused(answer: httpx.Response, seen: Seen) -> None:
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "shutting down" in answer.json()["detail"]
    await seen.add("refused")


def _recorded(data_dir: Path) -> set[str]:
    with closing(sqlite3.connect(data_dir / "ledger.sqlite3")) as ledger:
        query = "SELECT DISTINCT response_id FROM entries WHERE response_id <> ''"
        return {row[0] for row in ledger.execute(query)}


async def test_what_is_told_while_it_drains(tmp_path: Path) -> None:
    server = GatedServer()
    async with (
        server.running(),
        streaming(tmp_path, server) as gateway,
        asked(gateway) as caller,
        _idle_connection(gateway.client.base_url) as idle,
    ):
        await caller.first_text()
        gateway.process.process.send_signal(signal.SIGTERM)
        await gateway.logged("draining")
        ready = await gateway.client.get("/readyz")
        started = await gateway.client.get("/startupz")
        alive = await gateway.client.get("/healthz")
        refused = await gateway.client.post("/v1/chat/completions", json=CHAT)
        large = await _large(gateway.client)
        server.opened.set()
        reader = await caller.to_the_end()
        code = await asyncio.to_thread(gateway.process.process.wait, STOP_S)
        left = await idle.read()

    assert (ready.status_code, started.status_code, alive.status_code) == (503, 200, 200)
    assert refused.status_code == 503
    assert refused.json()["error"]["type"] == "server_error"
    assert refused.headers["connection"] == "close"
    assert large.status_code == 503
    assert reader.done is not None
    assert left == b""  # closed in order, not reset
    assert code == 0


async def _large(client: httpx.AsyncClient) -> httpx.Response:
    """The answer to a request that takes a while to arrive.

    A gateway that is shutting down waits 2 s for it: one that stands still just then may hang up.
    """
    for _ in range(3):
        with suppress(httpx.WriteError, httpx.ReadError):
            return await client.post("/v1/respond", content=b" " * 900_000)
    raise AssertionError("it hangs up")


async def test_an_idle_connection_is_kept_until_a_stop_which_does_not_wait_for_it(
    tmp_path: Path,
) -> None:
    async with (
        FakeServer().running() as server,
        serving(tmp_path, server) as (gateway, client),
        _idle_connection(client.base_url) as idle,
    ):
        with pytest.raises(TimeoutError):  # uvicorn's own default is 5 s
            await asyncio.wait_for(idle.read(), 7)
        code = await asyncio.to_thread(gateway.stop, signal.SIGTERM)
        left = await asyncio.wait_for(idle.read(), STOP_S)
        line = await asyncio.to_thread(gateway.wait_for, '"drained"')

    assert (code, left) == (0, b"")
    assert json.loads(line)["seconds"] < 45  # by itself it would be open for a minute more


@asynccontextmanager
async def _idle_connection(url: httpx.URL) -> AsyncGenerator[asyncio.StreamReader]:
    """A connection that is kept alive after an answer, and brings nothing more."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_outlasts_the_drain_is_told_so(tmp_path: Path) -> None:
    server = GatedServer()
    async with (
        server.running(),
        streaming(tmp_path, server, INWIT_SHUTDOWN_S="1") as gateway,
        asked(gateway) as caller,
    ):
        await caller.first_text()
        whole = asyncio.create_task(gateway.client.post("/v1/respond", json=ASK))
        await _until_metric(gateway, "inwit_in_flight", 2)

        gateway.process.process.send_signal(signal.SIGTERM)
        answer = await whole
        reader = await caller.to_the_end()
        code = await asyncio.to_thread(gateway.process.process.wait, STOP_S)
        cut = await gateway.logged("cut")
        await asyncio.wait_for(server.cancelled.wait(), WAIT_S)

    assert code == 0
    assert cut["open"] == 2
    assert answer.status_code == 503
    assert answer.headers["connection"] == "close"
    assert "Nothing was released" in answer.json()["detail"]
    assert reader.error is not None
    assert reader.error["status"] == 503


async def _until_metric(gateway: Gateway, series: str, value: float) -> None:
    async with asyncio.timeout(WAIT_S):
        while await gateway.metric(series) != value:
            pass


async def test_a_second_signal_ends_what_is_open_at_once(tmp_path: Path) -> None:
    server = GatedServer()
    async with (
        server.running(),
        streaming(tmp_path, server, INWIT_SHUTDOWN_S="600") as gateway,
        asked(gateway) as caller,
    ):
        await caller.first_text()
        gateway.process.process.send_signal(signal.SIGINT)
        await gateway.logged("draining")
        gateway.process.process.send_signal(signal.SIGINT)
        reader = await caller.to_the_end()
        code = await asyncio.to_thread(gateway.process.process.wait, STOP_S)

    assert reader.error is not None
    assert code == 0


async def test_what_only_waits_does_not_hold_the_drain(tmp_path: Path) -> None:
    """Who follows a stream in progress comes again elsewhere (tests/api has the long poll)."""
    server = GatedServer()
    async with server.running(), streaming(tmp_path, server) as gateway, asked(gateway) as caller:
        await caller.first_text()
        place = f"/v1/responses/{caller.answer.headers['x-inwit-response']}/events"
        async with gateway.client.stream("GET", place) as followed:
            pieces = followed.aiter_text()
            told = await anext(pieces)
            gateway.process.process.send_signal(signal.SIGTERM)
            told += "".join([piece async for piece in pieces])  # it ends, and the stream goes on
        server.opened.set()
        reader = await caller.to_the_end()

    assert "event: delta" in told
    assert "event: error" not in told
    assert "event: done" not in told
    assert reader.done is not None


async def test_an_operate_port(tmp_path: Path) -> None:
    operate = f"http://127.0.0.1:{(port := free_port())}"
    async with (
        FakeServer(down=True).running() as server,
        serving(tmp_path, server, INWIT_OPERATE_PORT=str(port)) as (_gateway, client),
        httpx.AsyncClient(base_url=operate, timeout=WAIT_S) as probe,
    ):
        before = await _probes(probe)
        server.down = False
        await _until_started(probe)
        up = await _probes(probe)
        server.down = True
        await _until(probe, "degraded")
        lost = await _probes(probe)
        not_here = [(await client.get(path)).status_code for path in before]
        metrics = (await probe.get("/metrics")).text

    assert before == {"/healthz": 200, "/startupz": 503, "/readyz": 503}
    assert up == lost == {"/healthz": 200, "/startupz": 200, "/readyz": 200}
    assert set(not_here) == {404}
    assert "inwit_dependency_up" in metrics


async def _probes(client: httpx.AsyncClient) -> dict[str, int]:
    paths = ("/healthz", "/startupz", "/readyz")
    return {path: (await client.get(path)).status_code for path in paths}


async def _until_started(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_S):
        while (await client.get("/startupz")).status_code != 200:
            pass


async def _until(client: httpx.AsyncClient, status: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while (await client.get("/readyz")).json()["status"] != status:
            pass


async def test_a_signal_during_the_start(tmp_path: Path) -> None:
    """The operate port answers before the gateway is open, and says so; a signal then ends it."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        redis = f"redis://127.0.0.1:{silent.getsockname()[1]}/0?socket_timeout=600"
        settings = {
            "INWIT_REDIS_URL": redis,
            "INWIT_EMBEDDED_MODEL": "1",  # with one the first look takes a minute where it has to
            "INWIT_OPERATE_PORT": str(port),
        }
        with inwit("serve", tmp_path, settings) as process:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S
            ) as probe:
                await _until_listening(probe)
                found = await _probes(probe)
                code = await asyncio.to_thread(process.stop, signal.SIGTERM)
            with pytest.raises(AssertionError):  # there is no such line: it reads to the end
                process.wait_for("\0")

    assert found == {"/healthz": 200, "/startupz": 503, "/readyz": 503}
    assert code == 0
    assert any('"stopped"' in line for line in process.printed)
    assert not any('"serving"' in line for line in process.printed)


async def _until_listening(probe: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await probe.get("/healthz")
            except httpx.ConnectError:
                await asyncio.sleep(0)
            else:
                return


async def test_metrics_are_openmetrics_for_who_asks(tmp_path: Path) -> None:
    async with FakeServer().running() as server, serving(tmp_path, server) as (_gateway, client):
        classic = await client.get("/metrics")
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        asked_for = await client.get("/metrics", headers={"accept": accept})

    assert classic.headers["content-type"].startswith("text/plain")
    assert not classic.text.endswith("# EOF\n")
    assert asked_for.headers["content-type"].startswith("application/openmetrics-text")
    assert asked_for.text.endswith("# EOF\n")
