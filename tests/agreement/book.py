"""Closed cases in a real ledger: each with the entry of its decision."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from inwit.agreement.rows import Filters
from inwit.cases import CaseState, Hold, OnExpiry, Output, RulingKind
from inwit.decisions import Decision, Reason, Record, Round
from inwit.ledger.database import Database
from inwit.ledger.escalations import fresh_case
from inwit.ledger.policies import keep
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS
from inwit.ledger.transaction import Transaction
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import (
    Action,
    Candidate,
    Category,
    PolicyRef,
    ReviewStatus,
    Severity,
    Verdict,
)
from tests.ledger.test_store import ORIGIN, RECORD

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONGEST = timedelta(days=1)
ALL = Filters(NOON - LONGEST, NOON + LONGEST)
DEFAULT = (PACKAGED / "default.yaml").read_bytes()
POLICY = load_policy(PACKAGED / "default.yaml").ref


@dataclass(frozen=True)
class Closed:
    """A case; `rulings` are reviewer, ruling, `counts`, and minutes from noon, when it closes."""

    name: str
    rulings: tuple[tuple[str, RulingKind, bool, int], ...]
    closed: datetime = NOON
    tenant: str = "acme"
    policy: PolicyRef = POLICY
    language: str = "en"
    categories: tuple[Category, ...] = ()
    required: int = 1
    drawn: bool = False
    state: CaseState = CaseState.RESOLVED
    expected: RulingKind | None = None
    first: RulingKind | None = None
    risks: tuple[float, ...] = (0.5,)
    reasons: tuple[Reason, ...] = field(default=(Reason.IN_DOUBT,))

    def write(self, transaction: Transaction) -> None:
        """Everything that the database has of it."""
        receipt = transaction.add(self._record())
        row = {
            "id": f"esc_{self.name}",
            "response_id": f"resp_{self.name}",
            "sequence": receipt.sequence,
            "key_id": "k1",
            "tenant": self.tenant,
            "policy": self.policy.name,
            "policy_version": self.policy.version,
            "policy_digest": self.policy.digest,
            "language": self.language,
            "severity": "high",
            "categories": ",".join(self.categories),
            "tier": 1,
            "required": self.required,
            "state": self.state.value,
            "expected": self.expected.value if self.expected else None,
            "claim_within_s": 60,
            "rule_within_s": 60,
            "on_expiry": "block",
            "opened": self.closed - timedelta(hours=1),
            "due": self.closed,
            "closed": self.closed if not self.state.open else None,
        }
        transaction.insert(ESCALATIONS, fresh_case(self.closed) | row)
        for number, ruling in enumerate(self.rulings, 1):
            self._write_ruling(transaction, number, *ruling)

    def _write_ruling(
        self, transaction: Transaction, slot: int, who: str, kind: RulingKind, counts: bool, at: int
    ) -> None:
        time = self.closed + timedelta(minutes=at)
        row = {
            "id": f"rul_{self.name}_{slot}",
            "escalation_id": f"esc_{self.name}",
            "slot": slot,
            "counts": 1 if counts else None,
            "reviewer": who,
            "kind": kind.value,
            "digest": "ab" * 32,
            "clause": None,
            "first_verdict": self.first.value if self.first else None,
            "request_id": f"{self.name}-{slot}",
            "time": time,
            "takes_effect": time,
        }
        transaction.insert(RULINGS, row)
        slot_row = {"escalation_id": f"esc_{self.name}", "number": slot, "tier": 1}
        transaction.insert(SLOTS, {**slot_row, "expirations": 0, "ruled": counts})

    def _record(self) -> Record:
        verdicts = tuple(
            Verdict(judge, ReviewStatus.JUDGED, risk=risk)
            for judge, risk in zip(("conscience", "embedded"), self.risks, strict=False)
        )
        decision = Decision(Action.ESCALATE, self.reasons, verdicts, "cd" * 32, reviewed=True)
        principal = replace(ORIGIN.principal, tenant=self.tenant)
        origin = replace(ORIGIN, response_id=f"resp_{self.name}", principal=principal)
        return replace(
            RECORD,
            origin=replace(origin, policy=self.policy),
            decision=decision,
            rounds=(Round(Candidate("The moon.", "m"), decision),),
            hold=self._hold(),
            contents={},
        )

    def _hold(self) -> Hold:
        minute = timedelta(minutes=1)
        return Hold(
            id=f"esc_{self.name}",
            severity=Severity.HIGH,
            language=self.language,
            required=self.required,
            drawn=self.drawn,
            claim_within=minute,
            rule_within=minute,
            on_expiry=OnExpiry.BLOCK,
            expired=Output("", "content_filter"),
            offers=(),
        )


async def write(database: Database, *cases: Closed) -> None:
    """Write them, and keep the policy's text."""
    await keep(database, [(POLICY, DEFAULT)])
    store = LedgerStore(database)
    async with store.running():
        for each in cases:
            await store.write(each.write)
