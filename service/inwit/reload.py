"""Brings the policy folder into force, whole or not at all, again whenever it changes.

Three things make a gateway look: a message on a Redis channel, a signal (`ask`), and time.
"""

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from inwit import telemetry
from inwit.errors import InwitError, LedgerError, SetupError
from inwit.labels import Guard, Reload, Text
from inwit.ledger import policies as ledger
from inwit.ledger.database import Database
from inwit.ledger.in_force import note_refused
from inwit.policy.book import PolicyBook
from inwit.policy.loader import load_policies
from inwit.policy.policy import Policy
from inwit.tasks import beside
from inwit.types import Action, Enforcement

log = structlog.get_logger()

CHANNEL = "inwit:policies"
_WORD = "reload"  # for those who watch the channel; gateways read no more than that it came

_SETTLE_S = 0.2
_SETTLE_LOOKS = 10
_SILENCE_S = 10.0
_AGAIN_S = 1.0
_MOST_PROBLEMS, _LONGEST_PROBLEM = 20, 1000

Check = Callable[[Mapping[str, Policy]], None]
_Files = dict[str, bytes]  # what each file holds, by its name in the folder


def announce(policies: Mapping[str, Policy]) -> None:
    """Tell the metrics what is in force, and begin each policy's series at 0: a rate needs that."""
    telemetry.forget(telemetry.POLICY_INFO)  # digests that are in force no more
    for policy in policies.values():
        name, version = policy.name, policy.ref.version
        telemetry.POLICY_INFO.labels(name, version, policy.ref.digest).set(1)
        telemetry.UNREVIEWED_RELEASES.labels(name, version)
        telemetry.RELEASED_BEFORE_REVIEW.labels(name)
        for action in Action:
            telemetry.CHECKS.labels(name, action.value)
        for action, enforcement in itertools.product(Action, Enforcement):
            telemetry.RESPONSES.labels(name, action.value, enforcement.value)
        for guard, action in itertools.product((Guard.CONSCIENCE, Guard.CLASSIFIER), Action):
            if action is not Action.ALLOW:
                labels = (name, version, Text.CANDIDATE.value, guard.value, action.value)
                telemetry.INTERVENTIONS.labels(*labels)


def accept_all(_policies: Mapping[str, Policy]) -> None:
    """The check that refuses nothing."""


