"""Puts the page of a case together: what of it this person may see now, and what is covered."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request, Response

from inwit.cases import TOP_TIER, Case, CaseState, RulingKind, Slot
from inwit.console import case_view
from inwit.console.case_view import CANDIDATE, CONVERSATION, REWRITE, RULINGS
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import OutOfSight, Permission, Visitor
from inwit.console.said_before import Before, said_before
from inwit.console.wishes import Wishes, wishes_of
from inwit.console.work import Work
from inwit.escalation.desk_rules import Opened
from inwit.ledger.case_files import CaseFile
from inwit.ledger.escalations import cases_by_id


@dataclass(frozen=True, slots=True)
class Sheet:
    """A case before somebody. `open`: they hold it, and rule on it; else they read it.

    `others` are rulings that they may see: none of them while they are one of two who rule blind
    of each other. `slot` is theirs, where they hold the case.
    """

    file: CaseFile
    wishes: Wishes
    now: datetime
    blind: bool
    open: bool
    slot: Slot | None
    others: tuple[Before, ...]

    @property
    def case(self) -> Case:
        """The case itself."""
        return self.file.case

    @property
    def tier(self) -> int:
        """In which they rule; 0 where they do not."""
        return self.slot.tier if self.slot else 0

    def covered(self, part: str) -> bool:
        """Whether a part waits to be revealed."""
        shown = self.slot is not None and self.slot.showed(part)
        return self.wishes.covers(self.case.severity) and not shown

    @property
    def parts(self) -> tuple[str, ...]:
        """Those that there are for this person now."""
        found = [CONVERSATION, CANDIDATE]
        if not self.blind and RulingKind.APPROVE_REWRITE in self.file.offers:
            found.append(REWRITE)
        if self.others:
            found.append(RULINGS)
        return tuple(found)

    def shown(self, name: str) -> Mapping[str, Any]:
        """What the template of a part is given: nothing of its text while it is covered."""
        if self.covered(name):
            return {"name": name, "title": case_view.TITLES[name], "content": None}
        return self.part(name)

    def part(self, name: str) -> Mapping[str, Any]:
        """The same, with its text.

        Raises:
            OutOfSight: it is no part of what this person sees now.
        """
        if name not in self.parts:
            raise OutOfSight
        content: Any = None
        match name:
            case case_view.CONVERSATION:
                content = case_view.asked(self.file)
            case case_view.CANDIDATE:
                content = case_view.candidate(self.file, blind=self.blind)
            case case_view.REWRITE:
                content = case_view.rewritten(self.file)
            case _:
                content = self.others
        return {"name": name, "title": case_view.TITLES[name], "content": content}


async def seen(parts: ConsoleParts, visitor: Visitor, case_id: str) -> Case:
    """The case, where there is one for this person. A golden copy is its reviewer's alone.

    Raises:
        OutOfSight: there is none, or not for them.
        LedgerError: the database failed.
    """
    found = await parts.database.read(lambda each: cases_by_id(each, [case_id]))
    case = visitor.seen(found[0] if found else None)
    own = any(slot.reviewer == visitor.account.id for slot in case.slots)
    if case.expected is not None and not own:
        raise OutOfSight
    return case


def works_on(visitor: Visitor, case: Case) -> bool:
    """Whether this person could be one of those who rule on it: then it is claimed to be read."""
    return visitor.may(Permission.CLAIM) and case.state.open


async def sheet_of(
    parts: ConsoleParts, visitor: Visitor, opened: Opened | None, file: CaseFile
) -> Sheet:
    """The sheet of a case that they hold (`opened`), or that they read."""
    case, account = file.case, visitor.account
    slot = None
    if opened is not None:
        slot = next(each for each in case.slots if each.number == opened.lease.slot)
    only = None
    if opened is None:
        only = None if visitor.may(Permission.SEE_RULINGS) else account.id
    reads = slot is None or slot.tier >= TOP_TIER
    others = await parts.database.read(lambda each: said_before(each, case, only)) if reads else []
    return Sheet(
        file=file,
        wishes=wishes_of(account),
        now=datetime.now(UTC),
        blind=opened is not None and opened.blind,
        open=opened is not None,
        slot=slot,
        others=tuple(others),
    )


async def page(
    request: Request, parts: ConsoleParts, work: Work, visitor: Visitor, opened: Opened
) -> Response:
    """The whole page of a case that this person holds."""
    sheet = await sheet_of(parts, visitor, opened, opened.file)
    values = await asyncio.to_thread(_values, sheet, work)
    left_s = (opened.lease.until - sheet.now).total_seconds()
    return parts.pages.render(
        request,
        "case.html",
        token=opened.lease.token,
        left_s=left_s,
        lease_s=work.desk.rules.lease_s,
        anew=False,
        oob=False,
        request_id=secrets.token_urlsafe(24),
        **values,
    )


async def reading(
    request: Request, parts: ConsoleParts, work: Work, visitor: Visitor, file: CaseFile
) -> Response:
    """The page of a case that this person reads."""
    sheet = await sheet_of(parts, visitor, None, file)
    values = await asyncio.to_thread(_values, sheet, work)
    return parts.pages.render(request, "case_read.html", token="", **values)


def editor(sheet: Sheet) -> Mapping[str, Any]:
    """What the field for an edit is given. It shows once the part that it begins with does."""
    part = case_view.best_part(sheet.file)
    text = case_view.to_edit(sheet.file)
    calls = bool(sheet.file.offers[RulingKind.APPROVE].tool_calls)
    draft = sheet.file.draft is not None
    return {
        "part": part,
        "title": case_view.TITLES[part],
        "text": text,
        "draft": draft,
        "calls": calls,
    }


def _values(sheet: Sheet, work: Work) -> dict[str, Any]:
    case, file = sheet.case, sheet.file
    policy = work.policies.current.get(case.policy.name)
    rule = policy.escalation if policy else None
    return {
        "case": case,
        "sheet": sheet,
        "parts": [sheet.shown(name) for name in sheet.parts],
        "reasons": case_view.heading(case, sheet.now, blind=sheet.blind),
        "due_s": (case.due - sheet.now).total_seconds(),
        "caller": case_view.caller(file, sheet.now),
        "ending": case_view.ending(case),
        "clauses": case_view.clauses(case, policy),
        "choices": case_view.choices(case, policy),
        "policy_changed": policy is None or policy.ref.digest != case.policy.digest,
        "kinds": [
            (kind.value, case_view.KINDS[kind]) for kind in case_view.kinds(file, sheet.tier)
        ],
        "digests": {kind.value: offer.digest for kind, offer in file.offers.items()},
        "reason_for": sorted(rule.reason_for) if rule else [],
        "clause_for": sorted(rule.clause_for) if rule else [],
        "editor": editor(sheet),
        "editor_covered": sheet.covered(case_view.best_part(file)),
        "closed": not case.state.open or case.state is CaseState.GOLDEN,
    }
