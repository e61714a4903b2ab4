"""The HTTP clients under comparison, each opened as one function that posts a JSON body.

aiohttp and httpx are in the project's own environment; the others are compared where installed.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import aiohttp
from yarl import URL

from load_tests.raw_client import RawConnection, open_connection, request_bytes

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}

Post = Callable[[bytes], Awaitable[bytes]]
Opener = Callable[[int], AbstractAsyncContextManager[Post]]


def checked(status: int, body: bytes) -> bytes:
    """The body of a good answer."""
    if status != 200:
        raise RuntimeError(f"status {status}: {body[:200]!r}")
    return body


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}{CHAT}"


@asynccontextmanager
async def open_httpx(port: int, package: str = "httpx") -> AsyncGenerator[Post]:
    """httpx (or its fork httpx2) with a pool large enough that it does not reconnect."""
    module: Any = import_module(package)
    limits = module.Limits(max_connections=100, max_keepalive_connections=100)
    async with module.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:

        async def post(body: bytes) -> bytes:
            answer = await client.post(url(port), content=body, headers=JSON)
            return checked(answer.status_code, answer.content)

        yield post


@asynccontextmanager
async def open_pyqwest(port: int) -> AsyncGenerator[Post]:
    """A binding of Rust's reqwest."""
    pyqwest: Any = import_module("pyqwest")
    async with pyqwest.HTTPTransport(timeout=30.0, enable_otel=False) as transport:
        client = pyqwest.Client(transport)

        async def post(body: bytes) -> bytes:
            answer = await client.post(url(port), headers=JSON, content=body)
            return checked(answer.status, bytes(answer.content))

        yield post


@asynccontextmanager
async def open_aiohttp(port: int) -> AsyncGenerator[Post]:
    """aiohttp as it comes."""
    async with aiohttp.ClientSession() as session:

        async def post(body: bytes) -> bytes:
            async with session.post(url(port), data=body, headers=JSON) as answer:
                return checked(answer.status, await answer.read())

        yield post


@asynccontextmanager
async def open_aiohttp_set_up(port: int) -> AsyncGenerator[Post]:
    """aiohttp as the gateway would use it: no cookies, no redirects, no decompression."""
    target = URL(url(port))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", **JSON},
        skip_auto_headers=("Accept", "User-Agent"),
        timeout=aiohttp.ClientTimeout(total=30),
    ) as session:

        async def post(body: bytes) -> bytes:
            async with session.post(target, data=body, allow_redirects=False) as answer:
                return checked(answer.status, await answer.read())

        yield post


@asynccontextmanager
async def open_niquests(port: int) -> AsyncGenerator[Post]:
    niquests: Any = import_module("niquests")
    async with niquests.AsyncSession(pool_maxsize=100, disable_http3=True) as session:
        session.trust_env = False

        async def post(body: bytes) -> bytes:
            answer = await session.post(url(port), data=body, headers=JSON, timeout=30)
            return checked(answer.status_code, answer.content)

        yield post


@asynccontextmanager
async def open_pyreqwest(port: int) -> AsyncGenerator[Post]:
    """Another binding of Rust's reqwest."""
    builder: Any = import_module("pyreqwest.client").ClientBuilder()
    async with builder.no_proxy().build() as client:

        async def post(body: bytes) -> bytes:
            request = client.post(url(port)).headers(JSON).body_bytes(body).build()
            answer = await request.send()
            return checked(answer.status, bytes(await answer.bytes()))

        yield post


@asynccontextmanager
async def open_raw(port: int) -> AsyncGenerator[Post]:
    """The floor: the bytes and the event loop, and nothing else."""
    idle: list[RawConnection] = []

    async def post(body: bytes) -> bytes:
        connection = idle.pop() if idle else await open_connection(port)
        answer = await connection.send(request_bytes("POST", CHAT, body))
        idle.append(connection)
        return checked(answer.status, answer.body)

    yield post
    for connection in idle:
        connection.close()


def installed(name: str) -> bool:
    return find_spec(name) is not None


CLIENTS: dict[str, Opener] = {
    "aiohttp": open_aiohttp,
    "aiohttp, set up": open_aiohttp_set_up,
    "httpx": open_httpx,
}
OPTIONAL: dict[str, Opener] = {
    "httpx2": partial(open_httpx, package="httpx2"),
    "niquests": open_niquests,
    "pyqwest": open_pyqwest,
    "pyreqwest": open_pyreqwest,
}
CLIENTS.update({name: opener for name, opener in OPTIONAL.items() if installed(name)})
FLOOR = "raw connection"


def versions() -> str:
    """The versions of what was measured, in one line."""
    names = ("aiohttp", "httpx", *OPTIONAL, "uvloop", "httptools", "orjson", "pydantic_core")
    return ", ".join(f"{name} {version(name)}" for name in names if installed(name))