class PolicyReloader:
    """The policies of one gateway, in `book`, and what brings newer ones into force.

    `check` may refuse a set that compiles, by a SetupError. A change counts once two looks
    `settle_s` seconds apart find the same: an editor that writes in place is not caught half-way.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        *,
        check: Check = accept_all,
        settle_s: float = _SETTLE_S,
    ) -> None:
        self.book = PolicyBook({}, datetime.now(UTC))
        self._folder = folder
        self._database = database
        self._check = check
        self._settle_s = settle_s
        self._in_force: _Files | None = None
        self._wake = asyncio.Event()
        self._asked = False
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> PolicyBook:
        """Bring the folder into force for the first time.

        Raises:
            SetupError: it does not compile (PolicyError), or the check refuses it.
            LedgerError: its texts cannot be kept.
        """
        for outcome in Reload:
            telemetry.POLICY_RELOADS.labels(outcome.value)
        await self._bring_into_force(await asyncio.to_thread(_read, self._folder))
        return self.book

    def ask(self) -> None:
        """Have the folder compiled anew soon, changed or not. Safe in a signal handler."""
        self._asked = True
        self._wake.set()

    async def look(self, *, asked: bool = False) -> Reload | None:
        """Look at the folder once; whatever is wrong with it, what is in force stays.

        None where it is as it was; `asked` has it compiled all the same.
        """
        async with self._one_at_a_time:
            try:
                files = await asyncio.to_thread(_read, self._folder)
                if files == self._in_force and not asked:
                    self.book.confirm()
                    return None
                outcome = await self._bring_into_force(await self._until_settled(files))
            except Exception as error:  # noqa: BLE001  # whatever it is, what is in force stays
                outcome = await self._refuse(error)
            telemetry.POLICY_RELOADS.labels(outcome.value).inc()
            return outcome

    @asynccontextmanager
    async def watching(
        self, redis: Redis | RedisCluster, interval_s: float
    ) -> AsyncGenerator[None]:
        """While the block runs, look when told by the channel or by `ask`, and every interval."""
        async with (
            beside("policy-watch", self._watch(interval_s)),
            beside("policy-channel", self._listen(redis)),
        ):
            yield

    async def _until_settled(self, files: _Files) -> _Files:
        for _ in range(_SETTLE_LOOKS):
            before = files
            await asyncio.sleep(self._settle_s)
            files = await asyncio.to_thread(_read, self._folder)
            if files == before:
                return files
        raise _moving()

    async def _bring_into_force(self, files: _Files) -> Reload:
        policies = await asyncio.to_thread(load_policies, self._folder)
        refs = {policy.ref for policy in policies.values()}
        texts = {hashlib.sha256(text).hexdigest(): text for text in files.values()}
        if texts.keys() != {ref.digest for ref in refs}:
            raise _moving()
        self._check(policies)
        before = {policy.ref for policy in self.book.current.values()}
        await ledger.keep(
            self._database,
            [(ref, texts[ref.digest]) for ref in refs],
            fresh=refs - before,
            gone={ref.name for ref in before} - policies.keys(),
        )
        self._in_force = files
        if refs == before:
            self.book.confirm()
            return Reload.UNCHANGED
        self.book.replace(policies, datetime.now(UTC))
        announce(policies)
        log.info("policies_in_force", digests={ref.name: ref.digest for ref in refs})
        return Reload.OK

    async def _refuse(self, error: Exception) -> Reload:
        problems = _problems(error)
        fresh = problems != self.book.problems
        self.book.refuse(problems)
        if fresh:
            log.error("policies_refused", problems=problems)
            if not isinstance(error, LedgerError | _Moving):
                await self._note_refused(error, len(problems))
        return Reload.REFUSED

    async def _note_refused(self, error: Exception, problems: int) -> None:
        """Have the ledger say it. Where it cannot, what is in force stays so all the same."""
        why = error.kind if isinstance(error, InwitError) else InwitError.kind
        known = set((self._in_force or {}).values())
        try:
            files = await asyncio.to_thread(_read, self._folder)
            fresh = {text for text in files.values() if text not in known}
            digests = {hashlib.sha256(text).hexdigest() for text in fresh}
            await note_refused(self._database, digests, why, problems)
        except Exception as worse:  # noqa: BLE001  # whatever it is, the watch must go on
            log.warning("refusal_not_recorded", error=type(worse).__name__)

    async def _watch(self, interval_s: float) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._wake.wait()
            asked, self._asked = self._asked, False
            self._wake.clear()
            await self.look(asked=asked)

    async def _listen(self, redis: Redis | RedisCluster) -> None:
        """Without Redis the interval is all there is: changes come later, never not at all."""
        told = False
        while True:
            try:
                async for kind in _heard(redis):
                    told = False
                    if kind == "message":
                        self.ask()
                    elif kind == "subscribe":
                        self._wake.set()  # what was said until now, nobody heard
                        log.info("policy_channel_joined")
            except Exception as error:  # noqa: BLE001  # whatever it is, the channel must come back
                if not told:
                    log.warning("policy_channel_lost", error=type(error).__name__)
                told = True
            await asyncio.sleep(_AGAIN_S)


async def tell_gateways(redis: Redis | RedisCluster) -> int:
    """Have every gateway on this Redis look at its own policy folder; how many listened.

    A cluster passes a message on to all its nodes, and PUBLISH counts the listeners of one: there
    the count is what all nodes say of their listeners before, together.

    Raises:
        SetupError: Redis cannot be reached, or refuses; nobody was told.
    """
    client: Any = redis  # typed for sync and async at once
    try:
        if not isinstance(redis, RedisCluster):
            return int(await client.publish(CHANNEL, _WORD))
        counted = await client.pubsub_numsub(CHANNEL, target_nodes=RedisCluster.ALL_NODES)
        await client.publish(CHANNEL, _WORD)
        return sum(int(listeners) for _, listeners in counted)
    except (RedisError, RedisClusterException, OSError) as error:
        raise SetupError(
            f"Redis does not take the message ({type(error).__name__}), so no gateway was told. "
            "Check INWIT_REDIS_URL; gateways see the change by themselves a little later."
        ) from error


async def _heard(redis: Redis | RedisCluster) -> AsyncGenerator[str]:
    """What comes over the channel, by its kind: `subscribe` after each connection, `message`."""
    node: dict[str, Any] = {}
    if isinstance(redis, RedisCluster):
        await redis.initialize()
        node["node"] = redis.get_random_node()  # any of them hears all; another, should it go
    client: Any = redis
    async with client.pubsub(**node) as channel:
        await channel.subscribe(CHANNEL)
        awaited = False
        while True:
            heard = await channel.get_message(timeout=_SILENCE_S)
            if heard is not None:
                awaited = False
                yield heard["type"]
            elif awaited:
                raise TimeoutError  # its PING was not answered: the connection is dead
            else:
                awaited = True
                await channel.ping()


def _read(folder: Path) -> _Files:
    """The policy files by name. Read, and not only looked at: a change that leaves size and time
    as they were counts too, and so does a link to another folder.
    """
    files: _Files = {}
    for file in [*folder.glob("*.yaml"), *folder.glob("*.yml")]:
        try:
            files[file.name] = file.read_bytes()
        except OSError:
            files[file.name] = b""  # no policy either: the compiler will say what is wrong
    return files


class _Moving(SetupError):
    """The folder is being written; what it will be is not known yet."""


def _moving() -> _Moving:
    return _Moving("The policy folder changed while it was read. It is looked at again.")


def _problems(error: Exception) -> tuple[str, ...]:
    """One line for each problem: a PolicyError has a line for each place that is wrong."""
    if isinstance(error, InwitError):
        lines = error.detail.splitlines()[:_MOST_PROBLEMS]
        return tuple(line[:_LONGEST_PROBLEM] for line in lines)
    return (f"The policies cannot be brought into force ({type(error).__name__}).",)
