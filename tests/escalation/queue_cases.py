"""Cases and reviewers for tests of the queue."""

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from inwit.cases import Case, CaseState, Reviewer, Role, Slot
from inwit.escalation.queue import Picked, Queue
from inwit.types import Category, PolicyRef, Severity

OPENED = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
LONG_S = 3600.0  # a lease that is not over while a test runs
OVER_S = 0.0  # one that is over at once


def future() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def case(
    tenant: str, name: str = "one", *, minute: float = 0, needs: int = 1, **changes: Any
) -> Case:
    """A pending case that opened at that minute, with so many free slots of its tier."""
    opened = OPENED + timedelta(minutes=minute)
    tier = changes.get("tier", 1)
    made = Case(
        id=name,
        response_id=f"response-{name}",
        tenant=tenant,
        policy=PolicyRef("default", "1", "ab" * 32),
        language="en",
        severity=Severity.LOW,
        categories=(Category.DECEPTION,),
        tier=1,
        required=needs,
        state=CaseState.PENDING,
        stuck=False,
        expected=None,
        opened=opened,
        due=opened + timedelta(hours=1),
        claimed_first=None,
        waits_until=None,
        version=1,
        slots=tuple(Slot(number, tier) for number in range(1, needs + 1)),
    )
    return replace(made, **changes)


def leased(slot: Slot, reviewer: str, token: str, until: datetime) -> Slot:
    digest = hashlib.sha256(token.encode()).digest()
    return replace(slot, reviewer=reviewer, lease_hash=digest, lease_until=until)


def reviewer(name: str = "ann", role: Role = Role.SENIOR, **changes: Any) -> Reviewer:
    return replace(Reviewer(name, role), **changes)


ANN, BOB, CY = reviewer("ann"), reviewer("bob"), reviewer("cy")


async def claim(
    queue: Queue, who: Reviewer, *tenants: str, lease_s: float = LONG_S, **asked: Any
) -> Picked | None:
    """With a token that is the reviewer's name, and a request id of its own."""
    request_id = asked.pop("request_id", uuid.uuid4().hex)
    worst = asked.pop("worst", Severity.CRITICAL)
    return await queue.claim(who, tenants, who.id, lease_s, request_id, worst, **asked)
