"""What a route knows of its caller beside the body: who it is, its trace, whether it is there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from opentelemetry.context import Context
from opentelemetry.propagate import extract

from inwit.api.middleware import EXTRA_HEADERS
from inwit.bootstrap import Gateway
from inwit.errors import ClientGone, InwitError
from inwit.types import KeyRole, Principal

T = TypeVar("T")


async def enter(gateway: Gateway, request: Request, authorization: str | None) -> Principal:
    """Who calls, admitted by the rate limits; the answer will tell what is left of them.

    Raises:
        Unauthorized: no API key, or one that is unknown or revoked.
        Forbidden: the key lacks the role.
        RateLimited: the key or its tenant has used up a limit.
        LedgerError: the key cannot be looked up for now.
    """
    principal = await gateway.keys.authenticate(authorization, KeyRole.RESPOND)
    allowance = await gateway.limiter.admit(principal)
    request.scope[EXTRA_HEADERS] = allowance.headers
    return principal


def counting_refusals(gateway: Gateway) -> Callable[[Request], Awaitable[None]]:
    """Has the ledger told which keys were refused, and on which routes."""

    async def count(request: Request) -> None:
        with contextlib.suppress(InwitError):  # it is refused all the same
            principal = await gateway.keys.identify(request.headers.get("authorization"))
            gateway.refused.count(principal, getattr(request.scope.get("route"), "path", "other"))

    return count


def trace_of(request: Request) -> Context | None:
    """The caller's trace, where it sent one."""
    carrier = {name: request.headers.get(name, "") for name in ("traceparent", "tracestate")}
    return extract(carrier) if carrier["traceparent"] else None


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and cancel it (with its upstream calls) when the caller hangs up.

    Raises:
        ClientGone: the caller hung up first.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait({task, watch})
    raise ClientGone("The caller hung up; its work was cancelled.")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
