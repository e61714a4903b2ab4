"""Dispatch: which case a reviewer gets next, and the lease on it, in Redis. docs/queue.md.

The ledger's database has the truth: it fences every claim and every ruling, and all that is here
can be made from it again. Each step is one script in `scripts/`, so it happens whole or not at
all. No script is ever sent twice by itself; a claim that a caller repeats with its request id has
one effect and one answer.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from inwit.cases import Case, Reviewer, Slot
from inwit.errors import QueueDown
from inwit.escalation.rank import rank
from inwit.types import Severity

_SCRIPTS = files("inwit.escalation") / "scripts"
_SEVERITIES = tuple(Severity)
_PAGE = 500
_RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Picked:
    """A slot that a reviewer may now claim in the database."""

    tenant: str
    case_id: str
    slot: int


@dataclass(frozen=True, slots=True)
class Swept:
    """A lease of `reviewer` on `slot` that was over; both None: a caller who waits no longer."""

    case_id: str
    slot: int | None
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class Lane:
    """Slots of one severity and tier that wait for anybody, and the lowest rank among them."""

    slots: int
    first: float


@dataclass(frozen=True, slots=True)
class Depths:
    """What is in a tenant's queue. `claimed` and `stuck` are slots."""

    cases: int
    pending: Mapping[tuple[Severity, int], Lane]
    claimed: int
    stuck: int


@dataclass(frozen=True, slots=True)
class Known:
    """A page of what the queue has: ids and versions. `cursor` is that of the next; 0 ends.

    A version of 0 says that the case is not whole here, and must be put again. A case may be on
    two pages; one that is there all the while is on one at least.
    """

    cursor: int
    cases: tuple[tuple[str, int], ...]


class _Script:
    """A script as it is sent: its own first line, what all of them share, and the rest of it."""

    def __init__(self, name: str) -> None:
        shared = (_SCRIPTS / "case.lua").read_text("utf-8")
        header, _, body = (_SCRIPTS / f"{name}.lua").read_text("utf-8").partition("\n")
        self.text = f"{header}\n{shared}\n{body}"
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Queue:
    """The queue of all tenants. `redis` must be a client of `redis_client(url, retries=False)`.

    Every method raises QueueDown where Redis does not do what it was asked, or does not say so.
    """

    def __init__(self, redis: Redis | RedisCluster) -> None:
        self._redis: Any = redis  # typed for sync and async at once
        self._scripts = {
            name: _Script(name)
            for name in (
                *("put", "remove", "claim", "renew", "release", "waiting", "sweep"),
                *("depths", "known", "wipe"),
            )
        }

    async def put(self, case: Case) -> None:
        """Tell the queue of a case as it stands. An older version than the known is ignored.

        A newer one replaces what is known, leases too. The same one, put again, mends what was
        lost and keeps what happened here meanwhile: leases, exclusions, a caller in line.
        """
        if not case.state.open:
            await self.remove(case.tenant, case.id, case.version)
            return
        await self._run("put", case.tenant, case.id, json.dumps(_as_json(case)))

    async def remove(self, tenant: str, case_id: str, version: int) -> None:
        """The case is closed. No version up to this one comes back within ten minutes."""
        await self._run("remove", tenant, case_id, version)

    async def claim(
        self,
        reviewer: Reviewer,
        tenants: Sequence[str],
        token: str,
        lease_s: float,
        request_id: str,
        worst: Severity,
        case_id: str | None = None,
    ) -> Picked | None:
        """Lease the next slot, or one of the case named, to this reviewer; None: nothing for them.

        `worst` is the worst severity that they may still be shown today. For ten minutes the same
        call gives the slot that it gave, also where the lease has ended since. Of several tenants,
        one at a time is looked at.
        """
        asked = _asked(reviewer, token, lease_s, worst)
        call = _digest(f"{request_id}\n{reviewer.id}\n{asked['token']}\n{case_id or ''}")
        own = [name for name in tenants if not reviewer.tenants or name in reviewer.tenants]
        if len(own) > 1:
            own = await self._best_first(own, call, asked, case_id)
        for tenant in own:
            picked = await self._claim(tenant, call, asked, case_id)
            if picked is not None:
                return picked[1]
        return None

    async def renew(self, tenant: str, case_id: str, slot: int, token: str, lease_s: float) -> bool:
        """Lengthen a lease to `lease_s` from now; False where it is over, or not theirs."""
        length = _ms(lease_s)
        done = await self._run("renew", tenant, _new(), case_id, slot, _digest(token), length)
        return bool(done)

    async def release(
        self, tenant: str, case_id: str, slot: int, token: str, exclude: str | None
    ) -> bool:
        """Give a slot back; `exclude` never gets one of this case again. False: not theirs."""
        leaves = _digest(token), exclude or ""
        return bool(await self._run("release", tenant, _new(), case_id, slot, *leaves))

    async def waiting(self, tenant: str, case_id: str, until: datetime) -> None:
        """The caller waits in line until then; a time that is past: no longer."""
        await self._run("waiting", tenant, _new(), case_id, _ms(until.timestamp()))

    async def sweep(self, tenant: str, most: int = 100) -> tuple[Swept, ...]:
        """Put slots whose leases are over back, and callers who wait no longer in their rank."""
        rows = await self._run("sweep", tenant, _new(), max(1, most))
        return tuple(
            Swept(_text(case_id), slot, _text(reviewer)) if slot >= 0 else _caller_left(case_id)
            for case_id, slot, reviewer in rows
        )

    async def depths(self, tenant: str) -> Depths:
        """How much waits, by severity and tier; a look at each lane."""
        cases, claimed, stuck, *lanes = await self._run("depths", tenant)
        pending = dict[tuple[Severity, int], Lane]()
        for name, slots, first in lanes:
            tier, severity = (int(part) for part in name.split(b":")[:2])
            key = (_SEVERITIES[severity], tier)
            lane = pending.get(key, Lane(0, float(first)))
            pending[key] = Lane(lane.slots + slots, min(lane.first, float(first)))
        return Depths(cases, pending, claimed, stuck)

    async def known(self, tenant: str, cursor: int = 0) -> Known:
        """A page of the cases that the queue knows; the first one has cursor 0."""
        following, *cases = await self._run("known", tenant, cursor, _PAGE)
        return Known(int(following), tuple((_text(name), version) for name, version in cases))

    async def wipe(self, tenant: str) -> None:
        """Forget all cases of the tenant. What was removed lately stays removed."""
        await self._run("wipe", tenant)

    async def _best_first(
        self, tenants: Sequence[str], call: str, asked: Mapping[str, Any], case_id: str | None
    ) -> list[str]:
        """Those that have something, by the rank of the first. They are in slots of their own."""
        ranked = list[tuple[float, str]]()
        for tenant in tenants:
            seen = await self._claim(tenant, call, {**asked, "look": True}, case_id)
            if seen is not None:
                ranked.append((seen[0], tenant))
        return [tenant for _, tenant in sorted(ranked)]

    async def _claim(
        self, tenant: str, call: str, asked: Mapping[str, Any], case_id: str | None
    ) -> tuple[float, Picked] | None:
        found = await self._run("claim", tenant, call, json.dumps(asked), case_id or "")
        if not found:
            return None
        name, _, slot = _text(found[0]).rpartition("/")
        return float(found[1]), Picked(tenant, name, int(slot))

    async def _run(self, name: str, tenant: str, *arguments: str | int) -> Any:
        script, prefix = self._scripts[name], _prefix(tenant)
        sent = [part if isinstance(part, int) else _bytes(part) for part in arguments]
        try:
            try:
                return await self._redis.evalsha(script.sha, 1, prefix, *sent)
            except NoScriptError:  # so it did not run
                return await self._redis.eval(script.text, 1, prefix, *sent)
        except (RedisError, RedisClusterException, OSError) as error:
            raise QueueDown(
                f"The review queue does not answer ({type(error).__name__}). "
                "Every case is safe in the ledger. Try again later.",
                retry_after=_RETRY_AFTER_S,
            ) from error


