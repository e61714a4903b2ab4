"""What may stand under `escalation` in a policy file."""

from typing import Annotated, Literal

from pydantic import Field

from inwit.cases import OnExpiry, RulingKind
from inwit.policy.fields import Share, Strict, TextByLanguage
from inwit.types import Severity

_Seconds = Annotated[int, Field(ge=1, le=7 * 86_400, strict=True)]


class SecondReviewIn(Strict):
    """When a second person rules too, without seeing what the first one said."""

    from_severity: Severity | None = Field(
        default=None, description="Every case of this severity or a worse one; none when missing."
    )
    share: Share = Field(default=0.0, description="The random share of all other cases.")


class EscalationIn(Strict):
    """Responses that a person is to rule on."""

    claim_within_s: _Seconds = Field(
        default=600, description="Seconds in which a reviewer must take the case."
    )
    rule_within_s: _Seconds = Field(
        default=600, description="Seconds from then in which it must be ruled on."
    )
    on_expiry: OnExpiry = Field(
        default=OnExpiry.BLOCK,
        description="What follows where nobody rules in time. next_tier: a senior gets as long "
        "again, once.",
    )
    expired_text: TextByLanguage | None = Field(
        default=None,
        description="What the caller gets where nobody ruled; the fallback text when missing.",
    )
    second_review: SecondReviewIn = Field(
        default_factory=SecondReviewIn, description="When two people must agree."
    )
    on_queue_down: Literal["hold", "block"] = Field(
        default="hold",
        description="What follows while the queue is away: the case waits in the ledger until "
        "the queue is back, or the response is blocked.",
    )
    reason_for: list[RulingKind] = Field(
        default_factory=lambda: [RulingKind.EDIT, RulingKind.BLOCK, RulingKind.ESCALATE],
        description="Rulings for which the reviewer must write a reason.",
    )
    clause_for: list[RulingKind] = Field(
        default_factory=lambda: [RulingKind.BLOCK],
        description="Rulings for which the reviewer must name the category that decides.",
    )
