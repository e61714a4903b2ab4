"""Rate limits on real servers: several gateways, each kind of address, a Redis that stops."""

import asyncio
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from structlog.testing import capture_logs

from inwit.clients.embedded.redis import valkey_binary
from inwit.clients.rate_limits import RateLimiter
from inwit.clients.redis import redis_client
from inwit.config import RateRules
from tests.clients.test_rate_limits import admitted, caller, opened, refusal, rules, switches
from tests.clients.test_redis import valkey, wait_for
from tests.process.processes import free_port

pytestmark = pytest.mark.process

_PAUSE_S = 0.05  # leaves the processor to the server
# Where it is not the point how long Redis takes, and where it is.
_PATIENT_S, _SHORT_S = 300.0, 0.5
_WAIT_S = 60.0  # a slow machine under load; what would fail takes longer, or never ends
_WINDOW_S = 6000  # long enough that none of it is over within a test
_KEY = re.compile(
    rb"inwit:rate:\{([0-9a-f]{32})\}:(all|key:[0-9a-f]{32}):(requests|tokens)(:before)?"
)


@pytest.fixture(autouse=True)
def _patience_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that is away."""
    monkeypatch.setattr("inwit.clients.redis._TIMEOUT_S", _PATIENT_S)
    monkeypatch.setattr("inwit.clients.rate_limits._CONNECT_S", _PATIENT_S)


@dataclass
class Server:
    """A Valkey of its own, which can be stopped, let go on, killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self._run()
        async with redis_client(self.url) as client:
            await wait_for(client)

    def _run(self) -> None:
        self.process = subprocess.Popen(
            [valkey_binary(), "--port", str(self.port), "--save", ""],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def tell(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=_WAIT_S)

    async def later(self, seconds: int) -> None:
        """Time passes for all that is counted: it lives for as much less."""
        for key in await self.ask("KEYS", "*"):
            await self.ask("PEXPIRE", key, await self.ask("PTTL", key) - seconds * 1000)

    async def ask(self, *command: str | int) -> Any:
        async with Redis.from_url(self.url) as client:  # pyright: ignore[reportUnknownMemberType]
            untyped: Any = client
            return await untyped.execute_command(*command)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    running = Server(tmp_path)
    await running.start()
    try:
        yield running
    finally:
        running.end()


@asynccontextmanager
async def gateway(
    some: RateRules,
    url: str,
    *,
    window_s: int = _WINDOW_S,
    pause_s: float = 2.0,
) -> AsyncGenerator[RateLimiter]:
    limiter = RateLimiter(some, url, window_s=window_s, wait_s=_PATIENT_S, pause_s=pause_s)
    async with opened(limiter):
        yield limiter


@contextmanager
def impatient(limiter: RateLimiter) -> Generator[None]:
    """It waits for Redis as gateways do. Else a machine that stands still would count as that."""
    limiter._wait_s = _SHORT_S  # pyright: ignore[reportPrivateUsage]  # it has no other way
    yield
    limiter._wait_s = _PATIENT_S  # pyright: ignore[reportPrivateUsage]


async def until(limiter: RateLimiter, *, local: bool) -> None:
    async with asyncio.timeout(_WAIT_S):
        while limiter.local is not local:  # noqa: ASYNC110  # another process, seen only by asking
            await asyncio.sleep(_PAUSE_S)


async def test_gateways_share_the_limits_to_the_request(server: Server) -> None:
    some = rules(key={"requests": 40}, tenant={"requests": 70, "tokens": 1000})
    async with (
        gateway(some, server.url) as one,
        gateway(some, server.url) as two,
    ):
        counts = await asyncio.gather(
            *(admitted(each, caller("first"), 1) for each in (one, two) for _ in range(150))
        )
        assert sum(counts) == 40
        counts = await asyncio.gather(
            *(admitted(each, caller(key), 1) for each in (one, two) for key in "abc" * 30)
        )
        assert sum(counts) == 30
        assert await admitted(one, caller("first", "other"), 1) == 1
        await one.spend(caller("first", "other"), 1300)
        error = await refusal(two, caller("second", "other"))
        told = await two.admit(caller("second", "third"))
        assert (one.local, two.local) == (False, False)

    assert error is not None
    assert "tenant has used up its 1000 tokens" in error.detail
    assert error.retry_after is not None
    # What was spent past the limit weighs on the window after this one, too.
    assert _WINDOW_S < error.retry_after <= _WINDOW_S * (1 + 3 / 13) + 1
    left = {"key-requests": 39, "tenant-requests": 69, "tenant-tokens": 1000}
    assert told.headers["RateLimit"] == ", ".join(
        f'"{name}";r={room};t={_WINDOW_S}' for name, room in left.items()
    )


async def test_a_refused_request_takes_nothing_out_of_redis(server: Server) -> None:
    some = rules(key={"requests": 5, "tokens": 5}, tenant={"requests": 2})
    async with gateway(some, server.url) as limiter:
        assert await admitted(limiter, caller(), 20) == 2
    held = {
        key: int(await server.ask("GET", key)) for key in await server.ask("KEYS", "*:requests")
    }
    assert sorted(held.values()) == [2, 2]


async def test_names_mean_nothing_in_redis_and_every_key_goes_by_itself(server: Server) -> None:
    tenants = ["acme", "a}{b", "*", "x\r\nFLUSHALL\r\n", "é" * 300, "\udc80"]
    rates = {"requests": 50, "tokens": 10}
    async with gateway(rules(key=rates, tenant=rates), server.url) as limiter:
        for tenant in tenants:
            for key in ("one", "{other}"):
                await limiter.admit(caller(key, tenant))
                await limiter.spend(caller(key, tenant), 3)
    keys = [key for key in await server.ask("KEYS", "*") if not key.endswith(b":first")]

    assert len(keys) == len(tenants) * (2 * 2 + 2)
    matches = [_KEY.fullmatch(key) for key in keys]
    slots = {match[1]: set[int]() for match in matches if match}
    assert (len(slots), all(matches)) == (len(tenants), True)
    for key, match in zip(keys, matches, strict=True):
        assert match is not None
        slots[match[1]].add(key_slot(key))
        assert 0 < await server.ask("TTL", key) <= 2 * _WINDOW_S
    assert all(len(each) == 1 for each in slots.values())


async def test_who_waits_retry_after_is_admitted_by_redis_too(server: Server) -> None:
    rates = {"requests": 3, "tokens": 100}
    some = rules(key=rates, tenant={"requests": 4, "tokens": 90})
    async with gateway(some, server.url, window_s=600) as limiter:
        for tokens in (10, 40, 160, 0, 300):
            await admitted(limiter, caller(), 5)
            await limiter.spend(caller(), tokens)
            error = await refusal(limiter, caller())
            assert error is not None
            assert error.retry_after is not None
            assert 0 < error.retry_after <= 1800
            await server.later(error.retry_after)  # what a caller is told to wait
            assert await refusal(limiter, caller()) is None
        assert not limiter.local


async def test_what_came_before_weighs_less_and_less(server: Server) -> None:
    rates = {"requests": 10, "tokens": 100}
    async with gateway(rules(key=rates), server.url) as limiter:
        assert await admitted(limiter, caller(), 10) == 10
        await limiter.spend(caller(), 140)
        for key in await server.ask("KEYS", "*:key:*"):
            await server.ask("PEXPIRE", key, 3_300_000)  # as if it were 8,700 seconds later

        assert await admitted(limiter, caller(), 9) == 5  # of ten, 5.5 count still
        await limiter.spend(caller(), 10)
        error = await refusal(limiter, caller())
        for key in await server.ask("KEYS", "*:key:*"):
            longest = 3_300_000 if key.endswith(b":before") else 9_300_000
            assert longest - 250_000 < await server.ask("PTTL", key) <= longest
    assert error is not None
    assert error.retry_after is not None
    assert 50 <= error.retry_after <= 301
    told = re.search(r'"key-tokens";r=1[3-9];t=(\d+)$', error.headers["RateLimit"])
    assert told is not None
    assert int(told[1]) <= error.retry_after


async def test_a_burst_does_not_make_redis_look_lost(server: Server) -> None:
    async with gateway(rules(key={"requests": 10**6}), server.url) as limiter:
        assert (
            sum(await asyncio.gather(*(admitted(limiter, caller(), 1) for _ in range(400)))) == 400
        )
        assert not limiter.local
        clients = await server.ask("CLIENT", "LIST")
    assert len(clients.splitlines()) <= 10


async def test_a_redis_that_stands_still_costs_one_wait_and_is_found_again(server: Server) -> None:
    before = switches("local"), switches("shared")
    with capture_logs() as logs:
        some = rules(key={"requests": 1000}, tenant={"tokens": 50})
        async with gateway(some, server.url, pause_s=0.3) as limiter:
            assert await admitted(limiter, caller(), 10) == 10
            server.tell(signal.SIGSTOP)
            try:
                # 300 waits would be 150 seconds.
                async with asyncio.timeout(_WAIT_S):
                    with impatient(limiter):
                        together = (admitted(limiter, caller(), 1) for _ in range(30))
                        assert sum(await asyncio.gather(*together)) == 30
                        assert await admitted(limiter, caller(), 300) == 300
                        await limiter.spend(caller("a", "still"), 50)
                        assert limiter.local
                        assert await admitted(limiter, caller("b", "still"), 1) == 0
            finally:
                server.tell(signal.SIGCONT)
            await until(limiter, local=False)
            headers = (await limiter.admit(caller())).headers

    # Eight may have been counted twice: they were on their way when Redis stood still.
    assert re.match('"key-requests";r=98[1-9];', headers["RateLimit"])
    assert (switches("local") - before[0], switches("shared") - before[1]) == (1, 1)
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("rate_limits_local", "TimeoutError"),
        ("rate_limits_shared", None),
    ]


