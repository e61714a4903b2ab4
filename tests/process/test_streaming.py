"""Streams of a real `inwit serve`: what leaves when, who may go or stall, what is left then."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web

from inwit.policy.loader import PACKAGED
from tests.conftest import ASK
from tests.fakes_server import FakeServer
from tests.process.processes import Inwit, entries_of, inwit, make_key, run_inwit
from tests.streams import Reader, events_in

pytestmark = pytest.mark.process

STREAM = {**ASK, "stream": True}
MUCH, LONG = "Say much.", 3 * 2**21
TEXT = "The moon pulls the sea, and the sea comes and goes twice a day. " * 8
WAIT_S = 240.0  # a slow machine under load; nothing here hangs on how fast it is


@dataclass
class GatedServer(FakeServer):
    """Writes up to `gate` characters, and goes on once `opened` is set; what is whole waits too.

    Asked for much, it writes much.
    """

    text: str = TEXT
    gate: int = 100
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    at_gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body.get("stream") and not body.get("logprobs"):
            await self.opened.wait()
        return await super()._chat(request)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        much = body["messages"][-1]["content"] == MUCH
        text, piece = (self.text, self.piece) if not much else ("x" * LONG, LONG // 8)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for start in range(0, len(text), piece):
                if start >= self.gate and not (much and start + piece < len(text)):
                    self.at_gate.set()
                    await self.opened.wait()
                await response.write(_event({"delta": {"content": text[start : start + piece]}}))
            await response.write(_event({"delta": {}, "finish_reason": "stop"}))
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response


def _event(choice: dict[str, Any]) -> bytes:
    return f"data: {json.dumps({'choices': [{'index': 0, **choice}]})}\n\n".encode()


@dataclass
class Gateway:
    """A gateway that streams, and a client with a key for it."""

    process: Inwit
    client: httpx.AsyncClient

    async def metric(self, series: str) -> float:
        for line in (await self.client.get("/metrics")).text.splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def logged(self, word: str) -> dict[str, Any]:
        return json.loads(await asyncio.to_thread(self.process.wait_for, f'"{word}"'))

    async def entries(self, response_id: str) -> list[dict[str, Any]]:
        """What the ledger holds about a response, once it is sound as a whole."""
        verified = await asyncio.to_thread(run_inwit, "ledger verify", self.process.data_dir)
        assert verified.returncode == 0, verified.stdout
        return await asyncio.to_thread(entries_of, response_id, self.process.data_dir)


@asynccontextmanager
async def streaming(
    folder: Path, server: FakeServer, mode: str = "windowed", **settings: str
) -> AsyncGenerator[Gateway]:
    policies = folder / "policies"
    policies.mkdir()
    policy = yaml.safe_load((PACKAGED / "default.yaml").read_text())
    policy["stream"] = {"mode": mode, "window": 40, "overlap": 10}
    policy["classifier"]["sample_rate"] = 0
    del policy["redact"]
    (policies / "default.yaml").write_text(json.dumps(policy))
    shared = {
        "INWIT_EMBEDDED_REDIS": "1",
        "INWIT_MODEL_URL": server.base_url,
        "INWIT_POLICY_DIR": str(policies),
        **settings,
    }
    key = await asyncio.to_thread(make_key, folder)
    with inwit("serve", folder, shared) as process:
        line = await asyncio.to_thread(process.wait_for, '"serving"')
        headers = {"authorization": f"Bearer {key}"}
        address = json.loads(line)["address"]
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=WAIT_S) as client:
            yield Gateway(process, client)
            assert await asyncio.to_thread(process.stop, signal.SIGTERM) == 0


@asynccontextmanager
async def asked(gateway: Gateway) -> AsyncGenerator["Caller"]:
    async with gateway.client.stream("POST", "/v1/respond", json=STREAM) as answer:
        yield Caller(answer, answer.aiter_text())


@dataclass
class Caller:
    """Reads a stream as far as it likes."""

    answer: httpx.Response
    pieces: AsyncIterator[str]
    raw: str = ""

    async def until(self, seen: Callable[[str], bool]) -> None:
        while not seen(self.raw):
            self.raw += await anext(self.pieces)

    async def to_the_end(self) -> Reader:
        async for piece in self.pieces:
            self.raw += piece
        return Reader().take(events_in(self.raw))

    async def first_text(self) -> None:
        await self.until(lambda raw: "event: delta" in raw)


@pytest.fixture
def server() -> GatedServer:
    return GatedServer()


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
async def test_text_leaves_while_the_model_still_writes(
    tmp_path: Path, server: GatedServer, mode: str
) -> None:
    async with (
        server.running(),
        streaming(tmp_path, server, mode, INWIT_HEARTBEAT_MS="50") as gateway,
        asked(gateway) as caller,
        asyncio.timeout(WAIT_S),
    ):
        # The model does not go on before the caller has this, so it came before the end.
        await caller.first_text()
        await caller.until(lambda raw: raw.count(": heartbeat\n\n") >= 2)
        assert "event: decision" not in caller.raw
        server.opened.set()
        reader = await caller.to_the_end()

    assert reader.text == TEXT
    assert reader.done is not None
    assert reader.decision is not None
    headers = caller.answer.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-inwit-response"] == reader.decision["id"]
    assert "content-length" not in headers


async def test_in_a_buffer_nothing_leaves_but_heartbeats(
    tmp_path: Path, server: GatedServer
) -> None:
    async with (
        server.running(),
        streaming(tmp_path, server, "buffer", INWIT_HEARTBEAT_MS="50") as gateway,
        asked(gateway) as caller,
        asyncio.timeout(WAIT_S),
    ):
        await caller.until(lambda raw: raw.count(": heartbeat\n\n") >= 3)
        assert caller.raw == ": heartbeat\n\n" * (len(caller.raw) // 13)
        server.opened.set()
        assert (await caller.to_the_end()).text == TEXT


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
async def test_a_caller_that_goes_half_way(tmp_path: Path, server: GatedServer, mode: str) -> None:
    async with (
        server.running(),
        streaming(tmp_path, server, mode) as gateway,
        asyncio.timeout(2 * WAIT_S),
    ):
        async with asked(gateway) as caller:
            await caller.first_text()
            name = caller.answer.headers["x-inwit-response"]

        await server.cancelled.wait()
        assert (await gateway.logged("cut_short"))["response"] == name
        accepted, *windows, cut = await gateway.entries(name)
        assert await gateway.metric("inwit_in_flight") == 0
        assert await gateway.metric('inwit_streams_total{end="caller_gone"}') == 1

    assert accepted["type"] == "accepted"
    assert [window["type"] for window in windows] == ["window"] * len(windows)
    assert (cut["type"], cut["reason"]) == ("cut", "caller_gone")
    released = cut["content"]["released"]["text"]
    assert TEXT.startswith(released)
    assert Reader().take(events_in(caller.raw.rpartition("\n\n")[0] + "\n\n")).text in released
    assert len(cut["rounds"]) == (1 if mode == "audit_only" else 0)


async def test_a_stream_finishes_at_shutdown(tmp_path: Path, server: GatedServer) -> None:
    async with (
        server.running(),
        streaming(tmp_path, server) as gateway,
        asked(gateway) as caller,
        asyncio.timeout(WAIT_S),
    ):
        await caller.first_text()
        stopping = asyncio.create_task(asyncio.to_thread(gateway.process.stop, signal.SIGTERM))
        await _draining(gateway.client)
        server.opened.set()

        reader = await caller.to_the_end()
        code = await stopping
        entries = await gateway.entries(caller.answer.headers["x-inwit-response"])

    assert code == 0
    assert reader.text == TEXT
    assert reader.done is not None
    assert entries[-1]["type"] == "decision"


async def _draining(client: httpx.AsyncClient) -> None:
    """Wait until new requests are refused."""
    while (await client.get("/readyz")).status_code != 503:
        pass


async def test_many_streams_at_once(tmp_path: Path, server: GatedServer) -> None:
    async with (
        server.running(),
        streaming(tmp_path, server) as gateway,
        asyncio.timeout(WAIT_S),
    ):

        async def one() -> tuple[str, Reader]:
            async with asked(gateway) as caller:
                await caller.first_text()
                started.release()
                reader = await caller.to_the_end()
                return caller.answer.headers["x-inwit-response"], reader

        started = asyncio.Semaphore(0)
        callers = [asyncio.create_task(one()) for _ in range(20)]
        for _ in callers:
            await started.acquire()  # each has text before any of them may end
        server.opened.set()
        ends = await asyncio.gather(*callers)
        done = await gateway.metric('inwit_streams_total{end="done"}')

    assert len({name for name, _ in ends}) == done == 20
    for name, reader in ends:
        assert reader.text == TEXT
        assert reader.decision is not None
        assert reader.decision["id"] == name
