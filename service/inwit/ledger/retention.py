"""How long things are kept: content by policy, entries by type; nothing goes without a rule.

A gateway looks once an hour, in small batches with pauses: requests go first. Two gateways that
look at the same time only find less to do.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from inwit.config_ledger import RetentionRules
from inwit.errors import InwitError
from inwit.ledger import legal_holds, pruning
from inwit.ledger.database import Database
from inwit.ledger.forgetting import forget
from inwit.ledger.pruning import RESPONSE_TYPES, EntryRule, open_responses
from inwit.ledger.sealing import Fate
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS, DATA_KEYS, ENTRIES, ESCALATIONS
from inwit.ledger.transaction import Transaction
from inwit.tasks import beside

log = structlog.get_logger()

_EVERY_S = 3600.0
_PAUSE_S = 0.05
_BATCH = 200
_ALL = "*"
_WHOLE_LOOK = 24  # looks, after which everything is looked at again: holds are lifted, cases end


@dataclass(frozen=True, slots=True)
class ContentRule:
    """Content of these policies, or of all but these, goes once it is older than `age`."""

    policies: frozenset[str]
    others: bool
    age: timedelta

    def fits(self, policy: str | None) -> bool:
        """Whether it is about this policy; None where nobody knows it any more."""
        return (policy in self.policies) != self.others


@dataclass
class Kept:
    """What one look came to: responses whose content went, entries pruned; see `Erased`."""

    responses: int = 0
    entries: int = 0
    scrubbed: bool | None = field(default=None, compare=False)


@dataclass
class Marks:
    """Up to where each rule has been followed, so that an hour costs what is new in it."""

    places: dict[str, int] = field(default_factory=dict[str, int])
    looks: int = 0

    def begin(self) -> None:
        """Begin a look."""
        if self.looks % _WHOLE_LOOK == 0:
            self.places.clear()
        self.looks += 1


class Retention:
    """Follows the rules, in the background of a gateway or once for a command."""

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        rules: RetentionRules | None,
        *,
        dry_run: bool = False,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._database, self._ledger = database, ledger
        self._content = content_rules(rules) if rules else []
        self._entries = dict(rules.entries) if rules else {}
        self._dry_run, self._pause_s = dry_run, pause_s
        self._marks = Marks()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look now and each hour while the block runs; never, where there are no rules."""
        if not self._content and not self._entries:
            yield
            return
        async with beside("retention", self._forever()):
            yield

    async def look(self, now: datetime | None = None) -> Kept:
        """Follow every rule once; with `dry_run` only count.

        Raises:
            LedgerError: the database failed; what was done until then stays.
        """
        now, kept = now or datetime.now(UTC), Kept()
        self._marks.begin()
        for rule in self._content:
            kept.responses += await self._forget(rule, now)
        for rule in entry_rules(self._entries, now):
            kept.entries += await self._prune(rule)
        if (kept.responses or kept.entries) and not self._dry_run:
            kept.scrubbed = await self._database.scrub()  # or `Scrubbing` does it, later
        return kept

    async def _forever(self) -> None:
        while True:
            try:
                kept = await self.look()
                log.info("retention", responses=kept.responses, entries=kept.entries)
            except InwitError as error:
                log.warning("retention_failed", error=type(error).__name__)
            except Exception:  # whatever it is, the next look begins anew
                log.exception("retention_broken")
                self._marks = Marks()
            await asyncio.sleep(_EVERY_S)

    async def _forget(self, rule: ContentRule, now: datetime) -> int:
        name, total = f"content/{sorted(rule.policies)}/{rule.others}", 0
        place: int | None = self._marks.places.get(name, 0)
        while place is not None:
            self._marks.places[name] = after = place
            found, place = await self._database.read(
                lambda each, a=after: _over(each, rule, now - rule.age, a)
            )
            if found and self._dry_run:
                total += len(found)
            elif found:
                total += await self._ledger.write(lambda each, f=found: _forget(each, f))
                await asyncio.sleep(self._pause_s)
        return total

    async def _prune(self, rule: EntryRule) -> int:
        total, place = 0, self._marks.places.get(rule.words, 0)
        look: int | None = place
        while look is not None:
            self._marks.places[rule.words] = after = look
            places, look = await self._database.read(
                lambda each, a=after: pruning.due(each, rule, a)
            )
            if places and self._dry_run:
                total += len(places)
            elif places:
                total += await self._ledger.write(
                    lambda each, p=places: pruning.prune(each, rule, p)
                )
                await asyncio.sleep(self._pause_s)
        return total