def _as_json(case: Case) -> dict[str, Any]:
    waits = case.waits_until
    return {
        "version": case.version,
        "rank": rank(case, waiting=False),
        "waiting_rank": rank(case, waiting=True),
        "severity": case.severity.rank,
        "policy": _name(case.policy.name),
        "language": _name(case.language),
        "categories": "+".join(sorted(case.categories)),
        "stuck": case.stuck,
        "excluded": dict.fromkeys(sorted(case.excluded), True),
        "slots": [_slot_as_json(slot) for slot in case.slots],
        **({} if waits is None else {"waits": _ms(waits.timestamp())}),
    }


def _slot_as_json(slot: Slot) -> dict[str, Any]:
    known: dict[str, Any] = {"number": slot.number, "tier": slot.tier}
    if slot.ruled:
        return known | {"by": slot.reviewer or "", "ruled": True}
    if slot.lease_hash is None or slot.lease_until is None:
        return known
    until = _ms(slot.lease_until.timestamp())
    token = slot.lease_hash.hex()
    return known | {"by": slot.reviewer or "", "token": token, "until": until}


def _asked(reviewer: Reviewer, token: str, lease_s: float, worst: Severity) -> dict[str, Any]:
    return {
        "reviewer": reviewer.id,
        "tiers": list(reviewer.role.tiers),
        "worst": min(worst.rank, reviewer.clearance.rank),
        "policies": [_name(name) for name in reviewer.policies],
        "languages": [_name(name) for name in reviewer.languages],
        "opted_out": list(reviewer.opted_out),
        "token": _digest(token),
        "lease_ms": _ms(lease_s),
        "look": False,
    }


def _caller_left(case_id: bytes) -> Swept:
    return Swept(_text(case_id), None, None)


def _prefix(tenant: str) -> str:
    """The hash tag is the tenant's alone; hashed, no name breaks out of its place."""
    return f"inwit:queue:{{{_digest(tenant)[:32]}}}:"


def _name(name: str) -> str:
    """A name as it stands between the colons of a lane."""
    return quote(name, safe="", errors="surrogatepass")


def _digest(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _new() -> str:
    return uuid.uuid4().hex
