"""A console over a real ledger and a real Valkey, and browsers in front of it."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from inwit.cases import Reviewer, Role
from inwit.clients.embedded.redis import valkey_binary
from inwit.config import load_settings
from inwit.console.account_rows import OPERATOR, Account
from inwit.console.parts import ConsoleParts, open_console
from inwit.console.passwords import Passwords
from inwit.console.site import Routers, mount
from inwit.ledger.database import Database, sqlite_file, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import ENTRIES

PASSWORD = "correct horse battery"
LOCAL = "http://127.0.0.1:8080"
PUBLIC = "https://inwit.example"

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session")
def valkey() -> Generator[Path]:
    """The socket of a server that all tests of the console share."""
    with tempfile.TemporaryDirectory(prefix="inwit-") as folder:  # a socket's path must be short
        socket = Path(folder) / "valkey"
        command = [valkey_binary(), "--port", "0", "--unixsocket", socket, "--save", ""]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        assert any("eady to accept connections" in line for line in process.stdout)
        yield socket
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file, brought up to date once: most of the time of opening one."""
    folder = tmp_path_factory.mktemp("ledger")

    async def make() -> None:
        database = Database(sqlite_url(folder))
        await database.open()
        await database.close()

    asyncio.run(make())
    return sqlite_file(folder)


@pytest.fixture
async def database(tmp_path: Path, empty_ledger: Path) -> AsyncGenerator[Database]:
    shutil.copy(empty_ledger, sqlite_file(tmp_path))
    opened = Database(sqlite_url(tmp_path))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def redis(valkey: Path) -> AsyncGenerator[Redis]:
    client = Redis(unix_socket_path=str(valkey))
    await client.flushdb()  # pyright: ignore[reportUnknownMemberType]  # untyped **kwargs
    yield client
    await client.aclose()


def no_redis() -> Redis:
    """One that is gone."""
    return Redis(unix_socket_path="/nowhere/at/all", retry=Retry(NoBackoff(), 0))


async def keys(client: Redis, pattern: str = "*") -> list[str]:
    """The names of what is stored."""
    found = client.scan_iter(pattern)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped
    return [str(key, "ascii") async for key in cast(AsyncIterator[bytes], found)]


@dataclass
class Browser:
    """Keeps cookies, and sends forms as the browsers of people do."""

    http: httpx.AsyncClient
    sent: Mapping[str, str] = field(
        default_factory=lambda: {"sec-fetch-site": "same-origin", "origin": "null"}
    )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"/console{path}", headers=headers)

    async def post(
        self,
        path: str,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        every = {**self.sent, **(headers or {})}
        return await self.http.post(f"/console{path}", data=dict(form or {}), headers=every)

    async def token(self, path: str = "/account") -> str:
        """The token of the page's forms."""
        return token_in(await self.get(path))

    async def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        form = {"csrf_token": await self.token("/sign-in"), "name": name, "password": password}
        return await self.post("/sign-in", {**form, **more})


@dataclass
class Site:
    """An open console, and what is under it."""

    parts: ConsoleParts
    app: FastAPI
    database: Database
    base: str
    stack: AsyncExitStack

    async def browser(self, base: str | None = None, address: str = "203.0.113.7") -> Browser:
        transport = httpx.ASGITransport(
            self.app, raise_app_exceptions=False, client=(address, 50_000)
        )
        http = httpx.AsyncClient(transport=transport, base_url=base or self.base)
        return Browser(await self.stack.enter_async_context(http))

    async def person(self, name: str = "ada", role: Role = Role.REVIEWER, **scope: Any) -> Account:
        hashed = await self.parts.passwords.hash(PASSWORD)
        return await self.parts.accounts.create(name, Reviewer("", role, **scope), hashed, OPERATOR)

    async def signed_in(self, name: str = "ada", role: Role = Role.REVIEWER) -> Browser:
        """A browser in which a new person is signed in."""
        await self.person(name, role)
        browser = await self.browser()
        assert (await browser.sign_in(name)).status_code == 303
        return browser

    async def acts(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The entries of the ledger, oldest first."""
        query = sa.select(ENTRIES.c.body).order_by(ENTRIES.c.sequence)
        rows = await self.database.read(lambda db: db.execute(query).scalars().all())
        entries = [json.loads(row) for row in rows]
        return [entry for entry in entries if kind in (None, entry["type"])]


MakeSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site(database: Database, redis: Redis) -> AsyncGenerator[MakeSite]:
    """Makes consoles; `routers` adds pages, `client` is the Redis in place of the real one."""
    async with AsyncExitStack() as stack:

        async def make(
            *,
            routers: Routers = (),
            client: Redis | None = None,
            passwords: Passwords | None = None,
            **settings: object,
        ) -> Site:
            loaded = load_settings(embedded_redis=True, embedded_model=True, **settings)
            ledger = LedgerStore(database)
            await stack.enter_async_context(ledger.running())
            if client is not None:
                stack.push_async_callback(client.aclose)
            parts = await stack.enter_async_context(
                open_console(
                    loaded, database, ledger, client or redis, passwords or Passwords(QUICK)
                )
            )
            app = FastAPI(openapi_url=None, redirect_slashes=False)
            mount(app, parts, routers)
            return Site(parts, app, database, loaded.console_url or LOCAL, stack)

        yield make


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    return await make_site()


def token_in(page: httpx.Response) -> str:
    """The first form's token."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text
    return found[1]


def main_of(page: httpx.Response) -> str:
    """What stands between the page's head and foot, without its tags."""
    inside = page.text.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inside))
