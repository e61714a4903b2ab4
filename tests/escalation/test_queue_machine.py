"""The queue beside a plain Python one: whatever is done to both, they say the same.

Time does not pass in here: a lease of no length is over at once, any other is never over.
"""

import asyncio
import os
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inwit.cases import Case, CaseState, Reviewer, Role, Slot
from inwit.clients.redis import redis_client
from inwit.escalation.queue import Depths, Picked, Queue
from inwit.types import Category, PolicyRef, Severity
from tests.escalation.queue_cases import LONG_S, OVER_S, case, future, leased, reviewer
from tests.escalation.reference_queue import ReferenceQueue

T = TypeVar("T")

EXAMPLES = int(os.environ.get("QUEUE_EXAMPLES", "20"))
STEPS = int(os.environ.get("QUEUE_STEPS", "30"))

PEOPLE = (
    reviewer("ann"),
    reviewer("bob", Role.REVIEWER),
    reviewer("cy", policies=frozenset({"other: a"})),
    reviewer("dora", languages=frozenset({"de"}), clearance=Severity.MEDIUM),
    reviewer("eve", opted_out=frozenset({Category.HATE})),
    reviewer("fay", Role.AUDITOR),
)
NAMES = ("a", "b", "a/1", "é{}")
people = st.sampled_from(PEOPLE)
names = st.sampled_from(NAMES)
sides = st.integers(0, 1)
leases = st.sampled_from([LONG_S, LONG_S, OVER_S])
pasts = st.sampled_from([False, False, True])


@st.composite
def slots(draw: st.DrawFn, number: int) -> Slot:
    slot = Slot(number, draw(st.integers(1, 2)))
    who = draw(st.sampled_from(["ann", "bob", "eve"]))
    match draw(st.sampled_from(["free", "free", "free", "ruled", "leased", "over"])):
        case "ruled":
            return replace(slot, reviewer=who, ruled=True)
        case "leased":
            return leased(slot, who, f"stored-{who}", future())
        case "over":
            return leased(slot, who, f"stored-{who}", future() - timedelta(days=1))
        case _:
            return slot


@st.composite
def cases(draw: st.DrawFn) -> Case:
    hate = draw(st.booleans())
    wait = draw(st.sampled_from([None, None, future(), future() - timedelta(days=1)]))
    return case(
        "set later",
        draw(names),
        minute=draw(st.integers(0, 100)),
        severity=draw(st.sampled_from(Severity)),
        policy=PolicyRef(draw(st.sampled_from(["default", "other: a"])), "1", ""),
        language=draw(st.sampled_from(["en", "de"])),
        categories=(Category.DECEPTION, *((Category.HATE,) if hate else ())),
        state=draw(st.sampled_from([*[CaseState.PENDING] * 6, CaseState.RESOLVED])),
        stuck=draw(st.sampled_from([False, False, False, True])),
        waits_until=wait,
        slots=tuple(draw(slots(number)) for number in range(1, draw(st.integers(1, 3)) + 1)),
        excluded=draw(st.frozensets(st.sampled_from(["ann", "cy"]), max_size=1)),
    )


@dataclass(frozen=True)
class Call:
    """A claim that was made, and what came of it."""

    reviewer: Reviewer
    token: str
    lease_s: float
    request_id: str
    worst: Severity
    case_id: str | None
    picked: Picked


