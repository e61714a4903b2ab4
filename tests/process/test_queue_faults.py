"""The queue when its Redis fails: wiped, killed, paused, full, cut off, promoted. On redis-server.

None of these costs a case: the ledger has them all, and putting them again makes the queue as it
was. What a fault may cost is time, or a wrong pick, which the database refuses.
"""

import asyncio
import signal
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from inwit.cases import Case
from inwit.clients.redis import redis_client
from inwit.errors import QueueDown
from inwit.escalation.queue import Depths, Picked, Queue, Swept
from inwit.types import Severity
from tests.clients.test_redis import wait_for
from tests.escalation.queue_cases import (
    ANN,
    BOB,
    CY,
    LONG_S,
    OVER_S,
    case,
    claim,
    future,
    leased,
)
from tests.escalation.test_queue_machine import run_machine
from tests.process.processes import free_port
from tests.process.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.process

TENANT = "acme"
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
WAIT_S = 120.0  # a slow machine under load; nothing here hangs on how fast it is


@pytest.fixture(autouse=True)
def _patience_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no Redis that is away."""
    monkeypatch.setattr("inwit.clients.redis._TIMEOUT_S", WAIT_S)


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer]:
    with redis_server(tmp_path, *DURABLE) as running:
        yield running


@asynccontextmanager
async def queue_on(url: str) -> AsyncGenerator[Queue]:
    async with redis_client(url, retries=False) as client:
        yield Queue(client)


async def ask(url: str, *command: str | int) -> Any:
    """One command, as somebody else sends it."""
    async with redis_client(url, retries=False) as client:
        untyped: Any = client
        return await untyped.execute_command(*command)


def pile(many: int = 20) -> list[Case]:
    """As the ledger has them: some need two rulings, one is stuck, one is on somebody's desk."""
    made = [
        case(TENANT, f"case {number}", minute=number, needs=1 + number % 2)
        for number in range(many)
    ]
    made[3] = replace(made[3], stuck=True)
    slot = leased(made[4].slots[0], "dee", "her tab", future())
    made[4] = replace(made[4], slots=(slot, *made[4].slots[1:]))
    return made


async def put_all(queue: Queue, cases: Sequence[Case]) -> None:
    for each in cases:
        await queue.put(each)


async def in_the_file(server: RedisServer) -> None:
    """Wait until all is in the append-only file. Redis answers up to 2 s before that on a disk that
    takes long to sync.
    """
    async with asyncio.timeout(WAIT_S):
        while (await persistence_of(server))["aof_buffer_length"] > 0:  # noqa: ASYNC110  # Redis's own
            await asyncio.sleep(0.01)


async def persistence_of(server: RedisServer) -> dict[str, Any]:
    async with redis_client(server.url, retries=False) as client:
        untyped: Any = client
        return await untyped.info("persistence")


async def state_of(queue: Queue) -> tuple[Depths, set[tuple[str, int]]]:
    return await queue.depths(TENANT), set((await queue.known(TENANT)).cases)


def test_it_does_as_the_plain_queue_on_this_server_too(server: RedisServer) -> None:
    run_machine(server.url)


async def test_wiped(server: RedisServer) -> None:
    """Whoever had a case has it again: their leases are in the ledger."""
    async with queue_on(server.url) as queue:
        await put_all(queue, pile())
        before = await state_of(queue)
        await ask(server.url, "FLUSHALL")
        assert await queue.known(TENANT) == await queue.known("nobody")
        assert not await queue.renew(TENANT, "case 4", 1, "her tab", LONG_S)
        await put_all(queue, pile())
        assert await state_of(queue) == before
        assert await queue.renew(TENANT, "case 4", 1, "her tab", LONG_S)


async def test_killed_and_started_again(server: RedisServer) -> None:
    """A dead process loses nothing that it has written; a dead machine may (docs/queue.md)."""
    async with queue_on(server.url) as queue:
        await put_all(queue, pile())
        assert await claim(queue, ANN, TENANT) is not None
        before = await state_of(queue)
        await in_the_file(server)
        server.kill()
        with pytest.raises(QueueDown):
            await claim(queue, BOB, TENANT)
        server.start()
        assert await state_of(queue) == before
        assert await queue.renew(TENANT, "case 0", 1, "ann", LONG_S)


