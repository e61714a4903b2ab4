"""A server that answers with the bytes that it is given, cut where it is told."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.types import Candidate, Generation, Message, Tool, Usage

TURNS = 6  # of the loop that server and client share: so long a piece needs to be read alone
GENERATION = Generation((Message("user", "Hi"),), "m", 64, "acme", tools=(Tool("look_up"),))
HI = Candidate("Hi", "m")
SECRET = "a word that the model wrote"

Json = dict[str, Any]


@dataclass
class Pieces:
    """A draft that keeps what it is told."""

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, text: str, reasoning: str, usage: Usage | None) -> None:
        self.text += text
        self.reasoning += reasoning
        self.usage = usage or self.usage
        self.came.set()


@dataclass
class RawServer:
    """Answers every request with `pieces`, each read by itself, and then `ends` as it is told."""

    pieces: Sequence[bytes] = ()
    content_type: str = "text/event-stream; charset=utf-8"
    ends: Literal["well", "cut", "hang", "endless"] = "well"
    base_url: str = ""
    connections: int = 0
    requests: list[Json] = field(default_factory=list[Json])
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["RawServer"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}/v1"
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self.serving)  # each ends with its connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                self.requests.append(json.loads(await reader.readexactly(int(length))))
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in self.pieces:
            await _send(writer, piece)
        match self.ends:
            case "well":
                writer.write(b"0\r\n\r\n")
            case "cut":
                writer.transport.abort()
            case "hang":
                await reader.readexactly(1)
            case "endless":
                while not writer.is_closing():
                    await _send(writer, b": still here\n\n")


async def _send(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    await writer.drain()
    for _ in range(TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(server: RawServer) -> AsyncGenerator[OpenAICompatible]:
    async with server.running():
        client = OpenAICompatible(server.base_url)
        await client.open()
        try:
            yield client
        finally:
            await client.close()


async def streamed(server: RawServer) -> tuple[Candidate, Pieces]:
    draft = Pieces()
    async with connected(server) as client:
        return await client.generate(GENERATION, draft), draft


def event(data: Json | str, start: str = "data: ", end: str = "\n\n") -> bytes:
    line = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{start}{line}{end}".encode()


def chunk(delta: Json | None = None, finish: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **fields}


def call(index: int, **function: str) -> Json:
    head = {"id": function.pop("id")} if "id" in function else {}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


DONE = event("[DONE]")
STOP = event(chunk(finish="stop"))


def said(*texts: str) -> list[bytes]:
    return [event(chunk({"content": text})) for text in texts]


@dataclass(frozen=True)
class Answer:
    """What a model said, and how a server cuts it into events."""

    text: str | None
    refusal: str | None
    reasoning: str
    calls: tuple[Json, ...]
    finish: str | None
    role_chunk: bool
    cuts: tuple[int, ...]
    order: tuple[int, ...]
    ascii: bool
    start: str
    end: str
    usage: Literal["none", "last", "continuous"]
    done: bool

    def whole(self) -> Json:
        message = {
            "role": "assistant",
            "content": self.text,
            "refusal": self.refusal,
            "reasoning": self.reasoning or None,
            "tool_calls": list(self.calls),
        }
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        usage = None if self.usage == "none" else {"prompt_tokens": 5, "completion_tokens": 6}
        return {"choices": [choice], "usage": usage}

    def stream(self) -> bytes:
        deltas = [
            *({"reasoning": part} for part in self._cut(self.reasoning)),
            *({"content": part} for part in self._cut(self.text)),
            *({"refusal": part} for part in self._cut(self.refusal)),
            *self._call_deltas(),
        ]
        if self.role_chunk:
            deltas.insert(0, {"role": "assistant", "content": ""})
        running = {"prompt_tokens": 5, "completion_tokens": 1}
        usage: Json = {"usage": running} if self.usage == "continuous" else {}
        chunks = [chunk(delta, **usage) for delta in deltas] + [chunk(finish=self.finish)]
        if self.usage != "none":
            chunks.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}})
        lines = [json.dumps(each, ensure_ascii=self.ascii) for each in chunks]
        lines += ["[DONE]"] if self.done else []
        return b"".join(event(line, self.start, self.end) for line in lines)

    def _cut(self, text: str | None) -> list[str]:
        if text is None or not text:
            return [] if text is None else [text]
        edges = sorted({0, len(text), *(cut % len(text) for cut in self.cuts)})
        return [text[a:b] for a, b in pairwise(edges)]

    def _call_deltas(self) -> list[Json]:
        """The pieces of every call, each call's in their order, the calls between each other."""
        waiting: list[list[Json]] = []
        for index, each in enumerate(self.calls):
            function = each["function"]
            first = call(index, id=each["id"], name=function["name"])
            rest = [call(index, arguments=part) for part in self._cut(function["arguments"])]
            waiting.append([first, *rest])
        deltas: list[Json] = []
        for turn in (*self.order, *range(len(waiting) * 40)):
            left = [pieces for pieces in waiting if pieces]
            if left:
                deltas.append(left[turn % len(left)].pop(0))
        return deltas