async def test_a_redis_that_is_killed_is_used_again_when_it_is_back(server: Server) -> None:
    async with gateway(rules(key={"requests": 5}), server.url, pause_s=0.1) as limiter:
        assert await admitted(limiter, caller(), 3) == 3
        server.end()
        with impatient(limiter):
            # What was counted in Redis is not known.
            assert await admitted(limiter, caller(), 9) == 5
        assert limiter.local
        await server.start()
        await until(limiter, local=False)
        assert await admitted(limiter, caller(), 9) == 5
        assert len(await server.ask("KEYS", "*")) > 0


async def test_a_redis_that_takes_no_writes_is_as_good_as_none(server: Server) -> None:
    some = rules(key={"requests": 5})
    async with gateway(some, server.url, pause_s=0.05) as limiter:
        with capture_logs() as logs:
            await server.ask("CONFIG", "SET", "maxmemory", 1)
            assert await admitted(limiter, caller(), 9) == 5
            await asyncio.sleep(0.5)  # ten looks, and none of them may take it for back
            assert limiter.local
        assert [line["event"] for line in logs] == ["rate_limits_local"]
        await server.ask("CONFIG", "SET", "maxmemory", 0)
        await until(limiter, local=False)


async def test_a_redis_that_stands_still_keeps_nobody_from_closing(server: Server) -> None:
    limiter = RateLimiter(rules(key={"requests": 5}), server.url, wait_s=_SHORT_S, pause_s=0.01)
    await limiter.open()
    server.tell(signal.SIGSTOP)
    try:
        async with asyncio.timeout(_WAIT_S):
            await limiter.admit(caller())
            await limiter.close()
    finally:
        server.tell(signal.SIGCONT)


