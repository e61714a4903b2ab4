"""A network between a client and a server, which can lose all that is said without a word."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class MuteProxy:
    """Passes TCP on to a port of loopback. Connections of before `silent` fall silent with it."""

    target: int
    port: int = 0
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    connected_again: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["MuteProxy"]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            for writer in self._writers:
                writer.close()
            server.close()
            await server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        muted = self.silent if not self.silent.is_set() else asyncio.Event()
        if self.silent.is_set():
            self.connected_again.set()
        upstream = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, upstream[1]]
        await asyncio.gather(_pump(reader, upstream[1], muted), _pump(upstream[0], writer, muted))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event
) -> None:
    try:
        while heard := await reader.read(2**16):
            if not muted.is_set():
                writer.write(heard)
                await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
