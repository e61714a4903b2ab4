"""What every answer of the console carries, and how much it takes from a browser."""

import asyncio
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inwit.errors import BodyTooLarge, BodyTooSlow

# Nothing from elsewhere, nothing inline, in nobody's frame.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STATIC = "public, max-age=31536000, immutable"  # their addresses change with what is in them

_BODY_S = 15.0


class Guarded:
    """Pure ASGI around the whole console, so that no answer of it gets past."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        path = scope["path"].removeprefix(scope.get("root_path", ""))
        kept = path.startswith("/static/")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["cache-control"] = (
                    STATIC if kept and message["status"] == 200 else "no-store"
                )
            await send(message)

        await self._app(scope, _bounded(receive, self._limit), send_guarded)


def _bounded(receive: Receive, limit: int) -> Receive:
    """Takes a body of `limit` bytes at most, within some seconds; after it, waits for ever."""
    taken, whole = 0, False
    ends = asyncio.get_running_loop().time() + _BODY_S

    async def take() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow(f"The form did not arrive within {_BODY_S:.0f} seconds.") from error
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > limit:
            raise BodyTooLarge(f"The form passes {limit} bytes. Send less.")
        return message

    return take
