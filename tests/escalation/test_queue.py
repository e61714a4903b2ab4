"""What the queue promises, by its own methods, on Valkey; all together in test_queue_machine.py."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inwit.cases import CaseState, Reviewer, Role
from inwit.clients.redis import redis_client
from inwit.errors import InwitError, QueueDown
from inwit.escalation.queue import Depths, Lane, Picked, Queue, Swept
from inwit.escalation.rank import rank
from inwit.types import Category, PolicyRef, Severity
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
    reviewer,
)
from tests.process.processes import free_port


async def names(queue: Queue, who: Reviewer, tenant: str) -> list[str]:
    """The cases that they get, one after the other, until there is none."""
    found = list[str]()
    while (picked := await claim(queue, who, tenant)) is not None:
        found.append(picked.case_id)
    return found


async def test_a_case_is_put_claimed_renewed_and_given_back(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant))
    picked = await claim(queue, ANN, tenant)
    assert picked == Picked(tenant, "one", 1)
    assert await claim(queue, BOB, tenant) is None
    assert await queue.renew(tenant, "one", 1, "ann", LONG_S)
    assert not await queue.renew(tenant, "one", 1, "bob", LONG_S)
    assert not await queue.release(tenant, "one", 1, "bob", None)
    assert await queue.release(tenant, "one", 1, "ann", None)
    assert not await queue.release(tenant, "one", 1, "ann", None)
    assert await claim(queue, BOB, tenant) == picked
    await queue.remove(tenant, "one", 2)
    assert await queue.depths(tenant) == Depths(0, {}, 0, 0)


async def test_the_order_is_that_of_the_ranks_across_lanes(queue: Queue, tenant: str) -> None:
    made = [
        case(tenant, "late", minute=9),
        case(tenant, "early"),
        case(tenant, "severe", minute=15, severity=Severity.HIGH),
        case(tenant, "caller in line", minute=8, waits_until=future()),
        case(tenant, "other lane", minute=4, language="de"),
    ]
    for each in made:
        await queue.put(each)
    waits = {each.id: rank(each, waiting=each.waits_until is not None) for each in made}
    expected = sorted(waits, key=lambda name: waits[name])
    assert expected == ["caller in line", "severe", "early", "other lane", "late"]
    assert await names(queue, ANN, tenant) == expected


async def test_a_lane_that_begins_with_what_they_had_hides_no_better_lane(
    queue: Queue, tenant: str
) -> None:
    for name, minute in (("had", 0), ("behind it", 20)):
        await queue.put(case(tenant, name, minute=minute))
    await queue.put(case(tenant, "other lane", minute=10, language="de"))
    assert await claim(queue, ANN, tenant) == Picked(tenant, "had", 1)
    await queue.release(tenant, "had", 1, "ann", "ann")
    assert await names(queue, ANN, tenant) == ["other lane", "behind it"]


async def test_more_lanes_than_are_looked_at_in_one_go(queue: Queue, tenant: str) -> None:
    languages = [f"x{number}" for number in range(40)]
    for number, language in enumerate(languages):
        await queue.put(case(tenant, language, minute=number, language=language))
    last = reviewer(languages=frozenset(languages[-1:]))
    assert await names(queue, last, tenant) == ["x39"]
    assert await names(queue, ANN, tenant) == languages[:-1]


@pytest.mark.parametrize(
    "who",
    [
        reviewer(policies=frozenset({"other"})),
        reviewer(languages=frozenset({"de", "fr"})),
        reviewer(clearance=Severity.MEDIUM),
        reviewer(opted_out=frozenset({Category.HATE, Category.DECEPTION})),
        reviewer(tenants=frozenset({"another"})),
        reviewer(role=Role.REVIEWER),
        reviewer(role=Role.AUDITOR),
        reviewer("excluded"),
    ],
)
async def test_nobody_gets_what_is_not_theirs(queue: Queue, tenant: str, who: Reviewer) -> None:
    """Neither next nor by its name; and what is not theirs hides nothing that is."""
    closed_to_them = case(
        tenant, tier=2, severity=Severity.HIGH, excluded=frozenset({"excluded"}), needs=2
    )
    await queue.put(closed_to_them)
    assert await claim(queue, who, tenant) is None
    assert await claim(queue, who, tenant, case_id="one") is None
    assert await claim(queue, ANN, tenant) is not None

    fitting = case(
        tenant,
        "two",
        minute=1,
        policy=PolicyRef("other", "1", ""),
        language="de",
        categories=(),
        tier=1,
    )
    await queue.put(fitting)
    sees = who.role is not Role.AUDITOR and not who.tenants
    got = await claim(queue, who, tenant)
    assert (got is not None and got.case_id == "two") == sees


async def test_the_exposure_budget_of_the_day_is_kept(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, "high", severity=Severity.HIGH))
    await queue.put(case(tenant, "low", minute=90))
    assert await claim(queue, ANN, tenant, worst=Severity.MEDIUM, case_id="high") is None
    assert await claim(queue, ANN, tenant, worst=Severity.MEDIUM) == Picked(tenant, "low", 1)
    assert await claim(queue, ANN, tenant, worst=Severity.HIGH) == Picked(tenant, "high", 1)


async def test_two_slots_go_to_two_people(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, needs=2))
    assert await claim(queue, ANN, tenant) == Picked(tenant, "one", 1)
    assert await claim(queue, ANN, tenant) is None
    assert await claim(queue, ANN, tenant, case_id="one") is None
    ruled = replace(case(tenant, needs=2), version=2)
    first = replace(ruled.slots[0], reviewer="ann", ruled=True)
    await queue.put(replace(ruled, slots=(first, ruled.slots[1])))
    assert await claim(queue, ANN, tenant) is None
    assert await claim(queue, BOB, tenant) == Picked(tenant, "one", 2)


async def test_a_reviewer_goes_past_a_hundred_cases_that_they_gave_back(
    queue: Queue, tenant: str
) -> None:
    for minute in range(100):
        await queue.put(case(tenant, f"case {minute}", minute=minute))
    for _ in range(99):
        picked = await claim(queue, ANN, tenant)
        assert picked is not None
        assert await queue.release(tenant, picked.case_id, 1, "ann", "ann")
    assert await claim(queue, ANN, tenant) == Picked(tenant, "case 99", 1)
    assert await claim(queue, ANN, tenant) is None
    assert await claim(queue, BOB, tenant) == Picked(tenant, "case 0", 1)


async def test_many_at_once_never_get_the_same_slot(queue: Queue, tenant: str) -> None:
    for number in range(30):
        await queue.put(case(tenant, f"case {number}", needs=2))
    crowd = [reviewer(f"person {number}") for number in range(20)]
    got = await asyncio.gather(*(claim(queue, who, tenant) for who in crowd for _ in range(4)))
    picked = [each for each in got if each is not None]
    assert len(picked) == len(set(picked)) == 60


async def test_a_stuck_case_is_had_by_its_name_alone(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, stuck=True))
    assert (await queue.depths(tenant)).stuck == 1
    assert await claim(queue, ANN, tenant) is None
    assert await claim(queue, ANN, tenant, case_id="one") == Picked(tenant, "one", 1)
    assert (await queue.depths(tenant)).stuck == 0
    await queue.release(tenant, "one", 1, "ann", None)
    assert (await queue.depths(tenant)).stuck == 1


async def test_a_lease_that_is_over_is_swept_once_and_cannot_be_renewed(
    queue: Queue, tenant: str
) -> None:
    await queue.put(case(tenant))
    await claim(queue, ANN, tenant, lease_s=OVER_S)
    assert not await queue.renew(tenant, "one", 1, "ann", LONG_S)
    assert await claim(queue, BOB, tenant) is None, "only the sweep takes it from its holder"
    assert await queue.sweep(tenant) == (Swept("one", 1, "ann"),)
    assert await queue.sweep(tenant) == ()
    assert await claim(queue, ANN, tenant) is not None


async def test_a_lease_ends_by_the_clock_of_redis(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant))
    await claim(queue, ANN, tenant, lease_s=LONG_S)
    assert await queue.sweep(tenant) == ()
    assert await queue.renew(tenant, "one", 1, "ann", 0.15)
    async with asyncio.timeout(60):
        while not await queue.sweep(tenant):  # noqa: ASYNC110  # Redis's clock, seen only by asking
            await asyncio.sleep(0.01)
    assert await claim(queue, BOB, tenant) is not None


async def test_a_sweep_takes_no_more_than_it_is_told(queue: Queue, tenant: str) -> None:
    for number in range(5):
        await queue.put(case(tenant, f"case {number}"))
        await claim(queue, ANN, tenant, lease_s=OVER_S)
    taken = [len(await queue.sweep(tenant, most=2)) for _ in range(4)]
    assert taken == [2, 2, 1, 0]


async def test_a_caller_in_line_counts_until_they_leave(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, "first"))
    await queue.put(case(tenant, "second", minute=10))
    lane = (Severity.LOW, 1)
    ranks = [rank(case(tenant, minute=10), waiting=waiting) for waiting in (True, False)]
    await queue.waiting(tenant, "second", future())
    assert (await queue.depths(tenant)).pending == {lane: Lane(2, ranks[0])}
    await queue.waiting(tenant, "second", datetime.now(UTC) - timedelta(seconds=1))
    assert (await queue.depths(tenant)).pending[lane].first < ranks[1]
    await queue.waiting(tenant, "nobody knows", future())

    await queue.waiting(tenant, "second", datetime.now(UTC) + timedelta(seconds=0.15))
    assert await claim(queue, ANN, tenant) == Picked(tenant, "second", 1)
    await queue.release(tenant, "second", 1, "ann", None)
    async with asyncio.timeout(60):
        while not (swept := await queue.sweep(tenant)):  # noqa: ASYNC110  # Redis's clock, too
            await asyncio.sleep(0.01)
    assert swept == (Swept("second", None, None),)
    assert await claim(queue, ANN, tenant) == Picked(tenant, "first", 1)


async def test_of_several_tenants_the_best_is_first(queue: Queue) -> None:
    one, two, empty = (f"tenant-{uuid.uuid4().hex}" for _ in range(3))
    await queue.put(case(one, "later", minute=5))
    await queue.put(case(two, "earlier", minute=1))
    await queue.put(case(two, "latest", minute=9))
    tenants = (empty, one, two)
    assert await claim(queue, ANN, *tenants) == Picked(two, "earlier", 1)
    assert await claim(queue, ANN, *tenants) == Picked(one, "later", 1)
    assert await claim(queue, ANN, *tenants) == Picked(two, "latest", 1)
    assert await claim(queue, ANN, *tenants) is None
    assert await claim(queue, BOB) is None


async def test_one_request_has_one_case_whatever_changes_meanwhile(queue: Queue) -> None:
    one, two = (f"tenant-{uuid.uuid4().hex}" for _ in range(2))
    await queue.put(case(one, "first", minute=5))
    first = await claim(queue, ANN, one, two, request_id="same")
    await queue.put(case(two, "better"))
    assert await claim(queue, ANN, one, two, request_id="same") == first
    assert await claim(queue, BOB, one, two, request_id="same") == Picked(two, "better", 1)
    assert (await queue.depths(one)).claimed == 1


@pytest.mark.parametrize("version", [1, 2])
async def test_an_old_version_changes_nothing(queue: Queue, tenant: str, version: int) -> None:
    await queue.put(case(tenant, version=3, severity=Severity.HIGH))
    await queue.put(case(tenant, version=version))
    await queue.remove(tenant, "one", version)
    assert (await queue.known(tenant)).cases == (("one", 3),)
    assert set((await queue.depths(tenant)).pending) == {(Severity.HIGH, 1)}


async def test_what_was_removed_does_not_come_back_late(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, version=1))
    await queue.put(case(tenant, version=4, state=CaseState.RESOLVED))
    await queue.put(case(tenant, version=3))
    assert (await queue.known(tenant)).cases == ()
    await queue.put(case(tenant, version=5))
    assert (await queue.known(tenant)).cases == (("one", 5),), "its ruling was undone"


async def test_the_databases_leases_come_along(queue: Queue, tenant: str) -> None:
    """As after a loss of Redis: who had a case goes on, and a lease that is over is swept."""
    lively, over = case(tenant, "lively"), case(tenant, "over")
    past = datetime.now(UTC) - timedelta(minutes=1)
    await queue.put(replace(lively, slots=(leased(lively.slots[0], "ann", "tab", future()),)))
    await queue.put(replace(over, slots=(leased(over.slots[0], "bob", "tab", past),)))
    assert await claim(queue, CY, tenant) is None
    assert await queue.renew(tenant, "lively", 1, "tab", LONG_S)
    assert await queue.sweep(tenant) == (Swept("over", 1, "bob"),)


async def test_the_same_version_again_keeps_what_happened_here(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant, needs=2))
    await claim(queue, ANN, tenant)
    await claim(queue, BOB, tenant)
    await queue.release(tenant, "one", 2, "bob", "bob")
    await queue.waiting(tenant, "one", future())
    await queue.put(case(tenant, needs=2))
    assert await claim(queue, BOB, tenant) is None
    assert await queue.renew(tenant, "one", 1, "ann", LONG_S)
    first = (await queue.depths(tenant)).pending[Severity.LOW, 1].first
    assert first == rank(case(tenant), waiting=True)


async def test_the_databases_lease_beats_one_that_it_does_not_have(
    queue: Queue, tenant: str
) -> None:
    """Bob was let in here, and the database refused him: the slot is Ann's."""
    await queue.put(case(tenant))
    await claim(queue, BOB, tenant)
    ours = case(tenant)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    await queue.put(replace(ours, slots=(leased(ours.slots[0], "ann", "ann", soon),)))
    assert not await queue.renew(tenant, "one", 1, "bob", LONG_S)
    assert await queue.renew(tenant, "one", 1, "ann", LONG_S)


