"""What every HTTP exchange gets: a request id, a count, and log lines that carry the id."""

import re
import traceback
import uuid
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inwit import telemetry
from inwit.api.problems import refusal
from inwit.errors import InwitError

log = structlog.get_logger()

EXTRA_HEADERS = "inwit.headers"
"""Where a route puts headers, by name, that its answer is to have whatever becomes of it."""

CHECKPOINT = b"x-inwit-checkpoint"
"""The signed note of the newest checkpoint, in base64."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


class RequestContext:
    """Pure ASGI: nothing is buffered, and a caller that hangs up is seen by the route.

    Each answer carries the ledger's newest checkpoint, so that every caller is a witness of it.
    """

    def __init__(self, app: ASGIApp, checkpoint: Callable[[], bytes | None] = lambda: None) -> None:
        self._app = app
        self._checkpoint = checkpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["inwit.request_id"] = request_id
        header = (b"x-request-id", request_id.encode())

        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                extra = scope.get(EXTRA_HEADERS, {}).items()
                more = [(name.lower().encode(), value.encode()) for name, value in extra]
                if (checkpoint := self._checkpoint()) is not None:
                    more.append((CHECKPOINT, checkpoint))
                message["headers"] = [*message.get("headers", ()), header, *more]
                route = getattr(scope.get("route"), "path", "other")
                telemetry.HTTP_REQUESTS.labels(route, str(message["status"])).inc()
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001  # the last place to answer from
            _log_bug(error)
            if not started:
                answer = refusal(InwitError(), scope["path"], request_id)
                await answer(scope, receive, send_with_id)
        finally:
            structlog.contextvars.clear_contextvars()


def _log_bug(error: Exception) -> None:
    """Where it happened and what kind it is; not its words, which may quote content."""
    frames = [
        f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
    ]
    log.error("bug", error=type(error).__name__, frames=frames)


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is a plain one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return f"req_{uuid.uuid4().hex}"
