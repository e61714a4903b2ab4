"""Renders the console's pages: Jinja, everything escaped, an undefined name is an error."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inwit.console.csrf import token_of
from inwit.console.wishes import wishes_of

if TYPE_CHECKING:
    from inwit.console.permissions import Visitor

ROOT = "/console"
HOME = f"{ROOT}/"
SAVED = "saved=yes"  # in the address to which a form leads that was kept
STATIC_FILES = Path(__file__).parent / "static"

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the navigation, shown to those who have the permission."""

    path: str
    label: str
    permission: str


# In the order of the page's head. The pages of the queue add theirs in front.
NAVIGATION: tuple[Link, ...] = (
    Link(HOME, "Queue", "see_queue"),
    Link(f"{ROOT}/list", "Cases", "see_queue"),
    Link(f"{ROOT}/rulings", "Rulings", "see_own_rulings"),
    Link(f"{ROOT}/rulings/all", "All rulings", "see_rulings"),
    Link(f"{ROOT}/agreement", "Agreement", "see_agreement"),
    Link(f"{ROOT}/people", "People", "see_people"),
    Link(f"{ROOT}/golden", "Golden", "manage_golden"),
    Link(f"{ROOT}/audit", "Audit", "read_audit"),
    Link(f"{ROOT}/export", "Export", "export"),
    Link(f"{ROOT}/account", "Account", "own_account"),
)


class Pages:
    """The templates, compiled once."""

    def __init__(self) -> None:
        self.environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        known: dict[str, Any] = {"static": static, "root": ROOT}
        self.environment.globals.update(known)

    def render(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page, or a fragment of one.

        Every template knows `visitor` (None when signed out), `may("permission")`, `csrf_token`,
        `navigation`, `here` (the path), `root`, `keys`, `saved` and `static("file")`.
        """
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        held = visitor.permissions if visitor else frozenset[str]()
        context = {
            "visitor": visitor,
            "may": held.__contains__,
            "csrf_token": token_of(visitor.session.csrf) if visitor else "",
            "navigation": [link for link in NAVIGATION if link.permission in held],
            "here": request.url.path,
            "keys": wishes_of(visitor.account).keyboard(held) if visitor else None,
            "saved": SAVED in request.url.query,
            **values,
        }
        text = self.environment.get_template(template).render(context)
        return HTMLResponse(text, status, dict(headers or {}))


def asked_by_htmx(request: Request) -> bool:
    """Whether a fragment is wanted rather than a whole page."""
    return request.headers.get("hx-request") == "true"


@cache
def static(name: str) -> str:
    """The address of a file under static/, which changes with what is in it."""
    digest = hashlib.sha256((STATIC_FILES / name).read_bytes()).hexdigest()
    return f"{ROOT}/static/{name}?v={digest[:12]}"
