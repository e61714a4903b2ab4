"""Signing in through the identity provider: out to it, and back."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from inwit.cases import ActKind
from inwit.console import cookies
from inwit.console.account_rows import PROVIDER, act
from inwit.console.oidc import NoRole, NotVouchedFor, SignInByProvider
from inwit.console.pages import HOME
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Open, Visitor
from inwit.console.sign_in import local, redirect, signed_in

_CALLBACK = "/sign-in/callback"
_REFUSED = {"route": _CALLBACK}

_Visitor = Annotated[Visitor | None, Depends(Open())]


def router(parts: ConsoleParts) -> APIRouter:
    """The routes; none where no provider is set."""
    routes, provider = APIRouter(), parts.provider
    if provider is not None:
        _add(routes, parts, provider)
    return routes


def _add(routes: APIRouter, parts: ConsoleParts, provider: SignInByProvider) -> None:
    @routes.get("/sign-in/provider")
    async def to_provider(request: Request, visitor: _Visitor, next: str = HOME) -> Response:
        visit = cookies.visit_cookie(request, parts.settings.console_url) or cookies.new_visit()
        answer = redirect(await provider.begin(visit, local(next)))
        cookies.set_visit(request, answer, parts.settings.console_url, visit)
        return answer

    @routes.get(_CALLBACK)
    async def from_provider(request: Request, visitor: _Visitor) -> Response:
        visit = cookies.visit_cookie(request, parts.settings.console_url)
        try:
            identity, next_path = await provider.finish(visit, request.query_params)
        except NoRole as refused:
            await _shut_out(parts, refused)
            raise
        account = await parts.accounts.arrive(identity)
        if account.disabled:
            await _record(parts, ActKind.REFUSED, account.id, _REFUSED | {"why": "disabled"})
            raise NotVouchedFor("Your account here is disabled. An admin can enable it.")
        await _record(parts, ActKind.SIGNED_IN, account.id, {"through": "provider"})
        return await signed_in(request, parts, visitor, account, next_path)


async def _shut_out(parts: ConsoleParts, refused: NoRole) -> None:
    """Whoever lost their role at the provider loses the sessions that it gave them."""
    account = await parts.accounts.by_subject(refused.issuer, refused.subject)
    if account is not None:
        await parts.accounts.end_sessions(account.id, PROVIDER)
    account_id = account.id if account else None
    await _record(parts, ActKind.REFUSED, account_id, _REFUSED | {"why": refused.kind})


async def _record(
    parts: ConsoleParts, kind: ActKind, actor: str | None, facts: Mapping[str, str]
) -> None:
    await parts.ledger.write(lambda transaction: act(transaction, kind, actor, facts))
