"""Signing in by a password, and out. sign_in_by_provider.py has the other way."""

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from inwit.cases import ActKind
from inwit.console import cookies, csrf
from inwit.console.account_rows import Account, act
from inwit.console.attempts import NotSignedIn
from inwit.console.pages import HOME, ROOT, SAVED
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Open, Permission, Visitor, require
from inwit.errors import InwitError, RateLimited

SIGN_IN = f"{ROOT}/sign-in"

_PATH = re.compile(rf"/console/[A-Za-z0-9_\-/]{{0,200}}(\?{SAVED})?")
_LONGEST_FIELD = 1024

_Field = Annotated[str, Form(max_length=_LONGEST_FIELD)]
_Visitor = Annotated[Visitor | None, Depends(Open())]


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of signing in by a password, and out."""
    routes = APIRouter()

    @routes.get("/sign-in")
    async def sign_in_page(request: Request, visitor: _Visitor, next: str = HOME) -> Response:
        if visitor is not None:
            return redirect(local(next))
        return _form(request, parts, next)

    @routes.post("/sign-in")
    async def sign_in(
        request: Request,
        visitor: _Visitor,
        name: _Field = "",
        password: _Field = "",
        next: _Field = HOME,
    ) -> Response:
        visit = cookies.visit_cookie(request, parts.settings.console_url)
        await csrf.check(request, visit or cookies.new_visit(), parts.settings.console_url)
        address = request.client.host if request.client else ""
        try:
            account = await parts.attempts.sign_in(name, password, address)
        except (NotSignedIn, RateLimited) as error:
            return _form(request, parts, next, problem=error, name=name)
        return await signed_in(request, parts, visitor, account, next)

    @routes.post("/sign-out")
    async def sign_out(
        request: Request, visitor: Annotated[Visitor, Depends(require(Permission.OWN_ACCOUNT))]
    ) -> Response:
        await parts.sessions.end(visitor.session)
        account_id, facts = visitor.account.id, {"through": "console"}
        await parts.ledger.write(lambda each: act(each, ActKind.SIGNED_OUT, account_id, facts))
        answer = redirect(SIGN_IN)
        cookies.drop_session(request, answer, parts.settings.console_url)
        return answer

    return routes


def redirect(address: str) -> RedirectResponse:
    """Where to go on, by GET."""
    return RedirectResponse(address, 303)


def after(problem: InwitError | None) -> Mapping[str, str]:
    """The header that says when to try again, where the problem does."""
    wait_s = problem.retry_after if problem else None
    return {} if wait_s is None else {"retry-after": str(wait_s)}


def local(path: str) -> str:
    """The path, where it is one of the console's own pages; else its first page."""
    return path if _PATH.fullmatch(path) and "//" not in path else HOME


async def signed_in(
    request: Request, parts: ConsoleParts, before: Visitor | None, account: Account, path: str
) -> Response:
    """Open a new session for an account, in place of the one before, and go on to a page."""
    if before is not None:
        await parts.sessions.end(before.session)
    answer = redirect(local(path))
    cookie = await parts.sessions.start(account)
    public, longest_s = parts.settings.console_url, parts.settings.session_s
    cookies.set_session(request, answer, public, cookie, longest_s)
    return answer


def _form(
    request: Request,
    parts: ConsoleParts,
    next_path: str,
    *,
    problem: InwitError | None = None,
    name: str = "",
) -> Response:
    request.state.visitor = None  # the page is for somebody else
    public = parts.settings.console_url
    visit = cookies.visit_cookie(request, public) or cookies.new_visit()
    page = parts.pages.render(
        request,
        "sign_in.html",
        status=problem.status if problem else 200,
        headers=after(problem),
        csrf_token=csrf.token_of(visit),
        next=local(next_path),
        name=name,
        problem=problem.detail if problem else "",
        by_provider=parts.provider is not None,
    )
    cookies.set_visit(request, page, public, visit)
    return page
