"""Errors become HTTP here, in one table: the classes of `errors.py` carry status and kind."""

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from inwit.api.schemas import Problem, ProblemField
from inwit.errors import BadRequest, ConversationTooLong, InwitError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


def problem(error: InwitError, request_id: str) -> Response:
    """The answer for an error."""
    fields = [ProblemField(field=e.field, problem=e.problem) for e in getattr(error, "errors", ())]
    too_long = error if isinstance(error, ConversationTooLong) else None
    body = Problem(
        type=f"urn:inwit:problem:{error.kind}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        errors=fields or None,
        tokens=too_long.tokens if too_long else None,
        context=too_long.context if too_long else None,
    )
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = body.model_dump_json(exclude_none=True)
    return Response(content, error.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every exception that leaves a route."""
    app.add_exception_handler(InwitError, _on_inwit_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


async def _on_inwit_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InwitError):
        raise TypeError("registered for InwitError") from error
    write = log.error if error.status >= 500 else log.info
    write("refused", kind=error.kind, status=error.status, detail=error.detail)
    return problem(error, request_id(request))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such route, a method that a route does not take."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    refusal = _Refused(error.detail if isinstance(error, HTTPException) else "")
    refusal.status = status  # pyright: ignore[reportAttributeAccessIssue]  # one class for all of Starlette's
    answer = problem(refusal, request_id(request))
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("bug", exc_info=error)
    return problem(InwitError(), request_id(request))


class _Refused(BadRequest):
    kind = "refused"
    title = "Refused"


def request_id(request: Request) -> str:
    """The id that the middleware gave this request."""
    return str(request.scope.get("inwit.request_id", ""))
