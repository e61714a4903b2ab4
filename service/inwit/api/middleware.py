"""What every HTTP exchange gets: a request id, a count, and log lines that carry the id."""

import re
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inwit import telemetry

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


class RequestContext:
    """Pure ASGI: nothing is buffered, and a caller that hangs up is seen by the route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["inwit.request_id"] = request_id
        header = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
                route = getattr(scope.get("route"), "path", "other")
                telemetry.HTTP_REQUESTS.labels(route, str(message["status"])).inc()
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.clear_contextvars()


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is a plain one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return f"req_{uuid.uuid4().hex}"
