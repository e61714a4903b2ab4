"""Makes held responses of the cases that this project wrote. Their scores are made up, too."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from inwit.cases import Hold, Offer, OnExpiry, Output, RulingKind
from inwit.decisions import (
    Decision,
    Explanation,
    ExplanationStatus,
    Origin,
    Reason,
    Record,
    RewriteOutcome,
    Round,
    Usages,
)
from inwit.languages import language_of
from inwit.pipeline.held import held_content
from inwit.pipeline.ledger_contents import contents_of
from inwit.policy.policy import Policy
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import (
    Action,
    Call,
    Candidate,
    Category,
    Enforcement,
    Message,
    Principal,
    ReviewStatus,
    Severity,
    ToolCall,
    Usage,
    Verdict,
)

MODEL = "written-by-hand"  # what verdicts and texts name: no model wrote, and none judged
TENANT = "demo"

_FOLDER = Path(__file__).parent
_CLAIM_WITHIN = timedelta(hours=8)
_RULE_WITHIN = timedelta(minutes=30)

Case = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """A case of a file and the held response that was made of it."""

    case: Case
    case_id: str
    record: Record


def open_drafts(policy: Policy, key_id: str, model: str) -> list[Draft]:
    """The cases that wait, under this policy. `model` is the one served: it judges their edits."""
    return _drafts("cases.yaml", policy, key_id, model)


def closed_drafts(policy: Policy, key_id: str, model: str) -> list[Draft]:
    """The cases that people of the demo have ruled on; two of them on each."""
    return _drafts("closed.yaml", policy, key_id, model)


def _drafts(file: str, policy: Policy, key_id: str, model: str) -> list[Draft]:
    cases = yaml.safe_load((_FOLDER / file).read_text("utf-8"))
    return [_draft(case, policy, key_id, model) for case in cases]


def _draft(case: Case, policy: Policy, key_id: str, model: str) -> Draft:
    response_id = f"resp_{uuid.uuid4().hex}"
    messages = (Message("user", case["asked"]),)
    principal = Principal(key_id, TENANT, (policy.name,), frozenset())
    rounds = _rounds(case)
    blocked = Output(policy.fallback_text, "content_filter")
    hold = _hold(case, response_id, rounds, blocked)
    contents = contents_of(Call(principal, messages), rounds, blocked)
    record = Record(
        origin=Origin(
            response_id, principal, policy.ref, model, Enforcement.FULL, f"req_{uuid.uuid4().hex}"
        ),
        time=datetime.now(UTC),
        decision=rounds[-1].decision,
        rounds=rounds,
        rewrites=(RewriteOutcome.FLAGGED,) * (len(rounds) - 1),
        has_input_stage=False,
        input=None,
        input_flagged=False,
        passages=(),
        finish_reason="content_filter",
        masked={},
        usage=Usages(Usage(), Usage()),
        sent=None,
        hold=hold,
        timings_ms={"total": 0.0},
        contents={**contents, "held": held_content(hold)},
    )
    return Draft(case, hold.id, record)


def _rounds(case: Case) -> tuple[Round, ...]:
    tool = case.get("tool")
    calls = (ToolCall("call_1", tool["name"], tool["arguments"]),) if tool else ()
    first = Candidate(case["candidate"].strip(), MODEL, tool_calls=calls)
    rounds = [_round(case, first, case["risk"])]
    if "rewrite" in case:
        rounds.append(_round(case, Candidate(case["rewrite"].strip(), MODEL), 0.45))
    return tuple(rounds)


def _round(case: Case, candidate: Candidate, risk: float) -> Round:
    categories = tuple(Category(each) for each in case["categories"])
    verdicts = [
        Verdict("conscience", ReviewStatus.JUDGED, risk, 0.9, model=MODEL, covers=candidate.digest)
    ]
    if case["classifier"] is not None:
        verdicts.append(Verdict("classifier", ReviewStatus.JUDGED, case["classifier"], model=MODEL))
    decision = Decision(
        Action.ESCALATE,
        (Reason.IN_DOUBT if risk < 0.7 else Reason.ABOVE_UPPER,),
        tuple(verdicts),
        candidate.digest,
        reviewed=True,
        categories=categories,
    )
    spans = tuple(case.get("spans", ()))
    explained = Explanation(ExplanationStatus.NAMED, categories, spans, case["reason"])
    return Round(candidate, decision, explanation=explained)


def _hold(case: Case, response_id: str, rounds: tuple[Round, ...], blocked: Output) -> Hold:
    first, *rewrites = rounds
    finish = "tool_calls" if first.candidate.tool_calls else "stop"
    offers = [
        Offer(
            RulingKind.APPROVE,
            Output(first.candidate.text, finish, first.candidate.tool_calls),
        )
    ]
    offers += [
        Offer(RulingKind.APPROVE_REWRITE, Output(each.candidate.text, "stop")) for each in rewrites
    ]
    return Hold(
        id=response_id.replace("resp_", "esc_", 1),
        severity=_severity(case),
        language=language_of(case["asked"])[0],
        required=2 if "rulings" in case or _severity(case) is Severity.CRITICAL else 1,
        drawn=False,
        claim_within=_CLAIM_WITHIN,
        rule_within=_RULE_WITHIN,
        on_expiry=OnExpiry.BLOCK,
        expired=blocked,
        offers=tuple(offers),
        waits=timedelta(seconds=case.get("in_line_s", 0)),
    )


def _severity(case: Case) -> Severity:
    found = [TAXONOMY[Category(each)].severity for each in case["categories"]]
    return max(found, key=lambda severity: severity.rank, default=Severity.MEDIUM)
