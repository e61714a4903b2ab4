"""What `/v1/escalations` takes and answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from inwit.api.respond_answer import OutputMessage
from inwit.api.respond_request import ToolCall
from inwit.api.schemas import Wire, example
from inwit.cases import Case, CaseState, Output, Ruling, RulingKind, WhySkipped
from inwit.escalation.desk_rules import Opened
from inwit.ledger.case_files import CaseFile
from inwit.types import Category, Severity

_Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32,64}$")]
_RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{8,64}$")]
_LONGEST_REASON = 4000


class NextBody(Wire):
    """Asks for the case that comes first."""

    token: _Token | None = Field(
        None,
        description="For the lease, random and of your own making; one is made when missing.",
        examples=[None],
    )
    request_id: _RequestId | None = Field(
        None,
        description="Of your own making: the same one again, with the same token, gets the same "
        "case.",
        examples=["3f0c9a52b1d84e77"],
    )


class ClaimBody(Wire):
    """Claims one case."""

    token: _Token | None = Field(
        None,
        description="For the lease, random and of your own making: the same one again is the same "
        "claim.",
        examples=[None],
    )

    take_over: bool = Field(
        False,
        description="Take it from another place where you have it open.",
        examples=[False],
    )


class HeldBody(Wire):
    """Names the lease."""

    token: _Token = Field(description="The lease's token, as the claim gave it.", examples=["…"])


class ReleaseBody(HeldBody):
    """Gives a case back."""

    why: WhySkipped | None = Field(
        None,
        description="Why it is not for you: you will not get it again. `conflict` is a conflict of "
        "interest. Without it, it may come back to you.",
        examples=["expertise"],
    )


class EditBody(HeldBody):
    """A text in the candidate's place, to be judged."""

    text: str = Field(description="Exactly what is to be released.", examples=["Call your bank."])


class FirstVerdictBody(HeldBody):
    """What you say before the scores and the rewrite are shown."""

    kind: RulingKind = Field(description="Your first verdict.", examples=["approve"])


class RulingBody(HeldBody):
    """A ruling, and what you saw."""

    kind: RulingKind = Field(description="What is to happen.", examples=["approve"])
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The digest of the offer, or of the edit that was judged; for `block` and "
        "`escalate` that of the offer `approve`.",
        examples=["9f2c" + "0" * 60],
    )
    policy_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The digest of the policy, as the case says it.", examples=["4be1" + "0" * 60]
    )
    clause: Category | None = Field(
        None, description="The category that decides, where the policy wants it.", examples=[None]
    )
    reason: Annotated[str, Field(max_length=_LONGEST_REASON)] = Field(
        "", description="Why, where the policy wants it.", examples=[""]
    )
    despite_flags: bool = Field(
        False,
        description="Release your edit although the judges did not pass it.",
        examples=[False],
    )
    request_id: _RequestId = Field(
        description="Of your own making: the same one again is the same ruling.",
        examples=["8d1e60f2a4b34c11"],
    )


class UndoBody(Wire):
    """Takes a ruling back."""

    ruling: str = Field(description="Its id.", examples=["rul_5f0c"])


class OfferOut(Wire):
    """A text that can be released as it stands."""

    digest: str = Field(description="Name it by this in the ruling.", examples=["9f2c" + "0" * 60])
    output: OutputMessage = Field(
        description="What would leave.", examples=[example(OutputMessage)]
    )
    masked: dict[str, int] = Field(
        description="Private data masked in it, by kind.", examples=[{"email": 1}]
    )


class CaseOut(Wire):
    """A case, without what was written."""

    id: str = Field(description="Id of the escalation.", examples=["esc_5f0c"])
    response: str = Field(description="The response that it holds.", examples=["resp_5f0c"])
    state: CaseState = Field(description="Where it is.", examples=["pending"])
    policy: str = Field(description="The policy that decided.", examples=["default"])
    policy_digest: str = Field(description="Its digest.", examples=["4be1" + "0" * 60])
    severity: Severity = Field(description="The worst that was found.", examples=["high"])
    categories: list[Category] = Field(description="What was found.", examples=[["privacy_leak"]])
    language: str = Field(description="Of the last user turn, ISO 639-1.", examples=["en"])
    tier: int = Field(description="1 for reviewers, 2 for seniors.", examples=[1])
    stuck: bool = Field(description="Whether too many leases on it ran out.", examples=[False])
    opened: str = Field(description="Since when.", examples=["2026-11-23T12:00:00+00:00"])
    due: str = Field(
        description="Until when it must be claimed or, once it was, ruled on.",
        examples=["2026-11-23T12:10:00+00:00"],
    )


class CaseList(Wire):
    """Cases, the oldest first."""

    cases: list[CaseOut] = Field(description="A page of them.", examples=[[]])
    next: str | None = Field(description="`after` of the next page, if any.", examples=[None])


