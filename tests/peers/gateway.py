"""A real gateway for other people's clients, in front of a model server that echoes."""

import asyncio
import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes_server import Behaviour, FakeServer
from tests.process.processes import START_S, Inwit, inwit, run_inwit

HARM = "HARM"
BREAK = "BREAK"
TOO_LONG = "TOO LONG"
# Between two letters of a stream. A hundred of what is long outlast a commit of the ledger, also on
# a disk that takes seconds for it.
PACE_S, SLOW_S, LONG = 0.005, 0.06, 60
TOOL = "weather"
FALLBACK = "I can't help with that."

_POLICY = """\
name: {name}
version: "1"
categories: {{ hate: {{ action: {on_harm} }}, deception: {{ action: {on_harm} }} }}
thresholds: {{ lower: 0.5, upper: 0.8, uncalibrated: {{ lower: 0.5, upper: 0.8 }} }}
on_harm: {on_harm}
conscience:
  framing: same_thread
  question: Is the assistant's last answer harmful? Answer Yes or No.
  label_mass_floor: 0.15
classifier: {{ use: [embedded], thresholds: {{ lower: 1, upper: 1 }}, ask: [], sample_rate: 0 }}
tools: {{ weather: }}
stream: {stream}
fallback_text: I can't help with that.
"""


def policy_text(name: str, *, on_harm: str = "block", stream: str = "{ mode: buffer }") -> str:
    """A policy that flags exactly the answers in which HARM stands, and permits one tool."""
    return _POLICY.format(name=name, on_harm=on_harm, stream=stream)


POLICIES = {
    "plain": policy_text("plain"),
    "audited": policy_text("audited", stream="{ mode: audit_only }"),
    "held": policy_text("held", on_harm="escalate"),
}


@dataclass
class EchoServer(FakeServer):
    """A model that says what the last user turn says, and whose conscience knows the word HARM.

    Where tools are offered it calls the weather, and after a tool's turn it repeats that. A stream
    ends at the word BREAK, with the connection. What says TOO LONG is too long for it, and the
    parameter `flavour` is one that it does not take.
    """

    pace_s: float = PACE_S
    piece: int = 1
    refused_fields: frozenset[str] = frozenset({"flavour"})

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        self._listen(body)
        if TOO_LONG in self.text:
            return super()._answer("too_long", review=False)
        if BREAK not in self.text:
            return await super()._stream(request, body)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for letter in self.text.partition(BREAK)[0]:
            chunk = {"choices": [{"index": 0, "delta": {"content": letter}}]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await asyncio.sleep(self.pace_s)
        if request.transport is not None:
            request.transport.abort()
        return response

    def _answer(self, behaviour: Behaviour, review: bool) -> web.Response:
        self._listen(self.bodies[-1])
        return super()._answer("too_long" if TOO_LONG in self.text else behaviour, review)

    def _listen(self, body: dict[str, Any]) -> None:
        turns = body["messages"]
        written = [turn["content"] for turn in turns if turn["role"] == "assistant"]
        harmful = any(HARM in text for text in written[-1:])
        self.yes, self.no = (0.9, 0.05) if harmful else (0.05, 0.9)
        said = [turn["content"] for turn in turns if turn["role"] in ("user", "tool")]
        self.text = said[-1]
        self.pace_s = SLOW_S if len(self.text) > LONG else PACE_S
        calls = bool(body.get("tools")) and turns[-1]["role"] == "user"
        function = {"name": TOOL, "arguments": '{"city": "Paris"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        self.tool_calls = [call] if calls else []


@dataclass(frozen=True)
class PeerGateway:
    """Where the gateway answers, and a key for all of its policies (the first is its default).

    `limited_key` may ask once a minute.
    """

    address: str
    key: str
    limited_key: str
    process: Inwit
    model: EchoServer

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's takes as its base address."""
        return f"{self.address}/v1"


@contextmanager
def echoing() -> Generator[EchoServer]:
    """An echoing model server on a loop and a thread of its own, so that scripts can be waited
    for while it serves them."""
    server, loop = EchoServer(), asyncio.new_event_loop()
    ready, over = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with server.running():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(timeout=START_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=START_S)
        loop.close()


@contextmanager
def peer_gateway(
    folder: Path,
    model: EchoServer,
    policies: Mapping[str, str] = POLICIES,
    settings: Mapping[str, str] | None = None,
) -> Generator[PeerGateway]:
    """`inwit serve` with its data and policies in `folder`, and a key for all the policies."""
    files, data_dir = folder / "policies", folder / "data"
    files.mkdir()
    for name, text in policies.items():
        (files / f"{name}.yaml").write_text(text)
    wanted = {
        "INWIT_POLICY_DIR": str(files),
        "INWIT_MODEL_URL": model.base_url,
        "INWIT_EMBEDDED_REDIS": "1",
        **(settings or {}),
    }
    key, limited = (_key(data_dir, policies, wanted) for _ in range(2))
    once = {"keys": {limited.split("_")[1]: {"requests": 1}}}
    with inwit("serve", data_dir, {"INWIT_RATE_LIMITS": json.dumps(once), **wanted}) as process:
        address = json.loads(process.wait_for('"serving"'))["address"]
        yield PeerGateway(address, key, limited, process, model)


def _key(data_dir: Path, policies: Mapping[str, str], settings: Mapping[str, str]) -> str:
    names = " ".join(f"--policy {name}" for name in policies)
    made = run_inwit(f"keys create --name peer --tenant acme {names} --json", data_dir, settings)
    return str(json.loads(made.stdout)["key"])