class QueueMachine(RuleBasedStateMachine):
    """Two tenants' queues on one server."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        client = self.run(self.stack.enter_async_context(redis_client(self.url, retries=False)))
        self.redis: Any = client
        self.queue = Queue(client)
        self.tenants = [f"tenant-{uuid.uuid4().hex}" for _ in range(2)]
        self.references = [ReferenceQueue(), ReferenceQueue()]
        self.calls = list[Call]()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    @rule(side=sides, made=cases(), step=st.sampled_from([1, 1, 1, 0, 0, -1]))
    def put(self, side: int, made: Case, step: int) -> None:
        known = self.references[side].entries.get(made.id)
        version = known.case.version if known else self.references[side].gone.get(made.id, 1)
        made = replace(made, tenant=self.tenants[side], version=max(1, version + step))
        self.run(self.queue.put(made))
        self.references[side].put(made)

    @rule(side=sides, name=names)
    def put_again_as_it_was(self, side: int, name: str) -> None:
        """What mends a loss does no harm where nothing was lost."""
        known = self.references[side].entries.get(name)
        if known:
            self.run(self.queue.put(known.case))
            self.references[side].put(known.case)

    @rule(side=sides, name=names, step=st.sampled_from([-1, 0, 1]))
    def remove(self, side: int, name: str, step: int) -> None:
        known = self.references[side].entries.get(name)
        version = (known.case.version if known else 1) + step
        self.run(self.queue.remove(self.tenants[side], name, version))
        self.references[side].remove(name, version)

    @rule(who=people, lease_s=leases, worst=st.sampled_from(Severity), alone=pasts)
    def claim_next(self, who: Reviewer, lease_s: float, worst: Severity, alone: bool) -> None:
        self._claim(who, lease_s, worst, None, [0] if alone else [0, 1])

    @rule(who=people, lease_s=leases, worst=st.sampled_from(Severity), name=names, side=sides)
    def claim_by_name(
        self, who: Reviewer, lease_s: float, worst: Severity, name: str, side: int
    ) -> None:
        self._claim(who, lease_s, worst, name, [side])

    def _claim(
        self, who: Reviewer, lease_s: float, worst: Severity, name: str | None, at: list[int]
    ) -> None:
        token, request_id = uuid.uuid4().hex, uuid.uuid4().hex
        tenants = [self.tenants[side] for side in at]
        asked = (token, lease_s, request_id, worst, name)
        picked = self.run(self.queue.claim(who, tenants, *asked))
        choices = {
            Picked(self.tenants[side], *choice): rank
            for side in at
            for choice, rank in self.references[side].choices(who, worst, name).items()
        }
        if picked is None:
            assert not choices
            return
        assert choices[picked] == min(choices.values())
        self._reference(picked).claim(
            picked.case_id, picked.slot, who.id, token, over=lease_s == OVER_S
        )
        self.calls.append(Call(who, token, lease_s, request_id, worst, name, picked))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def claim_is_sent_twice(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.calls))
        asked = (call.token, call.lease_s, call.request_id, call.worst, call.case_id)
        tenants = self.tenants if call.case_id is None else [call.picked.tenant]
        assert self.run(self.queue.claim(call.reviewer, tenants, *asked)) == call.picked

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), lease_s=leases, own=st.sampled_from([True, True, False]))
    def renew(self, data: st.DataObject, lease_s: float, own: bool) -> None:
        call = data.draw(st.sampled_from(self.calls))
        picked, token = call.picked, call.token if own else "another"
        place = (picked.case_id, picked.slot, token)
        renewed = self.run(self.queue.renew(picked.tenant, *place, lease_s))
        assert renewed == self._reference(picked).renew(*place, over=lease_s == OVER_S)

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        own=st.sampled_from([True, True, True, False]),
        exclude=st.sampled_from([None, None, "ann", "bob"]),
    )
    def release(self, data: st.DataObject, own: bool, exclude: str | None) -> None:
        call = data.draw(st.sampled_from(self.calls))
        picked, token = call.picked, call.token if own else "another"
        place = (picked.case_id, picked.slot, token, exclude)
        released = self.run(self.queue.release(picked.tenant, *place))
        assert released == self._reference(picked).release(*place)

    @rule(side=sides, name=names, over=pasts)
    def wait(self, side: int, name: str, over: bool) -> None:
        until = future() - timedelta(days=1) if over else future()
        self.run(self.queue.waiting(self.tenants[side], name, until))
        self.references[side].waiting(name, over=over)

    @rule(side=sides)
    def sweep(self, side: int) -> None:
        swept = self.run(self.queue.sweep(self.tenants[side]))
        assert len(set(swept)) == len(swept)
        assert set(swept) == self.references[side].sweep()

    @rule(side=sides)
    def wipe_and_put_all_again(self, side: int) -> None:
        """A rebuild from the database, which knows every lease; of them the sweep tells as ever."""
        reference, tenant = self.references[side], self.tenants[side]
        self.run(self.queue.wipe(tenant))
        assert self.run(self.queue.depths(tenant)) == Depths(0, {}, 0, 0)
        cases = [_as_stored(reference, name) for name in reference.entries]
        reference.entries.clear()
        for stored in cases:
            self.run(self.queue.put(stored))
            reference.put(stored)

    @rule()
    def forget_the_scripts(self) -> None:
        self.run(self.redis.script_flush())

    @invariant()
    def they_know_the_same(self) -> None:
        for tenant, reference in zip(self.tenants, self.references, strict=True):
            known = self.run(self.queue.known(tenant))
            assert known.cursor == 0
            versions = {name: entry.case.version for name, entry in reference.entries.items()}
            assert dict(known.cases) == versions
            depths = self.run(self.queue.depths(tenant))
            assert {key: lane.slots for key, lane in depths.pending.items()} == reference.pending
            counted = (len(reference.entries), reference.claimed, reference.stuck)
            assert (depths.cases, depths.claimed, depths.stuck) == counted

    def teardown(self) -> None:
        self.run(self._leaves_nothing())
        self.run(self.stack.aclose())
        self.runner.close()

    async def _leaves_nothing(self) -> None:
        for tenant, reference in zip(self.tenants, self.references, strict=True):
            for name, entry in reference.entries.items():
                await self.queue.remove(tenant, name, entry.case.version)
        for key in await self.redis.keys("*"):
            assert key.split(b":")[3] in (b"did", b"gone")
            assert 0 < await self.redis.pttl(key) <= 600_000

    def _reference(self, picked: Picked) -> ReferenceQueue:
        return self.references[self.tenants.index(picked.tenant)]


def _as_stored(reference: ReferenceQueue, name: str) -> Case:
    """The row that the database has of it."""
    entry = reference.entries[name]
    slots = [
        slot
        if slot.ruled
        else replace(slot, reviewer=None, lease_hash=None, lease_until=None)
        if slot.number not in entry.held
        else replace(
            slot,
            reviewer=entry.held[slot.number].reviewer,
            lease_hash=bytes.fromhex(entry.held[slot.number].token),
            lease_until=future() - timedelta(days=entry.held[slot.number].over),
        )
        for slot in entry.case.slots
    ]
    return replace(
        entry.case,
        slots=tuple(slots),
        excluded=frozenset(entry.excluded),
        waits_until=future() if entry.waits else None,
    )


def run_machine(url: str) -> None:
    """On an empty server."""
    machine = type("Machine", (QueueMachine,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_the_queue_does_as_the_plain_one(valkey_url: str) -> None:
    run_machine(valkey_url)
