"""Errors become HTTP here, in one table: the classes of `errors.py` carry status and kind.

What is asked for on an OpenAI-shaped route is answered in OpenAI's envelope (openai_errors.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import Field
from starlette.exceptions import HTTPException

from inwit.api import openai_errors
from inwit.api.schemas import Wire
from inwit.errors import (
    ConversationTooLong,
    FieldError,
    Forbidden,
    InvalidField,
    InwitError,
    MethodNotAllowed,
    RateLimited,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


class ProblemField(Wire):
    """One field that is wrong."""

    field: str = Field(description="Its path.", examples=["messages[0].role"])
    problem: str = Field(
        description="What is wrong, and what would be right.", examples=["unknown"]
    )


class Problem(Wire):
    """An error, as in RFC 9457."""

    type: str = Field(
        description="What kind of error; see docs/errors.md.",
        examples=["urn:inwit:problem:invalid-field"],
    )
    title: str = Field(description="The kind in words.", examples=["Invalid field"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(
        description="What happened, and what to do.",
        examples=["Mend the fields named in `errors`."],
    )
    request_id: str = Field(description="The same as the header x-request-id.", examples=["req_1f"])
    errors: list[ProblemField] | None = Field(
        None, description="The fields that are wrong.", examples=[[]]
    )
    tokens: int | None = Field(
        None, description="On conversation-too-long: the tokens asked for.", examples=[9000]
    )
    context: int | None = Field(
        None, description="On conversation-too-long: the tokens that fit.", examples=[4096]
    )


def described(problems: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses with problems."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": words, "content": {MEDIA_TYPE: schema}}
        for status, words in problems.items()
    }


def refusal(error: InwitError, path: str, request_id: str) -> Response:
    """The answer for an error, in the shape that callers of this path expect."""
    headers = _headers(error)
    if openai_errors.speaks_openai(path):
        status, body = openai_errors.status_of(error), openai_errors.envelope(error)
        return Response(body, status, headers, openai_errors.MEDIA_TYPE)
    return Response(problem_json(error, request_id), error.status, headers, MEDIA_TYPE)


def problem_json(error: InwitError, request_id: str) -> str:
    """The problem of an error, as one line of JSON."""
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
    return body.model_dump_json(exclude_none=True)


Refused = Callable[[Request], Awaitable[None]]
"""What is told of a request whose key may not do what it asks for, before it is answered."""


def install(app: FastAPI, refused: Refused | None = None) -> None:
    """Answer every exception of ours, and Starlette's own; the middleware answers the rest."""

    async def on_forbidden(request: Request, error: Exception) -> Response:
        if refused is not None:
            await refused(request)
        return await _on_inwit_error(request, error)

    app.add_exception_handler(InwitError, _on_inwit_error)
    app.add_exception_handler(Forbidden, on_forbidden)
    app.add_exception_handler(RequestValidationError, _on_wrong_parameter)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_inwit_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InwitError):
        raise TypeError("registered for InwitError") from error
    write = log.error if error.status >= 500 else log.info
    write("refused", kind=error.kind, status=error.status, detail=error.detail)
    return refusal(error, request.url.path, request_id(request))


async def _on_wrong_parameter(request: Request, error: Exception) -> Response:
    """What FastAPI says of a parameter in the path or in the query."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    errors = tuple(FieldError(str(each["loc"][-1]), str(each["msg"])) for each in found)
    return await _on_inwit_error(
        request, InvalidField("Mend the parameters named in `errors`.", errors)
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such route, or a method that a route does not take."""
    path = request.url.path
    if isinstance(error, HTTPException) and error.status_code == 405:
        wrong = MethodNotAllowed("This route takes other methods.")
        answer = refusal(wrong, path, request_id(request))
        answer.headers.update(error.headers or {})
        return answer
    return refusal(openai_errors.no_route(path), path, request_id(request))


def request_id(request: Request) -> str:
    """The id that the middleware gave this request."""
    return str(request.scope.get("inwit.request_id", ""))


def _headers(error: InwitError) -> dict[str, str]:
    headers = dict(error.headers) if isinstance(error, RateLimited) else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
