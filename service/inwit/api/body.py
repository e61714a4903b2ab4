"""Reads a JSON body: bounded, strict, and with errors that name the field."""

import asyncio
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from inwit.errors import BadRequest, BodyTooLarge, BodyTooSlow, ClientGone, FieldError, InvalidField

M = TypeVar("M", bound=BaseModel)

_BODY_S = 15.0
_SHOWN_ERRORS = 20
_SHOWN_PATH = 120


async def read_body(request: Request, model: type[M], limit: int) -> M:
    """Read and check the body.

    Raises:
        BodyTooLarge: it passes `limit` bytes; the rest is not read.
        BodyTooSlow: it does not arrive in time.
        ClientGone: the caller hung up.
        BadRequest: it is not JSON, or not UTF-8.
        InvalidField: fields are missing, wrong or unknown.
    """
    try:
        async with asyncio.timeout(_BODY_S):
            raw = await _bounded(request, limit)
    except TimeoutError as error:
        raise BodyTooSlow(f"The body did not arrive within {_BODY_S:.0f} seconds.") from error
    except ClientDisconnect as error:
        raise ClientGone("The caller hung up before its body was read.") from error
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        # jiter's words: what is wrong and at which line and column, without quoting the body.
        detail = problems[0]["msg"].removeprefix("Invalid JSON: ")
        raise BadRequest(f"The body is not JSON in UTF-8: {detail}.")
    errors = tuple(
        FieldError(_path(problem["loc"]), _words(problem["type"], problem["msg"]))
        for problem in problems[:_SHOWN_ERRORS]
    )
    raise InvalidField("Mend the fields named in `errors`.", errors)


async def _bounded(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise _too_large(limit)
    return bytes(raw)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body passes {limit} bytes. Send less (INWIT_MAX_BODY_BYTES).")


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.startswith("("):  # which of a union's kinds it was taken for
            continue
        else:
            path += f".{part}" if path else part
    return path[:_SHOWN_PATH] or "(body)"


def _words(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown field; remove it or mend its spelling"
    return message.removeprefix("Value error, ")


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes an API key and reads its body by `read_body`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"requestBody": body, "security": [{"api_key": []}]}