def content_rules(rules: RetentionRules) -> list[ContentRule]:
    """One for each time: the policies that have it, or for `*` all that have none of their own."""
    named = {policy: _age(days) for policy, days in rules.content.items() if policy != _ALL}
    found = [
        ContentRule(frozenset(each for each in named if named[each] == age), False, age)
        for age in sorted(set(named.values()))
    ]
    if _ALL in rules.content:
        found.append(ContentRule(frozenset(named), True, _age(rules.content[_ALL])))
    return found


def entry_rules(rules: Mapping[str, str], now: datetime) -> list[EntryRule]:
    """One for each type named, and for `*` one for all the others."""
    named = frozenset(rules) - {_ALL}
    found = [
        EntryRule(
            f"entries/{each}/{rules[each]}", frozenset({each}), False, now - _age(rules[each])
        )
        for each in sorted(named)
    ]
    if _ALL in rules:
        before = now - _age(rules[_ALL])
        found.append(EntryRule(f"entries/*/{rules[_ALL]}", named, True, before))
    return found


def _age(days: str) -> timedelta:
    return timedelta(days=int(days.removesuffix("d")))


def _over(
    connection: sa.Connection, rule: ContentRule, before: datetime, after: int
) -> tuple[list[str], int | None]:
    """Responses whose content is over, from what there is past a place; and where to look on."""
    column = CONTENTS.c.sequence
    query = sa.select(column).where(column > after).distinct().order_by(column).limit(_BATCH)
    places = connection.execute(query).scalars().all()
    wanted = (ENTRIES.c.sequence.in_(places), ENTRIES.c.time < before)
    rows = connection.execute(sa.select(ENTRIES).where(*wanted)).all()
    tenants = {row.response_id: row.tenant for row in rows if row.response_id}
    policies = _policies(connection, rows)
    fit = {name for name in tenants if rule.fits(policies.get(name))}
    free = fit - open_responses(connection, fit) - _held(connection, fit, tenants)
    more = len(places) == _BATCH and len(rows) == len(places)  # past younger ones all are young
    return sorted(free), places[-1] if more else None


def _policies(connection: sa.Connection, rows: Collection[Any]) -> dict[str, str]:
    """The policies of responses: from their entries, or for acts alone from their cases."""
    found: dict[str, str] = {}
    for row in rows:
        facts: dict[str, Any] = json.loads(row.body) if row.body else {}
        if row.type in RESPONSE_TYPES and "policy" in facts:
            found[row.response_id] = facts["policy"]["name"]
    missing = {row.response_id for row in rows} - found.keys() - {""}
    case = ESCALATIONS.c
    query = sa.select(case.response_id, case.policy).where(case.response_id.in_(missing))
    return found | {row.response_id: row.policy for row in connection.execute(query)}


def _held(
    connection: sa.Connection, names: Collection[str], tenants: Mapping[str, str]
) -> set[str]:
    holds = legal_holds.standing(connection)
    query = sa.select(DATA_KEYS.c.response_id, DATA_KEYS.c.subject)
    found = connection.execute(query.where(DATA_KEYS.c.response_id.in_(names)))
    subjects = {row.response_id: row.subject for row in found}
    return {
        name
        for name in names
        if holds.over(tenant=tenants[name], response=name, subject=subjects.get(name, ""))
    }


def _forget(transaction: Transaction, names: list[str]) -> int:
    """Those that nothing keeps now, either: a hold may have been placed meanwhile."""
    connection = transaction.connection
    query = sa.select(ENTRIES.c.response_id, ENTRIES.c.tenant).distinct()
    rows = connection.execute(query.where(ENTRIES.c.response_id.in_(names)))
    tenants = {row.response_id: row.tenant for row in rows}
    kept = open_responses(connection, names) | _held(connection, tenants.keys(), tenants)
    free = [name for name in names if name in tenants and name not in kept]
    return forget(transaction, free, Fate.EXPIRED).responses
