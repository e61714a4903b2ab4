"""What open streams cost the gateway in memory, by the policy's stream mode.

    python -m load_tests.streams [--streams 200 --characters 3200]

A model server in this process writes `--characters` to each of `--streams` callers and then waits,
with all of them open; the gateway's resident memory is read before, while, and after. The second
figure is with callers that read nothing: what they do not take waits in the gateway and the
kernel, and the rest of the answer is written all the same.
"""

import argparse
import asyncio
import json
import math
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from load_tests.first_byte import MODES, write_policies
from load_tests.gateway_process import Gateway, running_gateway
from load_tests.processes import machine_line, state_of
from load_tests.stub_model import MODEL

PIECE = "The moon pulls the sea and the sea comes and goes twice a day. "
OPEN_WITHIN_S = 120.0


class WaitingModel:
    """Writes so much to each caller, says when all of them have it, and waits to be let go."""

    def __init__(self, streams: int, characters: int) -> None:
        self._streams = streams
        self._pieces = math.ceil(characters / len(PIECE))
        self._written = 0
        self.all_written = asyncio.Event()
        self.go_on = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[int]:
        """Serve while the block runs; the value is the port."""
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        try:
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL, "max_model_len": 8192}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body.get("logprobs"):
            return web.json_response(_review())
        if not body.get("stream"):
            await self._wait()
            text = PIECE * self._pieces
            answer = {"message": {"content": text}, "finish_reason": "stop"}
            return web.json_response({"choices": [answer]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(self._pieces):
            await response.write(_chunk({"content": PIECE}, None))
        await self._wait()
        await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response

    async def _wait(self) -> None:
        self._written += 1
        if self._written == self._streams:
            self.all_written.set()
        await self.go_on.wait()


def _chunk(delta: dict[str, Any], finish_reason: str | None) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _review() -> dict[str, Any]:
    top = [{"token": token, "logprob": math.log(p)} for token, p in (("No", 0.9), ("Yes", 0.05))]
    logprobs = {"content": [{"token": "No", "logprob": -0.1, "top_logprobs": top}]}
    choice = {"message": {"content": "No"}, "finish_reason": "length", "logprobs": logprobs}
    return {"choices": [choice]}


async def open_stream(gateway: Gateway, mode: str, *, reads: bool) -> asyncio.Task[int]:
    """Ask for a stream; the task ends with the bytes that came, once it is at its end."""
    connection = socket.socket()
    if not reads:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=2**12)
    question = {"role": "user", "content": "How do tides work?"}
    body = json.dumps({"messages": [question], "stream": True, "policy": mode}).encode()
    head = (
        f"POST /v1/respond HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return asyncio.create_task(_read(reader, writer, reads))


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reads: bool) -> int:
    count = 0
    try:
        if not reads:
            await asyncio.Event().wait()
        while chunk := await reader.read(2**16):
            count += len(chunk)
        return count
    finally:
        writer.close()


async def measure(given: argparse.Namespace, mode: str, *, reads: bool) -> str:
    """One row of the table, from a gateway of its own."""
    model = WaitingModel(given.streams, given.characters)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(model.running())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="inwit-load-")))
        write_policies(folder)
        settings = {"INWIT_POLICY_DIR": str(folder), "INWIT_MAX_IN_FLIGHT": str(given.streams)}
        held = stack.enter_context(ExitStack())
        starting = running_gateway(None, port, None, settings=settings, policies=tuple(MODES))
        gateway = await asyncio.to_thread(held.enter_context, starting)
        before = resident_kib(gateway.pid)
        opening = [open_stream(gateway, mode, reads=reads) for _ in range(given.streams)]
        streams = await asyncio.gather(*opening)
        async with asyncio.timeout(OPEN_WITHIN_S):
            await model.all_written.wait()
        await asyncio.sleep(2)  # for the windows of the last ones; a figure, not a test
        during = resident_kib(gateway.pid)
        model.go_on.set()
        if reads:
            await asyncio.gather(*streams)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        after = resident_kib(gateway.pid)
        await asyncio.to_thread(held.close)
    each = (during - before) / given.streams
    readers = "read" if reads else "read nothing"
    return (
        f"| {mode} | {readers} | {before >> 10} | {during >> 10} | {after >> 10} | {each:.0f} KiB |"
    )


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    state = state_of(pid)
    if state is None:
        raise SystemExit("the gateway ended")
    return round(state.usage.resident_mb * 1024)


async def run(given: argparse.Namespace) -> None:
    """Measure every mode."""
    print(machine_line())
    print("| mode | callers | MiB before | MiB with all open | MiB after | each stream |")
    print("|---|---|---|---|---|---|")
    for mode in MODES:
        for reads in (True, False):
            print(await measure(given, mode, reads=reads), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.streams", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--characters", type=int, default=3200, help="about 800 tokens")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
