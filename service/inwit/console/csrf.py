"""Requests that change something must come from our own pages: a token, and where they come from.

The token is derived from a secret that only this browser's cookie, or its session, stands for.
"""

import hashlib
import hmac
from typing import ClassVar
from urllib.parse import urlsplit

from fastapi import Request

from inwit.errors import Forbidden
from inwit.origins import is_loopback

FIELD = "csrf_token"
HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_MADE_FOR = b"inwit console form"


class FromElsewhere(Forbidden):
    """Another site sent this, or nobody knows who did."""

    kind: ClassVar[str] = "from-elsewhere"

    def __init__(self) -> None:
        super().__init__(
            "This came from another site, or by another address than the console's own. "
            "Open the console anew and try again."
        )


class StaleForm(Forbidden):
    """The form's token is not that of this browser."""

    kind: ClassVar[str] = "stale-form"

    def __init__(self) -> None:
        super().__init__("This page is too old to be sent. Load it again and try once more.")


def token_of(secret: str) -> str:
    """The token for a secret: 64 hexadecimal digits."""
    return hmac.new(secret.encode(), _MADE_FOR, hashlib.sha256).hexdigest()


async def check(request: Request, secret: str, public: str | None) -> None:
    """Let a request pass that changes something. `public` is INWIT_CONSOLE_URL.

    Raises:
        FromElsewhere: it comes from another site.
        StaleForm: it is without this browser's token.
    """
    if not from_ourselves(request, public):
        raise FromElsewhere
    given = request.headers.get(HEADER)
    if given is None:
        field = (await request.form()).get(FIELD)
        given = field if isinstance(field, str) else ""
    if not hmac.compare_digest(given.encode(), token_of(secret).encode()):
        raise StaleForm


def from_ourselves(request: Request, public: str | None) -> bool:
    """Whether the browser says that our own page sent this; silence is a no.

    Our pages send no referrer, so that browsers write `Origin: null` on their forms: there
    Sec-Fetch-Site decides. Browsers that know neither header are not served.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None or origin == "null":
        return site is not None
    if public is not None:
        return origin == public
    return _same_host(origin, request.headers.get("host", ""))


def is_secure(request: Request, public: str | None) -> bool:
    """Whether the browser speaks https to us: always, but for this machine itself."""
    if public is not None:
        return urlsplit(public).scheme == "https"
    return not is_loopback(_host(request.headers.get("host", "")))


def _same_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # Without a public address nobody knows what a proxy before us speaks: either scheme will do.
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc == host


def _host(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None