async def counts_in(url: str) -> None:
    """Limits hold there, and are really counted there: a second gateway sees them."""
    some = rules(key={"requests": 3, "tokens": 9}, tenant={"requests": 4, "tokens": 90})
    async with gateway(some, url) as one, gateway(some, url) as two:
        assert await admitted(one, caller(), 2) == 2
        assert await admitted(two, caller(), 9) == 1
        assert await admitted(two, caller("b"), 9) == 1
        await one.spend(caller("c", "other"), 9)
        assert await admitted(two, caller("c", "other"), 1) == 0
        assert (one.local, two.local) == (False, False)


async def whole(cluster: Any) -> None:
    async with asyncio.timeout(_WAIT_S):
        while b":ok" not in await cluster.execute_command("CLUSTER", "INFO"):  # noqa: ASYNC110  # too
            await asyncio.sleep(_PAUSE_S)


async def test_a_cluster(tmp_path: Path) -> None:
    port, bus = free_port(), free_port()
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
    with valkey(tmp_path, "--port", str(port), *cluster, "--requirepass", "s3:c@ret"):
        url = f"redis://:s3%3Ac%40ret@127.0.0.1:{port}"
        async with redis_client(url) as one:
            await wait_for(one)
            untyped: Any = one
            await untyped.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await whole(untyped)
        address = f"redis+cluster://:s3%3Ac%40ret@127.0.0.1:{port},127.0.0.1:{free_port()}"
        await counts_in(address)


async def test_sentinel(tmp_path: Path) -> None:
    port, sentinel_port = free_port(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {sentinel_port}\nsentinel monitor main 127.0.0.1 {port} 1\n"
        "sentinel auth-pass main s3cret\n"
    )
    primary = valkey(tmp_path, "--port", str(port), "--requirepass", "s3cret")
    with primary, valkey(tmp_path, str(config), "--sentinel"):
        address = f"redis+sentinel://:s3cret@127.0.0.1:{sentinel_port}/main/1"
        async with redis_client(address) as ready:
            await wait_for(ready)
        await counts_in(address)
        async with redis_client(f"redis://:s3cret@127.0.0.1:{port}/1") as database:
            untyped: Any = database
            assert await untyped.dbsize() > 0


@contextmanager
def certificate(folder: Path) -> Generator[Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    made = folder / "tls.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"]
    files = ["-keyout", made, "-out", folder / "only.pem"]
    subprocess.run(
        [openssl, "req", "-x509", *kind, *subject, *files], check=True, capture_output=True
    )
    made.write_bytes(made.read_bytes() + (folder / "only.pem").read_bytes())
    yield made


@asynccontextmanager
async def tls_in_front(port: int, pem: Path) -> AsyncGenerator[int]:
    """Speaks TLS, and passes on what is said to a port that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(2**16):
            writer.write(heard)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

    async with AsyncExitStack() as stack:
        front = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context)
        await stack.enter_async_context(front)
        yield front.sockets[0].getsockname()[1]


async def test_tls(server: Server, tmp_path: Path) -> None:
    with certificate(tmp_path) as pem:
        async with tls_in_front(server.port, pem) as port:
            await counts_in(f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'only.pem'}")
