"""Errors on the OpenAI-shaped routes: OpenAI's envelope, and the status that its clients expect."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from inwit.api.chat_request import InwitPart
from inwit.api.schemas import Wire
from inwit.errors import (
    ConversationTooLong,
    FieldError,
    InvalidField,
    InwitError,
    NotFound,
    NotSupportedYet,
    RateLimited,
    UnknownModel,
    UpstreamRefused,
)

MEDIA_TYPE = "application/json"

_ROUTES = ("/v1/chat", "/v1/models")
# What OpenAI's clients also call, and Inwit does not serve: they are told so in their own words.
_NOT_SERVED = ("/v1/responses", "/v1/completions", "/v1/embeddings", "/v1/moderations")
# OpenAI's words: LangChain and LiteLLM know the case by them.
_TOO_LONG = "Input tokens exceed the configured limit."
_NO_ROUTE = NotFound(
    "Of OpenAI's API Inwit serves POST /v1/chat/completions and GET /v1/models; see "
    "docs/openai.md. In LangChain set use_responses_api=False."
)


class OpenAIErrorBody(Wire):
    """What went wrong."""

    message: str = Field(
        description="What happened, and what to do.",
        examples=["temperature: Input should be less than or equal to 2"],
    )
    type: str = Field(
        description="OpenAI's name for the kind of error.", examples=["invalid_request_error"]
    )
    param: str | None = Field(
        description="The field that is wrong, the first of several.", examples=["temperature"]
    )
    code: str | None = Field(
        description="What kind of error it is, in a word; Inwit's where OpenAI has none.",
        examples=["invalid_field"],
    )


class OpenAIError(Wire):
    """An error, in OpenAI's envelope."""

    error: OpenAIErrorBody = Field(
        description="The error.",
        examples=[{"message": "…", "type": "invalid_request_error", "param": None, "code": None}],
    )


OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/OpenAIError"}}},
    }
    for status, words in {
        400: "Not JSON; fields that are missing, wrong or refused; a conversation too long.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role, or may not use that policy.",
        404: "The model is not served.",
        409: "A request with the same idempotency key is being worked on.",
        413: "The body is too long.",
        429: "A rate limit is used up: see Retry-After.",
        502: "The model server failed.",
        503: "Too busy, the model server is away, or the ledger is: see Retry-After.",
        504: "The model server did not answer in time.",
    }.items()
}


def speaks_openai(path: str) -> bool:
    """Whether who asks for this path expects OpenAI's envelope."""
    served = any(path == route or path.startswith(f"{route}/") for route in _ROUTES)
    return served or path in _NOT_SERVED


def no_route(path: str) -> NotFound:
    """The error for a path that is no route."""
    if speaks_openai(path):
        return _NO_ROUTE
    return NotFound("There is no such route; see /docs.")


def status_of(error: InwitError) -> int:
    """The status that OpenAI gives for such an error; most are Inwit's own."""
    if isinstance(error, UnknownModel):
        return 404
    wrong = (InvalidField, NotSupportedYet, ConversationTooLong, UpstreamRefused)
    return 400 if isinstance(error, wrong) else error.status


def envelope(error: InwitError) -> str:
    """The error as one line of JSON."""
    errors: Sequence[FieldError] = getattr(error, "errors", ())
    message = "; ".join(f"{_place(each)}: {each.problem}" for each in errors) or error.detail
    param = _place(errors[0]) if errors else None
    if isinstance(error, ConversationTooLong):
        message, param = f"{_TOO_LONG} {error.detail}", "messages"
    body = OpenAIErrorBody(message=message, type=_type(error), param=param, code=_code(error))
    return OpenAIError(error=body).model_dump_json()


def _place(error: FieldError) -> str:
    """Where the field stands on these routes; past the door it is known by its bare name."""
    name = error.field.partition("[")[0]
    return f"inwit.{error.field}" if name in InwitPart.model_fields else error.field


def _type(error: InwitError) -> str:
    match status_of(error):
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case status if status >= 500:
            return "server_error"
        case _:
            return "invalid_request_error"


def _code(error: InwitError) -> str:
    if isinstance(error, UnknownModel):
        return "model_not_found"
    match error:
        case ConversationTooLong():
            return "context_length_exceeded"
        case RateLimited():
            return "rate_limit_exceeded"
        case _ if error.status == 401:
            return "invalid_api_key"
        case _:
            return error.kind.replace("-", "_")
