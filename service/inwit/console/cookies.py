"""The two cookies of the console: the session, and the visit of somebody not signed in yet.

Over https both have the prefix `__Host-`, by which browsers keep other hosts from setting them;
only over http on this machine, where that cannot be had, their names are bare.
"""

import re
import secrets

from fastapi import Request, Response

from inwit.console.csrf import is_secure

VISIT_S = 600

_SESSION = "inwit"
_VISIT = "inwit-visit"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def session_cookie(request: Request, public: str | None) -> str | None:
    """The session's cookie, where the browser sent one."""
    return _read(request, _SESSION, public)


def set_session(
    request: Request, response: Response, public: str | None, cookie: str, longest_s: int
) -> None:
    """Give the browser a session, in place of its visit."""
    _set(request, response, public, _SESSION, cookie, longest_s)
    _set(request, response, public, _VISIT, "", 0)


def drop_session(request: Request, response: Response, public: str | None) -> None:
    """Take the session's cookie back."""
    _set(request, response, public, _SESSION, "", 0)


def visit_cookie(request: Request, public: str | None) -> str | None:
    """What binds the sign-in form, and a sign-in under way at the provider, to this browser."""
    return _read(request, _VISIT, public)


def set_visit(request: Request, response: Response, public: str | None, visit: str) -> None:
    """Give the browser a visit."""
    _set(request, response, public, _VISIT, visit, VISIT_S)


def new_visit() -> str:
    """A secret with 256 random bits."""
    return secrets.token_urlsafe(32)


def _read(request: Request, name: str, public: str | None) -> str | None:
    found = request.cookies.get(_name(name, is_secure(request, public)))
    return found if found is not None and _SECRET.fullmatch(found) else None


def _set(
    request: Request, response: Response, public: str | None, name: str, value: str, age_s: int
) -> None:
    secure = is_secure(request, public)
    response.set_cookie(
        _name(name, secure),
        value,
        max_age=age_s,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _name(name: str, secure: bool) -> str:
    return f"__Host-{name}" if secure else name
