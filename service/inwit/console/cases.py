"""The work of reviewers, as pages: hand `routers(work)` to `mount`."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter

from inwit.console import case_actions, case_page, feed, home
from inwit.console.parts import ConsoleParts
from inwit.console.site import Routers
from inwit.console.work import Work

_ROUTERS: tuple[Callable[[ConsoleParts, Work], APIRouter], ...] = (
    home.router,
    case_actions.router,
    feed.router,
    case_page.router,
)


def routers(work: Work) -> Routers:
    """The routes of the first page, of cases, and of what changes in them."""
    return [partial(_bound, router, work) for router in _ROUTERS]


def _bound(
    router: Callable[[ConsoleParts, Work], APIRouter], work: Work, parts: ConsoleParts
) -> APIRouter:
    return router(parts, work)
