"""A ledger in memory with a clock of its own, for the life of cases."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from inwit.cases import (
    Case,
    Hold,
    Lease,
    Offer,
    OnExpiry,
    Output,
    Reviewer,
    Role,
    Ruling,
    RulingKind,
)
from inwit.decisions import Record
from inwit.ledger import leases, outcomes, reviewing, rulings
from inwit.ledger.escalations import case_of, open_case
from inwit.ledger.rulings import Said
from inwit.ledger.tables import ENTRIES, METADATA
from inwit.ledger.transaction import Transaction
from inwit.pipeline.held import held_content
from inwit.types import Severity
from tests.ledger.test_store import ORIGIN, RECORD

T = TypeVar("T")

CLAIM, RULE, LEASE = 600, 900, 120
ANSWER, REWRITE = Output("The answer.", "stop"), Output("A kinder answer.", "stop")
FALLBACK, EXPIRED = Output("I cannot.", "content_filter"), Output("Too late.", "content_filter")
REVIEWERS = tuple(Reviewer(f"rev_{name}", Role.REVIEWER) for name in "abc")
SENIOR = Reviewer("rev_s", Role.SENIOR)
POLICY = ORIGIN.policy.digest


class World:
    """Every step is a transaction at the time that the world has."""

    def __init__(self) -> None:
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        METADATA.create_all(self.engine)
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.made = 0

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def at_once(self) -> Generator[Transaction]:
        with self.engine.begin() as connection:
            transaction = Transaction(connection)
            transaction.now = self.now
            yield transaction
            transaction.flush()

    def do(self, steps: Callable[[Transaction], T]) -> T:
        """As `LedgerStore.write` does it."""
        with self.at_once() as transaction:
            return transaction.undoing(steps)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        with self.engine.connect() as connection:
            return work(connection)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def held(
        self,
        *,
        required: int = 1,
        on_expiry: OnExpiry = OnExpiry.BLOCK,
        waits: float = 0,
        callback: str | None = None,
        rewrites: bool = True,
        contents: Mapping[str, Any] | None = None,
    ) -> str:
        """A held response; the id of its case. `contents` goes over what is kept of it."""
        self.made += 1
        name = f"{self.made:032x}"
        offers = (Offer(RulingKind.APPROVE, ANSWER), Offer(RulingKind.APPROVE_REWRITE, REWRITE))
        hold = Hold(
            id=f"esc_{name}",
            severity=Severity.HIGH,
            language="en",
            required=required,
            drawn=False,
            claim_within=timedelta(seconds=CLAIM),
            rule_within=timedelta(seconds=RULE),
            on_expiry=on_expiry,
            expired=EXPIRED,
            offers=offers if rewrites else offers[:1],
            waits=timedelta(seconds=waits),
            callback_url=callback,
        )
        record = _record(name, hold)
        kept = {kind: json.dumps(value).encode() for kind, value in (contents or {}).items()}
        record = replace(record, contents={**record.contents, **kept})
        self.do(lambda each: _open(each, record, hold))
        return hold.id

    def claim(self, case: str, who: Reviewer, token: str, **how: Any) -> Lease:
        return self.do(lambda each: leases.claim(each, case, who, token, LEASE, **how))[1]

    def edit(self, case: str, who: Reviewer, token: str, text: str, *, passed: bool = True) -> str:
        """The digest of an edit that the judges looked at."""
        digest = Output(text, "stop").digest
        review = {"passed": passed}
        self.do(lambda each: reviewing.judged(each, case, who.id, token, text, digest, review))
        return digest

    def rule(
        self, case: str, who: Reviewer, token: str, kind: RulingKind, **more: Any
    ) -> tuple[Ruling, Case]:
        shown = REWRITE if kind is RulingKind.APPROVE_REWRITE else ANSWER
        self.made += 1
        said = Said(case, who.id, token, kind, shown.digest, POLICY, f"request-{self.made}")
        return self.do(lambda each: rulings.rule(each, replace(said, **more)))

    def sweep(self) -> None:
        """As the sweeper does, until nothing is due."""

        def turn(transaction: Transaction) -> int:
            steps = (outcomes.settle_due, leases.expire_leases, outcomes.expire_due)
            return sum(len(step(transaction, 100)) for step in steps)

        while self.do(turn):
            pass

    def case(self, name: str) -> Case:
        return self.read(lambda each: case_of(each, name))[0]

    def acts(self, case: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The entries about a case, oldest first."""
        query = sa.select(ENTRIES.c.body).order_by(ENTRIES.c.sequence)
        bodies = self.read(lambda each: each.execute(query).scalars().all())
        facts = [json.loads(body) for body in bodies]
        return [
            each
            for each in facts
            if each.get("case") == case and (kind is None or each["type"] == kind)
        ]


def _record(name: str, hold: Hold) -> Record:
    released: dict[str, object] = {"text": FALLBACK.text, "tool_calls": []}
    return replace(
        RECORD,
        origin=replace(ORIGIN, response_id=f"resp_{name}"),
        hold=hold,
        contents={
            "request": b'{"messages": [], "context": []}',
            "candidate": b'{"text": "The answer.", "explanation": null}',
            "released": json.dumps(released).encode(),
            "held": held_content(hold),
        },
    )


def _open(transaction: Transaction, record: Record, hold: Hold) -> None:
    receipt = transaction.add(record)
    open_case(transaction, record, hold, receipt.sequence)
