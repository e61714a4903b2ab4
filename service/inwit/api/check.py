"""`POST /v1/check`: review of what another model wrote (docs/check.md)."""

from fastapi import APIRouter, Request, Response

from inwit.api.body import body_schema, read_body
from inwit.api.caller import enter, trace_of, unless_gone
from inwit.api.check_answer import CheckResponse, CheckResponses, check_out
from inwit.api.check_batch import CheckBatch
from inwit.api.check_request import CheckRequest
from inwit.api.problems import described, request_id
from inwit.bootstrap import Gateway
from inwit.errors import FieldError, InvalidField
from inwit.ledger.idempotency import HEADER
from inwit.tracing import serving

_PROBLEMS = described(
    {
        400: "Not JSON, or not UTF-8.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role, or may not use that policy.",
        413: "The body is too long.",
        422: "Fields are missing, wrong or unknown.",
        429: "A rate limit of the key or its tenant is used up: see Retry-After.",
        503: "Too busy, the model server is away, or the ledger is: see Retry-After.",
        504: "The deadline ended during the review.",
    }
)


def router(gateway: Gateway, batch: CheckBatch) -> APIRouter:
    """The route, bound to an open gateway."""
    routes = APIRouter(tags=["check"])

    @routes.post(
        "/v1/check",
        summary="Review, decide, record: for text that you generated yourself",
        response_model=CheckResponse | CheckResponses,
        responses=_PROBLEMS,
        openapi_extra=body_schema(CheckRequest),
    )
    async def check(request: Request) -> Response:
        """Have what your own model wrote reviewed by the gateway's model and classifiers.

        Nothing is generated, but for a rewrite that you asked for. The decision is in the ledger
        before you have it. Keeping back what is `withheld` is your part.
        """
        principal = await enter(gateway, request, request.headers.get("authorization"))
        with gateway.pipeline.slot():
            body = await read_body(request, CheckRequest, gateway.settings.max_body_bytes)
            if HEADER in request.headers:
                wrong = FieldError(HEADER, "not served here: a check releases nothing, repeat it")
                raise InvalidField(f"Leave out the header {HEADER}.", (wrong,))
            call = body.to_domain(principal, request_id(request))
            with serving("check", trace_of(request)):
                results = await unless_gone(
                    request, batch.check(call, body.brought(), rewrite=body.mode == "rewrite")
                )
        answers = [check_out(each, call.request_id) for each in results]
        answer = answers[0] if body.candidates is None else CheckResponses(results=answers)
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes
