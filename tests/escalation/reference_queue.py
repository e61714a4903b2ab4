"""The queue of one tenant as plain Python: no scripts, no indexes, and no clock.

A lease, or a caller's wait, is over or it is not: what the real queue reads off the clock is told.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from inwit.cases import Case, Reviewer, Slot
from inwit.escalation.queue import Swept
from inwit.escalation.rank import rank
from inwit.types import Severity


@dataclass
class Held:
    reviewer: str | None
    token: str  # its SHA-256
    over: bool


@dataclass
class Entry:
    """A case, and what the queue itself knows beside it."""

    case: Case
    excluded: set[str]
    held: dict[int, Held]
    waits: bool = False

    def free(self, slot: Slot) -> bool:
        return not slot.ruled and slot.number not in self.held

    @property
    def rank(self) -> float:
        return rank(self.case, waiting=self.waits)

    def has_had(self, reviewer: str) -> bool:
        ruled = any(slot.reviewer == reviewer for slot in self.case.slots if slot.ruled)
        return ruled or any(held.reviewer == reviewer for held in self.held.values())


@dataclass
class ReferenceQueue:
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    gone: dict[str, int] = field(default_factory=dict[str, int])

    def put(self, case: Case) -> None:
        if not case.state.open:
            self.remove(case.id, case.version)
            return
        known = self.entries.get(case.id)
        if self.gone.get(case.id, 0) >= case.version:
            return
        if known and known.case.version > case.version:
            return
        waits = case.waits_until is not None and case.waits_until > datetime.now(UTC)
        entry = Entry(case, set(case.excluded), dict(_leases(case)), waits)
        if known and known.case.version == case.version:
            entry.excluded |= known.excluded
            entry.waits |= known.waits
            for slot in case.slots:
                if not slot.ruled and slot.number in known.held:
                    _keep(entry.held, slot.number, known.held[slot.number])
        self.entries[case.id] = entry
        self.gone.pop(case.id, None)

    def remove(self, case_id: str, version: int) -> None:
        known = self.entries.get(case_id)
        if known and known.case.version > version:
            return
        self.entries.pop(case_id, None)
        self.gone[case_id] = max(version, self.gone.get(case_id, 0))

    def choices(
        self, reviewer: Reviewer, worst: Severity, named: str | None = None
    ) -> dict[tuple[str, int], float]:
        """Every slot that they may have now, with its rank."""
        return {
            (name, slot.number): entry.rank
            for name, entry in self.entries.items()
            if named in (None, name)
            and not (entry.case.stuck and named is None)
            and entry.case.severity.rank <= worst.rank
            and reviewer.id not in entry.excluded
            and not entry.has_had(reviewer.id)
            for slot in entry.case.slots
            if entry.free(slot) and reviewer.may_rule(entry.case, slot.tier)
        }

    def claim(self, case_id: str, slot: int, reviewer: str, token: str, *, over: bool) -> None:
        self.entries[case_id].held[slot] = Held(reviewer, _digest(token), over)

    def renew(self, case_id: str, slot: int, token: str, *, over: bool) -> bool:
        held = self._held(case_id, slot, token)
        if held is None or held.over:
            return False
        held.over = over
        return True

    def release(self, case_id: str, slot: int, token: str, exclude: str | None) -> bool:
        if self._held(case_id, slot, token) is None:
            return False
        del self.entries[case_id].held[slot]
        if exclude:
            self.entries[case_id].excluded.add(exclude)
        return True

    def waiting(self, case_id: str, *, over: bool) -> None:
        if case_id in self.entries:
            self.entries[case_id].waits = not over

    def sweep(self) -> set[Swept]:
        swept = set[Swept]()
        for name, entry in self.entries.items():
            for number, held in list(entry.held.items()):
                if held.over:
                    del entry.held[number]
                    swept.add(Swept(name, number, held.reviewer))
        return swept

    @property
    def pending(self) -> dict[tuple[Severity, int], int]:
        counts = dict[tuple[Severity, int], int]()
        for entry in self.entries.values():
            for slot in entry.case.slots:
                if entry.free(slot) and not entry.case.stuck:
                    key = (entry.case.severity, slot.tier)
                    counts[key] = counts.get(key, 0) + 1
        return counts

    @property
    def claimed(self) -> int:
        return sum(len(entry.held) for entry in self.entries.values())

    @property
    def stuck(self) -> int:
        stuck = [entry for entry in self.entries.values() if entry.case.stuck]
        return sum(entry.free(slot) for entry in stuck for slot in entry.case.slots)

    def _held(self, case_id: str, slot: int, token: str) -> Held | None:
        entry = self.entries.get(case_id)
        held = entry.held.get(slot) if entry else None
        return held if held and held.token == _digest(token) else None


def _leases(case: Case) -> Iterator[tuple[int, Held]]:
    for slot in case.slots:
        if not slot.ruled and slot.lease_hash is not None:
            over = not slot.leased(datetime.now(UTC))
            yield slot.number, Held(slot.reviewer, slot.lease_hash.hex(), over)


def _keep(held: dict[int, Held], number: int, known: Held) -> None:
    """The same version again: a lease that the database has now counts, else what is known."""
    new = held.get(number)
    if new is None or new.over:
        held[number] = known
    elif new.token == known.token:
        new.over = False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
