"""A gateway on loopback that answers as it is told, request by request."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

ID = "resp_5f0c"
REVIEW: dict[str, Any] = {
    "judge": "judged",
    "risk": 0.12,
    "label_mass": 0.97,
    "calibrated": True,
    "fault": None,
    "framing": "same_thread",
    "classifier": {
        "name": "embedded",
        "status": "judged",
        "risk": 0.08,
        "categories": [],
        "fault": None,
        "asked": ["doubt"],
    },
    "input": {"flagged": False, "status": "judged", "risk": 0.01},
    "categories": ["privacy"],
    "explanation": "named",
    "reasons": ["risk_below_lower_threshold"],
    "rewrites": [],
    "masked": {"email": 2},
    "enforcement": "windowed",
}
TOKENS = {"prompt_tokens": 42, "completion_tokens": 18, "cached_tokens": 32}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
DONE: dict[str, Any] = {
    "finish_reason": "stop",
    "usage": {"generation": TOKENS, "review": TOKENS},
    "timings_ms": {"generate": 812.4, "total": 845.1},
    "receipt": {"entry": "ent_1", "sequence": 17, "hash": "ab" * 32, "previous": "cd" * 32},
}
TEXT = "Ebbe & Flut: 潮の満ち引き 🌊."
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EVENT_STREAM = {"content-type": "text/event-stream", "x-inwit-response": ID}


def decided(status: str = "released", action: str = "allow", **changes: Any) -> dict[str, Any]:
    """What the event `decision` says."""
    decision: dict[str, Any] = {
        "id": ID,
        "status": status,
        "action": action,
        "model": "my-model",
        "review": REVIEW,
        "context": [],
        "policy": {"name": "default", "version": "1", "digest": "9f" * 32},
        "escalation": None,
    }
    return decision | changes


def answer(text: str = TEXT, *, calls: Iterable[Any] = (), **changes: Any) -> dict[str, Any]:
    """A JSON answer: decision and done in one."""
    done = {name: value for name, value in DONE.items() if name != "finish_reason"}
    output: dict[str, Any] = {
        "role": "assistant",
        "content": text,
        "tool_calls": list(calls),
        "finish_reason": "stop",
    }
    return {**decided(), **done, "output": output} | changes


def held() -> dict[str, Any]:
    """A response that waits for a person."""
    escalation = {
        "id": "esc_1",
        "state": "pending",
        "poll": f"/v1/responses/{ID}",
        "until": "2030-01-01T00:00:00Z",
    }
    changes: dict[str, Any] = {"status": "held", "action": "escalate", "escalation": escalation}
    return answer("") | changes


def event(name: str, data: Any, event_id: str = "", end: str = "\n") -> bytes:
    """A server-sent event; `event_id` is what follows the response's id."""
    lines = [f"event: {name}", f"data: {json.dumps(data, ensure_ascii=False)}"]
    if event_id:
        lines.append(f"id: {ID}/{event_id}")
    return (end.join(lines) + end + end).encode()


def deltas(*texts: str) -> list[bytes]:
    """Deltas before the decision, with the ids that the contract gives them."""
    sent, events = 0, list[bytes]()
    for text in texts:
        sent += len(text)
        events.append(event("delta", {"content": text}, str(sent)))
    return events


DECISION = event("decision", decided(), "decision")
END = event("done", DONE, "done")


def replies(body: Any, status: int = 200, **headers: str) -> Handler:
    """A JSON answer; underscores in the names of headers are dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=named)

    return handle


def refuses(status: int, kind: str = "overloaded", detail: str = "No.", **headers: str) -> Handler:
    """A problem."""
    problem = {"type": f"urn:inwit:problem:{kind}", "title": "T", "status": status}
    return replies(problem | {"detail": detail, "request_id": "req_theirs"}, status, **headers)


def sends(body: bytes, status: int = 200, **headers: str) -> Handler:
    """Any bytes at all."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=named)

    return handle


def streams(
    *chunks: bytes,
    then: Literal["end", "break", "hang", "beat"] = "end",
    response_id: str = ID,
) -> Handler:
    """A stream of these chunks, each a piece of its own on the wire."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENT_STREAM | {"x-inwit-response": response_id})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        while then == "beat":
            await response.write(b": heartbeat\n\n")
            await asyncio.sleep(0.01)
        if then == "hang":
            await asyncio.Event().wait()
        if then == "break":
            hang_up(request)
        return response

    return handle


async def breaks(request: web.Request) -> web.StreamResponse:
    """Hangs up on a request that it has read."""
    hang_up(request)
    return web.Response()


async def hangs(_request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def hang_up(request: web.Request) -> None:
    """What was written reaches the caller, then the connection is gone."""
    if request.transport is not None:
        request.transport.close()


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeGateway:
    """Answers each request by the next of `script`; `gone` is set once a caller hung up."""

    script: list[Handler] = field(default_factory=list[Handler])
    seen: list[Seen] = field(default_factory=list[Seen])
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["FakeGateway"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path_qs, headers, await request.read()))
        try:
            return await self.script.pop(0)(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.gone.set()
            raise
