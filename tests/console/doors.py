"""Every route of a console, tried with a role: for the tests of all who add pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from inwit.cases import Role
from inwit.console import csrf
from inwit.console.permissions import ALLOWED, Open, Permission, require
from inwit.console.site import Routers, console
from tests.console.conftest import Browser, Site, token_in

ROLES = (None, *Role)


@dataclass(frozen=True)
class Door:
    """One method of one route, and the permissions that it declares."""

    method: str
    path: str
    declared: tuple[Permission, ...]


def doors(app: FastAPI) -> Iterator[Door]:
    """All of them. Nothing but the static files is no such route."""
    included = (getattr(each, "original_router", None) for each in app.routes)
    direct = (each for each in app.routes if not hasattr(each, "original_router"))
    for route in (*(route for router in included if router for route in router.routes), *direct):
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, APIRoute), route
        calls = [each.call for each in route.dependant.dependencies]
        declared = tuple(call.permission for call in calls if isinstance(call, require | Open))
        for method in sorted(route.methods or ()):
            yield Door(method, route.path, declared)


async def hold_against_the_table(site: Site, routers: Routers, role: Role | None) -> None:
    """Each route lets in whom the table allows, and nobody else; refusals are in the ledger."""
    inner = console(site.parts, routers)
    for number, door in enumerate(doors(inner)):
        browser, token = await browser_of(site, role, f"person-{number}")
        answer = await _ask(browser, door, token)
        (permission,) = door.declared
        if permission in ALLOWED[role]:
            assert _let_in(answer, door), (role, door, answer.text)
        elif role is None:
            assert answer.headers["location"].startswith("/console/sign-in"), door
        else:
            assert answer.status_code == 403, (role, door)
            assert "Not for your role" in answer.text
    refused = [door for door in doors(inner) if not ALLOWED[role].issuperset(door.declared)]
    acts = [act["facts"] for act in await site.acts("refused")]
    acts = [facts for facts in acts if facts["why"] == "not-permitted"]
    wanted = [{"route": door.path, "why": "not-permitted"} for door in refused]
    assert acts == (wanted if role else [])


async def browser_of(site: Site, role: Role | None, name: str) -> tuple[Browser, str]:
    """A browser in which a new person of that role is signed in, and the token of its forms."""
    browser = await site.browser()
    if role is None:
        return browser, token_in(await browser.get("/sign-in"))
    account = await site.person(name, role)
    cookie = await site.parts.sessions.start(account)
    session = await site.parts.sessions.find(cookie)
    assert session is not None
    prefix = "__Host-" if site.base.startswith("https") else ""
    browser.http.headers["cookie"] = f"{prefix}inwit={cookie}"
    return browser, csrf.token_of(session.csrf)


async def _ask(browser: Browser, door: Door, token: str) -> Any:
    path = re.sub(r"\{\w+\}", "x", door.path)
    if door.method == "GET":
        return await browser.get(path)
    return await browser.post(path, {"csrf_token": token})


def _let_in(answer: Any, door: Door) -> bool:
    if door.path == "/sign-out" or door.path.endswith("/end-sessions"):
        return answer.status_code == 303
    led_away = answer.headers.get("location", "").startswith("/console/sign-in")
    return "Not for your role" not in answer.text and not led_away
