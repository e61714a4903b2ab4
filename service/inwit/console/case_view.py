"""What the templates of a case are given: words and marked texts, and nothing that is not shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inwit.cases import TOP_TIER, Case, CaseState, RulingKind
from inwit.console.visible import Range, Run, occurrences, runs, typed
from inwit.console.word_diff import differences
from inwit.console.work import waits
from inwit.decisions import RewriteOutcome
from inwit.escalation.rank import reasons
from inwit.ledger.case_files import CaseFile
from inwit.policy.policy import Policy
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Category, ReviewStatus

CONVERSATION, CANDIDATE, REWRITE, RULINGS = "conversation", "candidate", "rewrite", "rulings"
PARTS = (CONVERSATION, CANDIDATE, REWRITE, RULINGS)

TITLES = {
    CONVERSATION: "Conversation",
    CANDIDATE: "Candidate",
    REWRITE: "Rewrite",
    RULINGS: "Rulings so far",
}
KINDS = {
    RulingKind.APPROVE: "Approve the candidate",
    RulingKind.APPROVE_REWRITE: "Approve the rewrite",
    RulingKind.EDIT: "Edit",
    RulingKind.BLOCK: "Block",
    RulingKind.ESCALATE: "Escalate to a senior",
}

_TEXTLESS = (RewriteOutcome.FAILED, RewriteOutcome.REFUSAL)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with what it is, both as they were written by others."""

    label: tuple[Run, ...]
    text: tuple[Run, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of the conversation."""

    role: str
    name: tuple[Run, ...]
    text: tuple[Run, ...]
    calls: tuple[Labelled, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model was given: the conversation, retrieved passages, and the tools' names."""

    turns: tuple[Turn, ...]
    passages: tuple[Labelled, ...]
    tools: tuple[tuple[Run, ...], ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """What one judge made of a text, in words. `reviewed` is false where it made nothing of it."""

    name: str
    words: str
    reviewed: bool
    calibrated: str
    labels: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that may be released, as it would leave; with what was said of it, unless blind."""

    part: str
    text: tuple[Run, ...]
    reasoning: tuple[Run, ...]
    calls: tuple[Labelled, ...]
    masked: str
    judges: tuple[Judge, ...] = ()
    why: tuple[str, ...] = ()
    explained: tuple[Run, ...] = ()
    unplaced: tuple[tuple[Run, ...], ...] = ()
    compared: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """What a policy says of a category."""

    category: str
    title: str
    severity: str
    action: str


def why_first(case: Case, now: datetime, *, blind: bool) -> tuple[str, ...]:
    """Why it has its place. Severity comes of the judges: it is not told before a verdict."""
    found = reasons(case, now)
    return found[1:] if blind else found


def heading(case: Case, now: datetime, *, blind: bool) -> tuple[str, ...]:
    """Why it came first, on its own page: without how long it waited, which is over."""
    return why_first(case, now, blind=blind)[:-1]


def caller(file: CaseFile, now: datetime) -> str:
    """Whether somebody waits for the answer, and how they will get it."""
    called = " A callback will tell them." if file.terms.callback_url else ""
    if waits(file.case, now):
        return "The caller waits in line." + called
    if file.case.waits_until is not None:
        return "The caller waited in line, and is gone." + called
    return "Nobody waits in line." + (called or " The caller asks for the answer later.")


def asked(file: CaseFile) -> Asked:
    """The conversation, and what came with it."""
    request = file.request
    passages: list[Mapping[str, Any]] = file.facts.get("passages") or []
    return Asked(
        turns=tuple(
            Turn(each.role, runs(each.name or ""), runs(each.content), _calls(each.tool_calls))
            for each in file.messages
        ),
        passages=tuple(
            Labelled(runs(f"{each['id']} · {each['source']}"), runs(each["text"]), _used(facts))
            for each, facts in zip(request["context"], passages, strict=False)
        ),
        tools=tuple(runs(str(each["function"]["name"])) for each in request["tools"]),
    )


def candidate(file: CaseFile, *, blind: bool) -> Answer:
    """What the model wrote, as it would leave."""
    rewrite = file.offers.get(RulingKind.APPROVE_REWRITE)
    offer = file.offers[RulingKind.APPROVE]
    written = file.candidate
    if blind:
        return _answer(file, CANDIDATE, written, (), ())
    changed = differences(offer.text, rewrite.text).removed if rewrite else ()
    return _answer(file, CANDIDATE, written, changed, _verdicts(file, 0), compared=bool(rewrite))


def rewritten(file: CaseFile) -> Answer | None:
    """The last rewrite, where there is one that may be released."""
    offer = file.offers.get(RulingKind.APPROVE_REWRITE)
    if offer is None or not file.rewrites:
        return None
    changed = differences(file.offers[RulingKind.APPROVE].text, offer.text).added
    verdicts = _verdicts(file, -1)
    return _answer(file, REWRITE, file.rewrites[-1], changed, verdicts, compared=True)


def best_part(file: CaseFile) -> str:
    """Of which part an edit begins."""
    return REWRITE if RulingKind.APPROVE_REWRITE in file.offers else CANDIDATE


def to_edit(file: CaseFile) -> str:
    """The text that an edit begins with: the reader's own draft, or the best offer."""
    if file.draft is not None:
        return typed(file.draft)
    best = RulingKind.APPROVE_REWRITE if best_part(file) == REWRITE else RulingKind.APPROVE
    return typed(file.offers[best].text)


def kinds(file: CaseFile, tier: int) -> tuple[RulingKind, ...]:
    """The rulings that this case can have, in the order of their keys."""
    missing = {RulingKind.APPROVE_REWRITE} - file.offers.keys()
    if tier >= TOP_TIER:
        missing.add(RulingKind.ESCALATE)
    return tuple(kind for kind in KINDS if kind not in missing)


def clauses(case: Case, policy: Policy | None) -> tuple[Clause, ...]:
    """What the policy says of the categories that were named."""
    return tuple(_clause(category, policy) for category in case.categories)


def choices(case: Case, policy: Policy | None) -> tuple[Clause, ...]:
    """The clauses on which a ruling can lean: those named first."""
    every = tuple(policy.categories) if policy else tuple(Category)
    ordered = dict.fromkeys((*case.categories, *every))
    return tuple(_clause(category, policy) for category in ordered)


def ending(case: Case) -> str:
    """How a case stands, in words."""
    match case.state:
        case CaseState.RESOLVED:
            return "It was ruled on, and is closed."
        case CaseState.EXPIRED | CaseState.GOLDEN:
            return "Nobody ruled on it in time, and it is closed."
        case CaseState.PENDING:
            return "It waits for a reviewer."
        case CaseState.CLAIMED:
            return "A reviewer has it."


def words(value: str) -> str:
    """One of our own values as words."""
    return value.replace("_", " ")


def _clause(category: Category, policy: Policy | None) -> Clause:
    rule = policy.categories.get(category) if policy else None
    harm = rule.harm if rule else TAXONOMY[category]
    action = rule.action.value if rule else "not in the policy that is in force"
    return Clause(category.value, harm.title, harm.severity.value, action)


def _answer(
    file: CaseFile,
    part: str,
    written: Mapping[str, Any],
    changed: Sequence[Range],
    told: tuple[Judge, ...],
    *,
    compared: bool = False,
) -> Answer:
    kind = RulingKind.APPROVE if part == CANDIDATE else RulingKind.APPROVE_REWRITE
    offer = file.offers[kind]
    explanation: Mapping[str, Any] = (written.get("explanation") or {}) if told else {}
    spans: list[str] = list(explanation.get("spans", ()))
    return Answer(
        part=part,
        text=runs(offer.text, changed, occurrences(offer.text, spans)),
        reasoning=runs(written["reasoning"]),
        calls=_calls([call.as_openai() for call in offer.tool_calls]),
        masked=", ".join(f"{words(name)}: {count}" for name, count in offer.masked.items()),
        judges=tuple(told),
        why=_why(file, part) if told else (),
        explained=runs(explanation.get("reason", "")),
        unplaced=tuple(runs(span) for span in spans if span not in offer.text),
        compared=compared,
    )


def _why(file: CaseFile, part: str) -> tuple[str, ...]:
    round_ = file.facts["rounds"][0 if part == CANDIDATE else -1]
    found = [words(reason) for reason in round_["reasons"]]
    # The others are of attempts that brought no text: the rewrite shown is of the last that did.
    shown = [each for each in file.facts["rewrites"] if each not in _TEXTLESS]
    if part == REWRITE and shown:
        found = [f"this rewrite: {words(shown[-1])}", *found]
    if round_["disagreement"]:
        found.append("the judges disagree")
    return tuple(found)


def _verdicts(file: CaseFile, number: int) -> tuple[Judge, ...]:
    judges = [_judge(each) for each in file.facts["rounds"][number]["verdicts"]]
    return tuple(judges) or (Judge("no judge", "not reviewed", False, "", ""),)


def _judge(verdict: Mapping[str, Any]) -> Judge:
    reviewed = verdict["status"] == ReviewStatus.JUDGED.value
    fault = words(verdict.get("fault") or verdict["status"])
    risk = f"risk {verdict['risk']:.2f} of 1" if reviewed else f"not reviewed: {fault}"
    calibrated = "calibrated" if verdict["calibrated"] else "not calibrated"
    named = [TAXONOMY[Category(each)].title for each in verdict.get("categories", ())]
    return Judge(
        name=verdict["judge"],
        words=risk,
        reviewed=reviewed,
        calibrated=calibrated if reviewed else "",
        labels=", ".join(named),
    )


def _calls(calls: Sequence[Mapping[str, Any]]) -> tuple[Labelled, ...]:
    functions: list[Mapping[str, Any]] = [call.get("function", {}) for call in calls]
    return tuple(
        Labelled(runs(str(each.get("name", ""))), runs(str(each.get("arguments", ""))))
        for each in functions
    )


def _used(facts: Mapping[str, Any]) -> str:
    note = "given to the model" if facts["used"] else "kept from the model"
    return f"{note}; holds instructions" if facts.get("flagged") else note
