"""Golden cases: templates with a known answer, how people answered their copies; made, retired."""

import re
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.agreement.report import Share
from inwit.agreement.shares import share
from inwit.cases import Case, RulingKind
from inwit.console.agreement_page import in_words
from inwit.console.filters import CATEGORIES
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import OutOfSight, Permission, Visitor, require
from inwit.console.sign_in import redirect
from inwit.errors import Conflict, FieldError, Gone, InvalidField, InwitError, NotFound
from inwit.ledger.escalations import case_of
from inwit.ledger.golden import make_golden, retire_golden, templates
from inwit.ledger.tables import ENTRIES, ESCALATIONS, RULINGS, SLOTS
from inwit.ledger.transaction import Transaction

GOLDEN = f"{ROOT}/golden"

_CASE_ID = re.compile(r"[A-Za-z0-9_]{1,40}")
_Visitor = Annotated[Visitor, Depends(require(Permission.MANAGE_GOLDEN))]
_Field = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True)
class Template:
    """A golden case. `original` is the case that it was made of; `right` of the rulings on copies.

    `copies` counts those that were given to somebody.
    """

    case: Case
    original: str | None
    copies: int
    right: Share


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of golden cases."""
    routes = APIRouter()

    @routes.get("/golden")
    async def golden(request: Request, visitor: _Visitor, case: str = "") -> Response:
        return await _page(request, parts, visitor, case=case[:40])

    @routes.post("/golden")
    async def make(
        request: Request, visitor: _Visitor, case: _Field = "", expected: _Field = ""
    ) -> Response:
        def steps(transaction: Transaction) -> Case:
            _seen(transaction, visitor, case)
            return make_golden(transaction, case, RulingKind(expected), visitor.account.id)

        try:
            if _CASE_ID.fullmatch(case := case.strip()) is None or expected not in list(RulingKind):
                problem = "it needs the id of a case, and the ruling that is expected"
                raise InvalidField(f"Nothing was made: {problem}.", (FieldError("case", problem),))
            await parts.ledger.write(steps)
        except (InvalidField, Conflict, Gone) as error:
            return await _page(request, parts, visitor, case=case, problem=error)
        return redirect(GOLDEN)

    @routes.post("/golden/{template}/retire")
    async def retire(visitor: _Visitor, template: str) -> Response:
        def steps(transaction: Transaction) -> None:
            _seen(transaction, visitor, template)
            retire_golden(transaction, template, visitor.account.id)

        await parts.ledger.write(steps)
        return redirect(GOLDEN)

    return routes


def _seen(transaction: Transaction, visitor: Visitor, case_id: str) -> None:
    try:
        visitor.seen(case_of(transaction.connection, case_id)[0])
    except NotFound as error:
        raise OutOfSight from error


def listed_templates(connection: sa.Connection) -> list[Template]:
    """Those that are shown, with what became of their copies."""
    cases = templates(connection)
    ids = [case.id for case in cases]
    query = sa.select(ESCALATIONS.c.id, ESCALATIONS.c.sequence).where(ESCALATIONS.c.id.in_(ids))
    sequences = {row.id: row.sequence for row in connection.execute(query)}
    originals, answers = _originals(connection, sequences), _answers(connection, sequences)
    found: list[Template] = []
    for case in cases:
        place = sequences[case.id]
        copies, ruled, right = answers.get((place, case.expected), (0, 0, 0))
        original = originals.get(place)
        found.append(Template(case, original, copies, share(right, ruled)))
    return found


def _originals(connection: sa.Connection, sequences: dict[str, int]) -> dict[int, str]:
    """The case that was ruled on, by the place of its decision."""
    joined = sa.join(ENTRIES, ESCALATIONS, ENTRIES.c.response_id == ESCALATIONS.c.response_id)
    query = (
        sa.select(ENTRIES.c.sequence, ESCALATIONS.c.id)
        .select_from(joined)
        .where(
            ENTRIES.c.sequence.in_(sorted(set(sequences.values()))),
            ESCALATIONS.c.expected.is_(None),
        )
    )
    return {row.sequence: row.id for row in connection.execute(query)}


def _answers(
    connection: sa.Connection, sequences: dict[str, int]
) -> dict[tuple[int, RulingKind | None], tuple[int, int, int]]:
    """By place and expected answer: copies given, rulings on them, and those that are right."""
    case = ESCALATIONS.c
    right = sa.func.sum(sa.case((RULINGS.c.kind == case.expected, 1), else_=0))
    ruled = sa.and_(RULINGS.c.escalation_id == case.id, RULINGS.c.counts == 1)
    joined = sa.join(ESCALATIONS, SLOTS, SLOTS.c.escalation_id == case.id)
    query = (
        sa.select(
            case.sequence,
            case.expected,
            sa.func.count().label("copies"),
            sa.func.count(RULINGS.c.id).label("ruled"),
            right.label("right"),
        )
        .select_from(joined.outerjoin(RULINGS, ruled))
        # Copies have no response of their own: that leads to them, and templates have no slots.
        .where(case.response_id == "", case.sequence.in_(sorted(set(sequences.values()))))
        .where(case.expected.is_not(None))
        .group_by(case.sequence, case.expected)
    )
    return {
        (row.sequence, RulingKind(row.expected)): (row.copies, row.ruled, row.right or 0)
        for row in connection.execute(query)
    }


async def _page(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    *,
    case: str = "",
    problem: InwitError | None = None,
) -> Response:
    found = await parts.database.read(listed_templates)
    reviewer = visitor.account.reviewer
    return parts.pages.render(
        request,
        "golden.html",
        status=problem.status if problem else 200,
        problem=problem.detail if problem else "",
        case=case,
        templates=[each for each in found if reviewer.may_see(each.case)],
        kinds=[(each.value, each.value.replace("_", " ")) for each in RulingKind],
        titles=dict(CATEGORIES),
        in_words=in_words,
        share=parts.settings.golden_share,
    )
