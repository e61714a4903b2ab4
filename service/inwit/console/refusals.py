"""What people were refused, for the ledger: by whom, at which door, and why, in our words."""

from fastapi import Request

from inwit.cases import ActKind
from inwit.console.account_rows import act
from inwit.console.permissions import OutOfSight, parts_of
from inwit.errors import Forbidden, InwitError


async def noted(request: Request, error: InwitError) -> InwitError:
    """Record a refusal to somebody who is signed in; what is to be told of it.

    Other errors are no refusals. Where it cannot be recorded that is told in its place: it is
    refused all the same.
    """
    if not isinstance(error, Forbidden | OutOfSight):
        return error
    try:
        await _record(request, error)
    except InwitError as worse:
        return worse
    return error


async def _record(request: Request, error: InwitError) -> None:
    visitor = getattr(request.state, "visitor", None)
    if visitor is None:
        return
    route = getattr(request.scope.get("route"), "path", "other")
    facts = {"route": route, "why": error.kind}
    account_id: str = visitor.account.id
    await parts_of(request).ledger.write(
        lambda transaction: act(transaction, ActKind.REFUSED, account_id, facts)
    )