async def test_a_later_version_takes_a_lease_away(queue: Queue, tenant: str) -> None:
    await queue.put(case(tenant))
    await claim(queue, BOB, tenant)
    await queue.put(case(tenant, version=2, tier=2))
    assert not await queue.renew(tenant, "one", 1, "bob", LONG_S)
    assert await claim(queue, reviewer("dee", Role.REVIEWER), tenant) is None
    assert await claim(queue, ANN, tenant) == Picked(tenant, "one", 1)


async def test_known_cases_come_in_pages(queue: Queue, tenant: str) -> None:
    for number in range(1200):
        await queue.put(case(tenant, f"case {number}", version=number + 1))
    cursor, found, pages = 0, dict[str, int](), 0
    while pages == 0 or cursor:
        page = await queue.known(tenant, cursor)
        found |= dict(page.cases)
        cursor, pages = page.cursor, pages + 1
    assert found == {f"case {number}": number + 1 for number in range(1200)}
    assert pages > 1


async def test_a_redis_that_is_away_is_one_error_which_says_nothing_of_the_case() -> None:
    async with redis_client(f"redis://127.0.0.1:{free_port()}", retries=False) as client:
        queue = Queue(client)
        calls = (
            queue.put(case("acme")),
            queue.remove("acme", "one", 1),
            claim(queue, ANN, "acme"),
            queue.renew("acme", "one", 1, "t", 1),
            queue.release("acme", "one", 1, "t", None),
            queue.waiting("acme", "one", future()),
            queue.sweep("acme"),
            queue.depths("acme"),
            queue.known("acme"),
            queue.wipe("acme"),
        )
        for call in calls:
            with pytest.raises(QueueDown, match=r"^The review queue does not answer \(\w+\)\."):
                await call
    error: InwitError = QueueDown()
    assert (error.status, error.kind, error.title) == (503, "queue-down", "Queue unavailable")