class FileOut(CaseOut):
    """A case with what was written and judged. Reading it is recorded."""

    messages: list[dict[str, Any]] = Field(description="The conversation.", examples=[[]])
    context: list[dict[str, Any]] = Field(description="The passages.", examples=[[]])
    candidate: str = Field(description="As the model wrote it.", examples=["…"])
    offers: dict[RulingKind, OfferOut] = Field(
        description="What can be released, by ruling; without the rewrite while `blind`.",
        examples=[{"approve": example(OfferOut)}],
    )
    review: dict[str, Any] | None = Field(
        description="The rounds as the ledger has them; null while `blind`.", examples=[None]
    )
    spans: list[str] = Field(description="What the conscience flagged.", examples=[[]])
    why: str = Field(description="What it says of that.", examples=[""])
    blind: bool = Field(
        description="Whether a first verdict is due before the rest is shown.", examples=[False]
    )
    draft: str | None = Field(description="Your own unfinished edit.", examples=[None])


class LeaseOut(Wire):
    """Your hold on a case."""

    token: str = Field(description="Keep it: it is told here only.", examples=["…"])
    until: str = Field(description="Renew it before.", examples=["2026-11-23T12:02:00+00:00"])


class ClaimedOut(Wire):
    """A case that is yours for now."""

    case: FileOut = Field(description="The case.", examples=[example(FileOut)])
    lease: LeaseOut = Field(description="Your hold on it.", examples=[example(LeaseOut)])


class EditOut(Wire):
    """What the judges made of your text."""

    digest: str = Field(description="Name it by this in the ruling.", examples=["77aa" + "0" * 60])
    passed: bool = Field(description="Whether nothing speaks against it.", examples=[True])
    action: str = Field(description="What the policy would make of it.", examples=["allow"])
    reasons: list[str] = Field(description="Why.", examples=[[]])
    categories: list[str] = Field(description="What was found.", examples=[[]])
    verdicts: list[dict[str, Any]] = Field(description="Each judge's verdict.", examples=[[]])
    model: str = Field(description="The model that judged it.", examples=["my-model"])
    instead_of: str | None = Field(
        description="The case's own model, where it is served no more.", examples=[None]
    )


class RulingOut(Wire):
    """What became of a ruling."""

    id: str = Field(description="Its id.", examples=["rul_5f0c"])
    effect: Literal["settled", "waits", "learning_only"] = Field(
        description="settled: the case is over. waits: it can be taken back until `takes_effect`, "
        "or more rulings are needed. learning_only: it came too late, and releases nothing.",
        examples=["settled"],
    )
    takes_effect: str = Field(
        description="From when it counts.", examples=["2026-11-23T12:00:10+00:00"]
    )
    case: CaseOut = Field(description="The case after it.", examples=[example(CaseOut)])


def case_out(case: Case) -> CaseOut:
    """A case without content."""
    return CaseOut(**_case(case))


def file_out(file: CaseFile, *, blind: bool) -> FileOut:
    """A case with its content; less of it while a first verdict is due."""
    explained = None if blind else file.candidate["explanation"]
    shown = {RulingKind.APPROVE} if blind else set(RulingKind)
    return FileOut(
        **_case(file.case),
        messages=file.request["messages"],
        context=file.request["context"],
        candidate=file.candidate["text"],
        offers={kind: _offer(output) for kind, output in file.offers.items() if kind in shown},
        review=None if blind else {"rounds": file.facts["rounds"]},
        spans=explained["spans"] if explained else [],
        why=explained["reason"] if explained else "",
        blind=blind,
        draft=file.draft,
    )


def claimed_out(opened: Opened) -> ClaimedOut:
    """A case on its reviewer's desk."""
    lease = LeaseOut(token=opened.lease.token, until=opened.lease.until.isoformat())
    return ClaimedOut(case=file_out(opened.file, blind=opened.blind), lease=lease)


def ruling_out(ruling: Ruling, case: Case) -> RulingOut:
    """What became of a ruling."""
    effect = "waits" if case.state.open else "settled"
    return RulingOut(
        id=ruling.id,
        effect=effect if ruling.counts else "learning_only",
        takes_effect=ruling.takes_effect.isoformat(),
        case=case_out(case),
    )


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "response": case.response_id,
        "state": case.state,
        "policy": case.policy.name,
        "policy_digest": case.policy.digest,
        "severity": case.severity,
        "categories": list(case.categories),
        "language": case.language,
        "tier": case.tier,
        "stuck": case.stuck,
        "opened": case.opened.isoformat(),
        "due": case.due.isoformat(),
    }


def _offer(output: Output) -> OfferOut:
    return OfferOut(
        digest=output.digest,
        output=OutputMessage(
            role="assistant",
            content=output.text,
            tool_calls=[ToolCall.model_validate(call.as_openai()) for call in output.tool_calls],
            finish_reason=output.finish_reason,
        ),
        masked=dict(output.masked),
    )