async def test_it_stands_still_for_longer_than_a_lease(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that they hold what they do not; and nothing runs twice afterwards."""
    async with queue_on(server.url) as other, AsyncExitStack() as stack:
        await other.put(case(TENANT, needs=2))
        monkeypatch.setattr("inwit.clients.redis._TIMEOUT_S", 2.0)
        queue = await stack.enter_async_context(queue_on(server.url))
        await connected(queue)
        assert await claim(other, ANN, TENANT) is not None
        assert await other.renew(TENANT, "one", 1, "ann", 0.5)  # Redis knows the script by now
        server.tell(signal.SIGSTOP)
        with pytest.raises(QueueDown, match="TimeoutError"):
            await queue.renew(TENANT, "one", 1, "ann", LONG_S)
        server.tell(signal.SIGCONT)
        # The renewal was on its way, and came after the end: it must not have counted.
        assert not await other.renew(TENANT, "one", 1, "ann", LONG_S)
        assert await other.sweep(TENANT) == (Swept("one", 1, "ann"),)
        assert await claim(other, BOB, TENANT) == Picked(TENANT, "one", 1)


async def connected(queue: Queue) -> None:
    """Have it ask once, so that what it says next needs no new connection."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(QueueDown):  # this machine stood still
                await queue.depths(TENANT)
                return


async def test_the_scripts_are_forgotten(server: RedisServer) -> None:
    async with queue_on(server.url) as queue:
        for step in (
            queue.put(case(TENANT)),
            claim(queue, ANN, TENANT),
            queue.renew(TENANT, "one", 1, "ann", LONG_S),
            queue.release(TENANT, "one", 1, "ann", None),
            queue.waiting(TENANT, "one", future()),
            queue.sweep(TENANT),
            queue.depths(TENANT),
            queue.known(TENANT),
            queue.remove(TENANT, "one", 2),
            queue.wipe(TENANT),
        ):
            await ask(server.url, "SCRIPT", "FLUSH")
            await step
        assert await state_of(queue) == (Depths(0, {}, 0, 0), set())


async def test_at_the_memory_limit_what_is_begun_is_ended(server: RedisServer) -> None:
    """New cases and claims are refused, and wait in the ledger; leases, releases and ends work."""
    async with queue_on(server.url) as queue:
        await put_all(queue, [case(TENANT, f"case {number}", needs=2) for number in range(4)])
        for who in (ANN, BOB):
            assert await claim(queue, who, TENANT, case_id="case 1") is not None
        assert await claim(queue, ANN, TENANT, case_id="case 2", lease_s=OVER_S) is not None
        await ask(server.url, "CONFIG", "SET", "maxmemory", 1)

        for refused in (queue.put(case(TENANT, "new")), claim(queue, CY, TENANT)):
            with pytest.raises(QueueDown, match="OutOfMemoryError"):
                await refused
        assert await queue.renew(TENANT, "case 1", 1, "ann", LONG_S)
        assert await queue.release(TENANT, "case 1", 2, "bob", "bob")
        assert await queue.sweep(TENANT) == (Swept("case 2", 1, "ann"),)
        await queue.waiting(TENANT, "case 3", future())
        await queue.remove(TENANT, "case 3", 2)
        depths, known = await state_of(queue)
        assert (depths.claimed, depths.pending[Severity.LOW, 1].slots) == (1, 5)
        assert known == {("case 0", 1), ("case 1", 1), ("case 2", 1)}
        await queue.wipe(TENANT)

        await ask(server.url, "CONFIG", "SET", "maxmemory", 0)
        await queue.put(case(TENANT, "new"))
        assert await claim(queue, BOB, TENANT) is not None


async def test_a_replica_is_promoted_while_it_is_cut_off(tmp_path: Path) -> None:
    """Redis then lets two people into one slot, by two tokens: the database lets one of them in."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with (
        redis_server(tmp_path / "one", *at_once) as primary,
        redis_server(tmp_path / "two", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        async with queue_on(primary.url) as queue, queue_on(replica.url) as other:
            await queue.put(case(TENANT))
            async with asyncio.timeout(WAIT_S):
                while await ask(primary.url, "WAIT", 1, 1000) < 1:
                    pass
            with pytest.raises(QueueDown, match="ReadOnlyError"):
                await claim(other, BOB, TENANT)
            await ask(replica.url, "REPLICAOF", "NO", "ONE")

            assert await claim(queue, ANN, TENANT) == Picked(TENANT, "one", 1)
            assert await claim(other, BOB, TENANT) == Picked(TENANT, "one", 1)
            for one, token, answer in (
                (queue, "ann", True),
                (queue, "bob", False),
                (other, "ann", False),
                (other, "bob", True),
            ):
                assert await one.renew(TENANT, "one", 1, token, LONG_S) is answer

            # The database had Ann first. Told so, the new primary gives Bob's lease to her.
            told = case(TENANT, version=2)
            await other.put(replace(told, slots=(leased(told.slots[0], "ann", "ann", future()),)))
            assert not await other.renew(TENANT, "one", 1, "bob", LONG_S)
            assert await other.renew(TENANT, "one", 1, "ann", LONG_S)


async def test_the_append_only_file_is_cut_back(server: RedisServer, tmp_path: Path) -> None:
    """As after a loss of power: the last writes are gone, and the file ends within a command."""
    cases = pile(60)
    async with queue_on(server.url) as queue:
        await put_all(queue, cases)
        await queue.remove(TENANT, "case 7", 2)
        last = replace(cases[9], version=2, severity=Severity.CRITICAL)
        await queue.put(last)
        before = await state_of(queue)
    await in_the_file(server)
    server.kill()
    (file,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3 - 7])
    server.start()

    async with queue_on(server.url) as queue:
        _, known = await state_of(queue)
        assert 0 < len(known) < len(cases)
        assert all(version for _, version in known), "a script is there whole or not at all"
        rest = [each for each in cases if each.id != "case 7"]
        await put_all(queue, rest)
        await queue.put(last)
        extra = {name for name, _ in (await queue.known(TENANT)).cases} - {each.id for each in rest}
        assert extra == {"case 7"}, "which the comparison with the ledger finds"
        await queue.remove(TENANT, "case 7", 2)
        assert await state_of(queue) == before


@dataclass
class DeafProxy:
    """Passes on all that a client says; swallows the answers and hangs up where it is told to."""

    target: int
    port: int = field(default_factory=free_port)
    swallow: int = 0  # answers still to be swallowed
    _serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["DeafProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._serving.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        asking = asyncio.create_task(self._pass(reader, up_writer, answers=False))
        answering = asyncio.create_task(self._pass(up_reader, writer, answers=True))
        await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, up_writer):  # which ends the other one, too
            each.close()
        await asyncio.gather(asking, answering, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while heard := await reader.read(2**16):
            if answers and self.swallow:
                self.swallow -= 1
                return
            writer.write(heard)
            await writer.drain()


async def test_an_answer_is_lost_and_nothing_is_sent_twice(server: RedisServer) -> None:
    """The client asks once. The caller, who asks again, gets what the lost answer said."""
    async with (
        DeafProxy(server.port).running() as proxy,
        queue_on(f"redis://127.0.0.1:{proxy.port}/0") as queue,
    ):
        for name in ("one", "two"):
            await queue.put(case(TENANT, name))
        assert await queue.claim(CY, [TENANT], "warm", LONG_S, "warm", Severity.LOW) is not None
        asked = (ANN, [TENANT], "tab", LONG_S, uuid.uuid4().hex, Severity.CRITICAL)

        proxy.swallow = 1
        with pytest.raises(QueueDown, match="ConnectionError"):
            await queue.claim(*asked)
        assert proxy.swallow == 0
        assert (await _depths(server)).claimed == 2, "it was done"

        assert await queue.claim(*asked) == Picked(TENANT, "two", 1)
        assert await queue.claim(*asked) == Picked(TENANT, "two", 1)
        assert (await _depths(server)).claimed == 2


@pytest.mark.parametrize("answer_lost", ["release", "sweep"])
async def test_a_script_that_is_sent_twice_has_one_effect_and_one_answer(
    server: RedisServer, answer_lost: str
) -> None:
    """A client with redis-py's own retries does it: it sends again what it has no answer to."""
    async with (
        DeafProxy(server.port).running() as proxy,
        Redis(port=proxy.port) as careless,
    ):
        queue = Queue(careless)
        await queue.put(case(TENANT))
        for lost in (0, 1):  # the first time loads the scripts, which is an answer of its own
            length = LONG_S if answer_lost == "release" else OVER_S
            assert await claim(queue, ANN, TENANT, lease_s=length) is not None
            proxy.swallow = lost
            if answer_lost == "release":
                assert await queue.release(TENANT, "one", 1, "ann", None) is True
            else:
                assert await queue.sweep(TENANT) == (Swept("one", 1, "ann"),)
        assert (proxy.swallow, (await _depths(server)).claimed) == (0, 0)


async def test_a_cluster(tmp_path: Path) -> None:
    """All that a script touches is in one slot; the scripts reach every primary."""
    bus = str(free_port())
    with redis_server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        await ask(server.url, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with queue_on(f"redis+cluster://127.0.0.1:{server.port}") as queue:
            await _whole(server)
            tenants = [f"tenant {number}" for number in range(8)]
            for number, tenant in enumerate(tenants):
                await queue.put(case(tenant, minute=number))
            picked = [await claim(queue, ANN, *tenants) for _ in tenants]
            assert picked == [Picked(tenant, "one", 1) for tenant in tenants]
            assert await claim(queue, ANN, *tenants) is None
            for tenant in tenants:
                assert await queue.release(tenant, "one", 1, "ann", None)
                assert await queue.sweep(tenant) == ()
                await queue.remove(tenant, "one", 2)
                assert (await queue.known(tenant)).cases == ()


async def _whole(server: RedisServer) -> None:
    async with redis_client(server.url) as client:
        await wait_for(client)
    async with asyncio.timeout(WAIT_S):
        while b":ok" not in await ask(server.url, "CLUSTER", "INFO"):  # noqa: ASYNC110  # too
            await asyncio.sleep(0.05)


async def _depths(server: RedisServer) -> Depths:
    async with queue_on(server.url) as queue:
        return await queue.depths(TENANT)
