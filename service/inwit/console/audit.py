"""The page of the ledger's entries about people: who did what, when. Facts, never content."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from inwit.cases import ActKind, Reviewer
from inwit.console.filters import Name, Value, address, chosen, end_of, start_of
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.people import choices_of
from inwit.console.permissions import Permission, Visitor, require
from inwit.ledger.audit_read import Act, Asked, acts

AUDIT = f"{ROOT}/audit"
AT_ONCE = 50

_Visitor = Annotated[Visitor, Depends(require(Permission.READ_AUDIT))]
_Day = Annotated[str, Query(max_length=10)]


@dataclass(frozen=True, slots=True)
class Filters:
    """As they stand in the address; empty ones are all. Days are UTC, the last one included."""

    person: Name = ""
    case: Name = ""
    kind: Value = ""
    since: _Day = ""
    until: _Day = ""


def router(parts: ConsoleParts) -> APIRouter:
    """The route of the page."""
    routes = APIRouter()

    @routes.get("/audit")
    async def audit(
        request: Request,
        visitor: _Visitor,
        filters: Annotated[Filters, Depends()],
        before: Annotated[int, Query(ge=0, le=2**62)] = 0,
    ) -> Response:
        asked = _asked(visitor.account.reviewer, filters)
        found = await parts.database.read(lambda each: acts(each, asked, before or None, AT_ONCE))
        own = {name: str(getattr(filters, name)) for name in Filters.__slots__}
        return parts.pages.render(
            request,
            "audit.html",
            acts=[(act, facts_in_words(act)) for act in found.found],
            filters=filters,
            kinds=[(each.value, each.value.replace("_", " ")) for each in ActKind],
            people=await choices_of(parts, visitor, filters.person),
            filtered=any(own.values()),
            start=address(AUDIT, **own) if before else None,
            next=address(AUDIT, **own, before=found.before) if found.before else None,
        )

    return routes


def facts_in_words(act: Act) -> list[tuple[str, str]]:
    """The facts of an entry, by name."""
    return [(name.replace("_", " "), _words(value)) for name, value in (act.facts or {}).items()]


def _asked(reader: Reviewer, filters: Filters) -> Asked:
    return Asked(
        reader=reader,
        kind=chosen("kind", filters.kind, ActKind),
        actor=filters.person,
        case_id=filters.case,
        since=start_of("since", filters.since),
        until=end_of("until", filters.until),
    )


def _words(value: Any) -> str:
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)
