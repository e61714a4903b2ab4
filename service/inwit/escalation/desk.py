"""The desk at which people work: what they are given, what they may do with it, and what counts.

The API and the console both come here. Each step is written to the ledger before it is told; the
queue in Redis is told afterwards, and catches up by itself where that fails.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import sqlalchemy as sa

from inwit import telemetry
from inwit.cases import Case, Lease, Output, Reviewer, Ruling, RulingKind, WhySkipped
from inwit.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Gone,
    InvalidField,
    NotFound,
    QueueDown,
)
from inwit.escalation.desk_rules import DeskRules, Opened, check_text, check_words
from inwit.escalation.edits import EditJudge
from inwit.escalation.index import Index
from inwit.escalation.queue import Picked, Queue
from inwit.escalation.sweeper import count_ended
from inwit.ledger import golden, leases, reviewing, rulings
from inwit.ledger.case_files import CaseFile, Wanted, case_file, listed
from inwit.ledger.database import Database
from inwit.ledger.escalations import case_of, cases_by_id, cases_of, no_such_case, set_aside
from inwit.ledger.reviewing import Covers, nothing
from inwit.ledger.rulings import Said
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction
from inwit.policy.book import PolicyBook
from inwit.policy.policy import EscalationRule
from inwit.types import Severity

_TRIES = 32  # where the queue picks what the database does not give
_GRACE_S = 5.0  # by which a lease is longer in the queue than in the database, which decides


class Desk:
    """What reviewers do.

    `covers` says of which severities the texts are covered until they are revealed: what is not
    covered counts in the day's dose when it is given out, the rest once a part is revealed.
    """

    def __init__(
        self,
        database: Database,
        ledger: LedgerStore,
        queue: Queue,
        index: Index,
        judge: EditJudge,
        policies: PolicyBook,
        rules: DeskRules,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._queue = queue
        self._index = index
        self._judge = judge
        self._policies = policies
        self.rules = rules

    async def next(
        self, reviewer: Reviewer, token: str, request_id: str, *, covers: Covers = nothing
    ) -> Opened | None:
        """Give a reviewer the case that is first for them, under a lease; None where none is.

        Raises:
            QueueDown: the queue is away, or too wrong. A case can still be claimed by its id.
        """
        worst = await self._worst(reviewer)
        if worst is None:
            return None
        if drawn := await self._draw_golden(reviewer, token, request_id, worst):
            return await self._open(reviewer, drawn, covers)
        tenants = sorted(reviewer.tenants) or await self._index.tenants()
        for number in range(_TRIES):  # each mends what it found wrong
            picked = await self._queue.claim(
                reviewer,
                tenants,
                token,
                self.rules.lease_s + _GRACE_S,
                f"{request_id}/{number}",
                worst,
            )
            if picked is None:
                return None
            try:
                case_id, slot = picked.case_id, picked.slot
                return await self.claim(reviewer, case_id, token, slot=slot, covers=covers)
            except (Conflict, Forbidden, NotFound, Gone):
                await self._tell_again(picked, token)
        raise QueueDown("The queue is far behind the ledger, and is being mended. Ask again.")

    async def claim(
        self,
        reviewer: Reviewer,
        case_id: str,
        token: str,
        *,
        slot: int | None = None,
        take_over: bool = False,
        covers: Covers = nothing,
        resumed: bool = False,
    ) -> Opened:
        """Give a reviewer the case that they name. `resumed`: into a page that shows it already.

        Raises:
            NotFound: no such case, or not for their eyes.
            Forbidden: not theirs to rule on.
            Conflict: nothing of it is free for them now.
            Gone: it cannot be shown. Nobody is given it any more.
        """

        def steps(transaction: Transaction) -> tuple[CaseFile, Lease]:
            _, lease = leases.claim(
                transaction,
                case_id,
                reviewer,
                token,
                self.rules.lease_s,
                slot=slot,
                take_over=take_over,
            )
            reviewing.opened(transaction, case_id, reviewer, token, covers, resumed=resumed)
            return case_file(transaction.connection, case_id, reviewer.id), lease

        try:
            file, lease = await self._ledger.write(steps)
        except Gone:
            aside = await self._ledger.write(lambda each: set_aside(each, case_id))
            await self._index.tell([aside])
            raise
        await self._index.tell([file.case])
        if not resumed and file.case.expected is None:
            waited = datetime.now(UTC) - file.case.opened
            telemetry.ESCALATION_CLAIM.observe(max(0.0, waited.total_seconds()))
        return Opened(file, lease, self.rules.blind(reviewer, file.case))

    async def listing(self, wanted: Wanted, after: str | None, most: int) -> list[Case]:
        """Cases without their content, the oldest first."""

        def work(connection: sa.Connection) -> list[Case]:
            return cases_of(connection, listed(connection, wanted, after, most))

        return await self._database.read(work)

    async def again(
        self, reviewer: Reviewer, case_id: str, token: str, *, covers: Covers = nothing
    ) -> Opened:
        """The case that this token holds, as it is now, with its lease renewed.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over.
        """
        lease = await self.renew(reviewer, case_id, token)
        return await self._open(reviewer, lease, covers)

    async def held(self, reviewer: Reviewer, case_id: str, token: str) -> Opened:
        """The same, for a piece of a page that shows the case already."""
        return await self._opened(reviewer, await self.renew(reviewer, case_id, token))

    async def look(self, reviewer: Reviewer, case_id: str, *, covers: Covers = nothing) -> CaseFile:
        """Read a case without claiming it. That is recorded.

        Raises:
            NotFound: no such case, or not for their eyes.
            Forbidden: it is worse, or of another kind, than what they are shown.
        """
        await self._ledger.write(lambda each: reviewing.looked(each, case_id, reviewer, covers))
        return await self._file(reviewer, case_id)

    async def reveal(self, reviewer: Reviewer, case_id: str, part: str, token: str = "") -> None:
        """Record that a masked part was uncovered, and count the case in the day's dose.

        It stays uncovered while they hold the case by this token.

        Raises:
            NotFound: no such case, or not for their eyes.
            Forbidden: it is worse, or of another kind, than what they are shown.
        """
        await self._ledger.write(
            lambda each: reviewing.revealed(each, case_id, reviewer, part, token)
        )

    async def renew(self, reviewer: Reviewer, case_id: str, token: str) -> Lease:
        """Hold on to a case.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over.
        """
        lease = await self._ledger.write(
            lambda each: leases.renew(each, case_id, reviewer.id, token, self.rules.lease_s)
        )
        case = await self._case(reviewer, case_id)
        longer_s = self.rules.lease_s + _GRACE_S
        with suppress(QueueDown):  # it hears of the lease when it is told of the case
            await self._queue.renew(case.tenant, case_id, lease.slot, token, longer_s)
        return lease

    async def release(
        self, reviewer: Reviewer, case_id: str, token: str, why: WhySkipped | None = None
    ) -> None:
        """Give a case back; with a reason, for good.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over.
        """
        case = await self._ledger.write(
            lambda each: leases.release(each, case_id, reviewer.id, token, why)
        )
        await self._index.tell([case])

    async def save_draft(self, reviewer: Reviewer, case_id: str, text: str) -> None:
        """Keep what a reviewer is writing.

        Raises:
            NotFound: no such case, or not for their eyes.
            Conflict: it is closed, or they neither hold it nor did so before.
            InvalidField: it is too long, or not text.
        """
        check_text(text)
        await self._case(reviewer, case_id)
        await self._ledger.write(
            lambda each: reviewing.save_draft(each, case_id, reviewer.id, text)
        )

    async def check_edit(
        self, reviewer: Reviewer, case_id: str, token: str, text: str
    ) -> Mapping[str, object]:
        """Let the judges look at an edited text, and keep what they say, for the ruling.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over.
            InvalidField: no text, or too much of it, or what is not text.
            InwitError: the judges cannot be asked.
        """
        check_text(text)
        if not text.strip():
            raise InvalidField("Mend `text`.", (FieldError("text", "write the text to release"),))
        await self.renew(reviewer, case_id, token)
        file = await self._file(reviewer, case_id)
        review = await self._judge.judge(file, text)
        digest = Output(text, "stop").digest
        await self._ledger.write(
            lambda each: reviewing.judged(each, case_id, reviewer.id, token, text, digest, review)
        )
        return {"digest": digest, **review}

    async def first_verdict(
        self,
        reviewer: Reviewer,
        case_id: str,
        token: str,
        kind: RulingKind,
        *,
        covers: Covers = nothing,
    ) -> Opened:
        """Take what a reviewer says before the scores and the rewrite show; then show them.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over, or there is a first verdict.
        """
        await self._ledger.write(
            lambda each: reviewing.first_verdict(each, case_id, reviewer.id, token, kind)
        )
        return await self.again(reviewer, case_id, token, covers=covers)

    async def rule(self, reviewer: Reviewer, said: Said) -> tuple[Ruling, Case]:
        """Take a ruling.

        Raises:
            NotFound: no such case.
            Conflict: the lease is over, or something is not as the reviewer saw it.
            InvalidField: a ruling that this case cannot have, or one without what it needs; or it
                releases a text that they were not shown.
        """
        case = await self._case(reviewer, said.case_id)
        rule = self._rule_of(case)
        if rule is not None:
            check_words(rule, said)
        blind = self.rules.blind(reviewer, case)

        def steps(transaction: Transaction) -> tuple[Ruling, Case, bool]:
            reviewing.check_shown(
                transaction, said.case_id, reviewer.id, said.token, said.kind, blind=blind
            )
            ruling, after = rulings.rule(transaction, said)
            return ruling, after, ruling.time == transaction.now

        ruling, case, fresh = await self._ledger.write(steps)
        if fresh:  # and not a request that came twice
            _count(ruling, case)
        await self._index.tell([case])
        return ruling, case

    async def undo(
        self,
        reviewer: Reviewer,
        case_id: str,
        ruling_id: str,
        token: str,
        *,
        covers: Covers = nothing,
    ) -> Opened:
        """Take a ruling back before it takes effect; the case is the reviewer's again.

        Raises:
            NotFound: no such case.
            Conflict: it has taken effect, or is not theirs.
        """
        case = await self._ledger.write(
            lambda each: rulings.undo(
                each, case_id, ruling_id, reviewer.id, token, self.rules.lease_s
            )
        )
        await self._index.tell([case])
        return await self.again(reviewer, case_id, token, covers=covers)

    async def _draw_golden(
        self, reviewer: Reviewer, token: str, request_id: str, worst: Severity
    ) -> Lease | None:
        """A golden copy for some requests."""
        if not self.rules.golden(reviewer, request_id):
            return None
        lease_s = self.rules.lease_s
        in_force = {name: policy.ref for name, policy in self._policies.current.items()}
        found = await self._ledger.write(
            lambda each: golden.next_golden(each, reviewer, token, lease_s, worst, in_force)
        )
        return found[1] if found else None

    async def _open(self, reviewer: Reviewer, lease: Lease, covers: Covers) -> Opened:
        case_id, token = lease.case_id, lease.token
        await self._ledger.write(
            lambda each: reviewing.opened(each, case_id, reviewer, token, covers)
        )
        return await self._opened(reviewer, lease)

    async def _opened(self, reviewer: Reviewer, lease: Lease) -> Opened:
        file = await self._file(reviewer, lease.case_id)
        return Opened(file, lease, self.rules.blind(reviewer, file.case))

    async def _file(self, reviewer: Reviewer, case_id: str) -> CaseFile:
        return await self._database.read(lambda each: case_file(each, case_id, reviewer.id))

    async def _case(self, reviewer: Reviewer, case_id: str) -> Case:
        case, _ = await self._database.read(lambda each: case_of(each, case_id))
        if not reviewer.may_see(case):
            raise no_such_case()
        return case

    async def _tell_again(self, picked: Picked, token: str) -> None:
        """The queue gave what the database does not: it hears how the case really stands."""
        tenant, case_id = picked.tenant, picked.case_id
        with suppress(QueueDown):  # a lease that it alone knows would outlive what it is told
            await self._queue.release(tenant, case_id, picked.slot, token, None)
        found = await self._database.read(lambda each: cases_by_id(each, [case_id]))
        if found:
            await self._index.tell(found)
        else:
            await self._index.forget(tenant, case_id)

    async def _worst(self, reviewer: Reviewer) -> Severity | None:
        """The worst severity that they are given today; None where their day's dose is full."""
        now = datetime.now(UTC)
        return self.rules.worst(
            await self._database.read(lambda each: reviewing.exposure(each, reviewer.id, now))
        )

    def _rule_of(self, case: Case) -> EscalationRule | None:
        """The rule of the policy of this name as it is now, where there still is one."""
        policy = self._policies.current.get(case.policy.name)
        return policy.escalation if policy else None


def _count(ruling: Ruling, case: Case) -> None:
    if case.expected is not None:
        agreed = ruling.kind is case.expected
        telemetry.AGREEMENTS.labels("golden", str(agreed).lower()).inc()
    else:
        telemetry.RULINGS.labels(ruling.kind.value, str(not ruling.counts).lower()).inc()
        if case.closed == ruling.time:  # by this ruling, or by a clock that nobody had looked at
            count_ended([case])
