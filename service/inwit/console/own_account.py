"""The page of one's own account: what one may do, the password, the categories not to be shown."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.console.account_rows import Account, Actor, Through
from inwit.console.attempts import NotSignedIn
from inwit.console.pages import ROOT, SAVED
from inwit.console.parts import ConsoleParts
from inwit.console.passwords import check_new
from inwit.console.permissions import Permission, Visitor, require
from inwit.console.sign_in import SIGN_IN, redirect, signed_in
from inwit.errors import InvalidField, RateLimited
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Category

ACCOUNT = f"{ROOT}/account"

_Visitor = Annotated[Visitor, Depends(require(Permission.OWN_ACCOUNT))]
_Password = Annotated[str, Form(max_length=1024)]


def router(parts: ConsoleParts) -> APIRouter:
    """The routes of one's own account."""
    routes = APIRouter()

    @routes.get("/account")
    async def account_page(request: Request, visitor: _Visitor) -> Response:
        return _page(request, parts, visitor.account)

    @routes.post("/account/opted-out")
    async def opt_out(
        request: Request, visitor: _Visitor, category: Annotated[list[str] | None, Form()] = None
    ) -> Response:
        chosen = frozenset(each for each in Category if each.value in (category or ()))
        await parts.accounts.change(
            visitor.account.id,
            lambda reviewer: replace(reviewer, opted_out=chosen),
            _oneself(visitor),
        )
        return redirect(f"{ACCOUNT}?{SAVED}")

    @routes.post("/account/password")
    async def change_password(
        request: Request,
        visitor: _Visitor,
        current: _Password = "",
        password: _Password = "",
        again: _Password = "",
    ) -> Response:
        account, address = visitor.account, request.client.host if request.client else ""
        try:
            check_new(password, account.name)
            if password != again:
                raise InvalidField("The two new passwords are not the same.")
            await parts.attempts.sign_in(account.name, current, address)
        except (InvalidField, RateLimited) as error:
            return _page(request, parts, account, problem=error.detail, status=error.status)
        except NotSignedIn as error:
            problem = "The password that you have now is another one; nothing was changed."
            return _page(request, parts, account, problem=problem, status=error.status)
        hashed = await parts.passwords.hash(password)
        changed = await parts.accounts.set_password(account.id, hashed, _oneself(visitor))
        return await signed_in(request, parts, visitor, changed, f"{ACCOUNT}?{SAVED}")

    @routes.post("/account/end-sessions")
    async def end_sessions(visitor: _Visitor) -> Response:
        await parts.accounts.end_sessions(visitor.account.id, _oneself(visitor))
        return redirect(SIGN_IN)

    return routes


def first_page(_: ConsoleParts) -> APIRouter:
    """The route of the first page, where nothing else is one."""
    routes = APIRouter()

    @routes.get("/")
    async def to_account(_: _Visitor) -> Response:
        return redirect(ACCOUNT)

    return routes


def _page(
    request: Request, parts: ConsoleParts, account: Account, *, problem: str = "", status: int = 200
) -> Response:
    return parts.pages.render(
        request,
        "account.html",
        status=status,
        account=account,
        categories=[(each.value, TAXONOMY[each].title) for each in Category],
        problem=problem,
    )


def _oneself(visitor: Visitor) -> Actor:
    return Actor(visitor.account.id, Through.CONSOLE)
