"""Cases for people: frozen values, free of I/O. Below `decisions.py`, which has what judges say.

A case is what the queue keeps of one escalation. It has slots, one for each ruling that it needs;
a reviewer claims a slot under a lease, and rules. docs/escalations.md has the whole story.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from inwit.types import Category, FinishReason, PolicyRef, Severity, ToolCall, digest_of

TOP_TIER = 2  # seniors; reviewers are the first
EVERY_PART = "every"  # of a case was shown: its page covered nothing


@dataclass(frozen=True, slots=True)
class Output:
    """What leaves: the text, the tool calls, why it ends, and what was masked in it."""

    text: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    masked: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def digest(self) -> str:
        """SHA-256 over everything that would leave."""
        calls = [part for call in self.tool_calls for part in (call.id, call.name, call.arguments)]
        return digest_of(self.text, self.finish_reason, *calls)


class RulingKind(StrEnum):
    """What a person says."""

    APPROVE = "approve"
    APPROVE_REWRITE = "approve_rewrite"
    EDIT = "edit"
    BLOCK = "block"
    ESCALATE = "escalate"


class CaseState(StrEnum):
    """Where a case is."""

    PENDING = "pending"
    CLAIMED = "claimed"
    RESOLVED = "resolved"
    EXPIRED = "expired"
    GOLDEN = "golden"  # one with a known answer, of which copies are shown

    @property
    def open(self) -> bool:
        """Whether somebody may still rule on it."""
        return self in (CaseState.PENDING, CaseState.CLAIMED)


class OnExpiry(StrEnum):
    """What follows where nobody rules in time."""

    BLOCK = "block"
    NEXT_TIER = "next_tier"


class WhySkipped(StrEnum):
    """Why a reviewer gives a case back for good. `conflict` is a conflict of interest."""

    UNSURE = "unsure"
    LANGUAGE = "language"
    EXPERTISE = "expertise"
    TOO_HARD = "too_hard_to_read"
    CONFLICT = "conflict"


class Role(StrEnum):
    """What a person may do (docs/console.md has the matrix)."""

    REVIEWER = "reviewer"
    SENIOR = "senior"
    AUDITOR = "auditor"
    ADMIN = "admin"

    @property
    def tiers(self) -> tuple[int, ...]:
        """The tiers of the cases that they rule on."""
        match self:
            case Role.REVIEWER:
                return (1,)
            case Role.SENIOR:
                return (1, 2)
            case Role.AUDITOR | Role.ADMIN:
                return ()


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person, or an API key with the role `review`, as the queue knows them.

    `id` is a pseudonym: it stands in the ledger, and names nobody. An empty `tenants`, `policies`
    or `languages` means all of them. `clearance` is the worst severity that they are shown.
    """

    id: str
    role: Role
    tenants: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    clearance: Severity = Severity.CRITICAL
    opted_out: frozenset[Category] = frozenset()

    def may_see(self, case: "Case") -> bool:
        """Whether they may look at this case at all."""
        return _among(case.tenant, self.tenants) and _among(case.policy.name, self.policies)

    def may_read(self, case: "Case") -> bool:
        """Whether they are shown what was written in it."""
        return (
            self.may_see(case)
            and case.severity.rank <= self.clearance.rank
            and not self.opted_out & set(case.categories)
        )

    def may_rule(self, case: "Case", tier: int) -> bool:
        """Whether a slot of this tier can be theirs; exclusions apart."""
        return (
            self.may_read(case)
            and tier in self.role.tiers
            and _among(case.language, self.languages)
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """A text that a person may release as it stands: masked as the policy says, and final."""

    kind: RulingKind
    output: Output

    @property
    def digest(self) -> str:
        """By which a ruling names what its person saw."""
        return self.output.digest


@dataclass(frozen=True, slots=True)
class Hold:
    """What the policy said of an escalation when it was decided; frozen for its whole life.

    `required` rulings by so many people; `drawn` says that the second one comes of the random
    share. `claim_within` and `rule_within` are the two clocks of each tier.
    `expired` is what the caller gets where nobody ruled.
    `waits` is how long the caller waits in line for the ruling, and `callback_url` is told of it.
    """

    id: str
    severity: Severity
    language: str
    required: int
    drawn: bool
    claim_within: timedelta
    rule_within: timedelta
    on_expiry: OnExpiry
    expired: Output
    offers: tuple[Offer, ...]
    waits: timedelta = timedelta(0)
    callback_url: str | None = None

    @property
    def longest(self) -> timedelta:
        """After which it is settled, whatever people do: both clocks, in every tier."""
        return (self.claim_within + self.rule_within) * TOP_TIER


@dataclass(frozen=True, slots=True)
class Lease:
    """A reviewer's hold on a slot, in one tab. Only the SHA-256 of `token` is stored."""

    case_id: str
    slot: int
    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """Room for one ruling. `reviewer` holds it, or has ruled; `expirations` counts lost leases.

    `first_verdict` is what its reviewer said before the scores and the rewrite were shown; `shown`
    names the parts of the case that they were shown while they hold it.
    """

    number: int
    tier: int
    reviewer: str | None = None
    lease_hash: bytes | None = None
    lease_until: datetime | None = None
    expirations: int = 0
    ruled: bool = False
    first_verdict: RulingKind | None = None
    shown: frozenset[str] = frozenset()

    def showed(self, part: str) -> bool:
        """Whether its reviewer was shown this part."""
        return bool(self.shown & {part, EVERY_PART})

    def leased(self, now: datetime) -> bool:
        """Whether somebody holds it now."""
        return self.lease_until is not None and now < self.lease_until


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one person said. `counts` is false where it came too late: kept for learning only.

    `digest` is that of the bytes which the person saw and means; `takes_effect` lies ahead while
    the ruling can be undone. `clause` names the category of the policy that it leans on.
    """

    id: str
    case_id: str
    slot: int
    reviewer: str
    kind: RulingKind
    digest: str
    clause: str | None
    time: datetime
    takes_effect: datetime
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """One escalation as the ledger's database has it.

    `due` is the clock that runs now: to be claimed, or once it was claimed to be ruled. `stuck`
    says that too many leases were lost on it. `expected` is the known answer of a golden case, of
    which nothing is ever released. `version` grows with each change that the queue must know.
    """

    id: str
    response_id: str
    tenant: str
    policy: PolicyRef
    language: str
    severity: Severity
    categories: tuple[Category, ...]
    tier: int
    required: int
    state: CaseState
    stuck: bool
    expected: RulingKind | None
    opened: datetime
    due: datetime
    claimed_first: datetime | None
    waits_until: datetime | None
    version: int
    slots: tuple[Slot, ...]
    excluded: frozenset[str] = frozenset()
    closed: datetime | None = None

    @property
    def open_slots(self) -> tuple[Slot, ...]:
        """Those that wait for a ruling."""
        return tuple(slot for slot in self.slots if not slot.ruled)


class ActKind(StrEnum):
    """What people, and the queue itself, do; each is an entry of the ledger."""

    CLAIMED = "claimed"
    RELEASED = "released"
    SKIPPED = "skipped"
    VIEWED = "viewed"
    REVEALED = "revealed"
    EDIT_CHECKED = "edit_checked"
    FIRST_VERDICT = "first_verdict"
    RULED = "ruled"
    UNDONE = "undone"
    RULED_LATE = "ruled_late"
    LEASE_EXPIRED = "lease_expired"
    RAISED = "raised"
    OUTCOME = "outcome"
    REPAIRED = "repaired"
    DELIVERED = "delivered"
    DELIVERY_GIVEN_UP = "delivery_given_up"
    EXPORTED = "exported"
    REFUSED = "refused"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    CHANGED = "changed"
    POLICY_IN_FORCE = "policy_in_force"
    POLICY_WITHDRAWN = "policy_withdrawn"
    POLICY_REFUSED = "policy_refused"
    ERASED = "erased"
    HELD = "held"
    LIFTED = "lifted"
    PRUNED = "pruned"
    SIGNING_KEYS = "signing_keys"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ActRecord:
    """An act for the ledger. `actor` is a pseudonym, or None for the queue itself.

    `facts` are JSON values without content; what people wrote goes into `contents`.
    """

    kind: ActKind
    time: datetime
    tenant: str
    actor: str | None
    facts: Mapping[str, Any]
    contents: Mapping[str, bytes]
    response_id: str = ""
    case_id: str = ""


class Settled(StrEnum):
    """How a case ended."""

    RULED = "ruled"
    NOBODY_RULED = "nobody_ruled"


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an escalation ended: what leaves, and by which ruling, if any."""

    ending: Settled
    ruling: RulingKind | None
    output: Output
    time: datetime

    @property
    def released(self) -> bool:
        """Whether a person let a text out."""
        return self.ruling not in (None, RulingKind.BLOCK)


def _among(value: str, allowed: frozenset[str]) -> bool:
    return not allowed or value in allowed
