"""The smallest HTTP/1.1 client that measures honestly: one connection, one request at a time.

It is the load generator (it shares a core with the stub, so it must cost little) and the floor
in the comparison of client libraries. It has no pool, no TLS, no redirects and no retries.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httptools


@dataclass(frozen=True)
class Answer:
    """Status and body of one answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """A whole request, made once and sent many times."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    if body:
        lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawConnection(asyncio.Protocol):
    """One kept-alive connection; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_keep_alive():
            self.close()
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(Answer(self.parser.get_status_code(), b"".join(self.body)))

    async def send(self, request: bytes) -> Answer:
        """Send bytes from `request_bytes` and wait for the answer.

        Raises ConnectionError when the peer closes first.
        """
        if self.transport is None:
            raise ConnectionResetError("the connection is closed")
        self.answer = asyncio.get_running_loop().create_future()
        self.body = []
        self.transport.write(request)
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None


async def open_connection(port: int) -> RawConnection:
    """A connection to a server on this machine, for the caller to close."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(RawConnection, "127.0.0.1", port)
    return connection


@asynccontextmanager
async def connect(port: int) -> AsyncGenerator[RawConnection]:
    """A connection to a server on this machine, closed at the end."""
    connection = await open_connection(port)
    try:
        yield connection
    finally:
        connection.close()


async def get_json(port: int, path: str) -> Any:
    """GET a page on a connection of its own."""
    async with connect(port) as connection:
        return (await connection.send(request_bytes("GET", path))).json()
