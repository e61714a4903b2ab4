"""What went wrong with a case, told in its page, where nothing typed is lost; and one way on."""

from datetime import UTC, datetime
from enum import StrEnum

from fastapi import Request, Response

from inwit.cases import Case
from inwit.console.case_sheet import seen
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import OutOfSight, Visitor
from inwit.console.refusals import noted
from inwit.errors import BadRequest, Conflict, FieldError, InwitError
from inwit.ledger.leases import token_hash

# The fields of the form whose problems stand beside them, with what they are called.
FIELDS = {
    "ruling": "Ruling",
    "text": "Your text",
    "despite_flags": "Release all the same",
    "clause": "Clause",
    "reason": "Reason",
}


class Way(StrEnum):
    """How somebody goes on after a problem."""

    QUEUE = "queue"  # it is closed
    RELOAD = "reload"  # something of it is not as they saw it
    TAKE_OVER = "take_over"  # another tab of theirs has it
    CLAIM = "claim"  # nobody of them has it
    MEND = "mend"  # the form


async def in_place(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    case_id: str,
    token: str,
    error: InwitError,
) -> Response:
    """The fragment of a page that says it; what is refused is recorded."""
    error = await noted(request, error)
    try:
        case = await seen(parts, visitor, case_id)
        way = way_on(case, visitor.account.id, token, error)
    except OutOfSight:  # it was given to somebody else meanwhile
        way = Way.QUEUE
    problems = {each.field: each.problem for each in _fields(error)}
    headers = {"hx-retarget": "#ruling-problem", "hx-reswap": "innerHTML"}
    return parts.pages.render(
        request,
        "case_problem.html",
        status=error.status,
        headers=headers,
        error=error,
        way=way.value,
        case_id=case_id,
        fields=FIELDS,
        problems=problems,
    )


def way_on(case: Case, reviewer: str, token: str, error: InwitError) -> Way:
    """The one way on, from how the case stands now."""
    if not case.state.open:
        return Way.QUEUE
    if not isinstance(error, Conflict):
        return Way.MEND
    now, wanted = datetime.now(UTC), token_hash(token)
    mine = [each for each in case.slots if each.reviewer == reviewer]
    if any(each.ruled for each in mine):
        return Way.QUEUE
    held = [each for each in mine if each.leased(now)]
    if any(each.lease_hash == wanted for each in held):
        return Way.RELOAD
    return Way.TAKE_OVER if held else Way.CLAIM


def _fields(error: InwitError) -> tuple[FieldError, ...]:
    return error.errors if isinstance(error, BadRequest) else ()
