"""LiteLLM's generic guardrail contract: Inwit as a guardrail inside a LiteLLM proxy."""

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from inwit.api.body import body_schema, read_body
from inwit.api.caller import enter, trace_of, unless_gone
from inwit.api.check_answer import check_status
from inwit.api.check_batch import CheckBatch
from inwit.api.litellm_conversations import Conversation, Conversations, Key
from inwit.api.litellm_request import GuardrailRequest
from inwit.api.problems import MEDIA_TYPE, request_id
from inwit.api.schemas import Wire
from inwit.bootstrap import Gateway
from inwit.decisions import Response as Checked
from inwit.errors import FieldError, InvalidField, InwitError
from inwit.tracing import serving
from inwit.types import Action, Candidate, Principal, Tool

PATH = "/beta/litellm_basic_guardrail_api"
_CHANGES = "x-inwit-changes"
_MOST = 128  # choices of one answer; OpenAI gives no more either

Changes = Literal["return", "block"]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Any error: LiteLLM then blocks, as long as it is set up to fail closed.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class GuardrailAnswer(Wire):
    """What LiteLLM is told."""

    action: Literal["NONE", "GUARDRAIL_INTERVENED", "BLOCKED"] = Field(
        description="NONE: it may go on as it is. GUARDRAIL_INTERVENED: with `texts` in its place.",
        examples=["NONE"],
    )
    texts: list[str] | None = Field(
        default=None,
        description="The texts that may leave, in the order of those sent.",
        examples=[None],
    )
    blocked_reason: str | None = Field(
        default=None, description="Why it is blocked; LiteLLM tells its caller.", examples=[None]
    )


def router(gateway: Gateway, batch: CheckBatch) -> APIRouter:
    """The route, bound to an open gateway."""
    routes = APIRouter(tags=["litellm"])
    guardrail = Guardrail(gateway, batch)

    @routes.post(
        PATH,
        summary="LiteLLM's generic guardrail: look at a request, check an answer",
        response_model=GuardrailAnswer,
        response_model_exclude_none=True,
        responses=_PROBLEMS,
        openapi_extra=body_schema(GuardrailRequest),
    )
    async def guard(request: Request) -> Response:
        """For LiteLLM alone; docs/litellm.md has its settings. `/v1/check` is for people.

        The API key may also stand in the header `x-api-key`, where LiteLLM puts it. With the
        header `x-inwit-changes: block`, what may leave only masked or rewritten is blocked.
        """
        principal = await enter(gateway, request, _authorization(request))
        with gateway.pipeline.slot():
            body = await read_body(request, GuardrailRequest, gateway.settings.max_body_bytes)
            work = (
                guardrail.look_at(principal, body, request_id(request))
                if body.input_type == "request"
                else guardrail.check(principal, body, request_id(request), _changes(request))
            )
            with serving("guard", trace_of(request)):
                answer = await unless_gone(request, work)
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")

    return routes


class Guardrail:
    """Looks at requests, remembers them, and checks the answers to them."""

    def __init__(self, gateway: Gateway, batch: CheckBatch) -> None:
        self._gateway = gateway
        self._batch = batch
        self._conversations = Conversations()

    async def look_at(
        self, principal: Principal, body: GuardrailRequest, request_id: str
    ) -> GuardrailAnswer:
        """What the policy makes of a request: its input stage, and the tools it permits.

        Raises:
            InwitError: as `Pipeline.look_at` does.
        """
        messages, tools = body.conversation(), body.tool_names()
        if body.litellm_call_id:
            self._conversations.remember(_key(principal, body), Conversation(messages, tools))
        call = body.call(principal, request_id, messages, ())
        look = await self._gateway.pipeline.look_at(call)
        if look.action is not Action.ALLOW:
            reasons = ", ".join(look.reasons)
            return _blocked(f"The policy {look.policy!r} does not take this request: {reasons}.")
        if not tools <= self._permitted(principal, body):
            return _blocked(f"The policy {look.policy!r} does not permit all tools on offer.")
        return GuardrailAnswer(action="NONE")

    async def check(
        self, principal: Principal, body: GuardrailRequest, request_id: str, changes: Changes
    ) -> GuardrailAnswer:
        """What may become of an answer; the conversation is the one sent, else the remembered one.

        Raises:
            InwitError: a part of it could not be checked.
        """
        candidates = body.candidates()
        if len(candidates) > _MOST:
            wrong = FieldError("texts", f"more than {_MOST} answers; ask the model for fewer")
            raise InvalidField("Mend the fields named in `errors`.", (wrong,))
        if body.images:
            return _blocked("The answer holds images, which Inwit does not review.")
        if not candidates:
            return GuardrailAnswer(action="NONE")
        known = self._conversations.recall(_key(principal, body))
        called = frozenset(call.name for each in candidates for call in each.tool_calls)
        offered = (known.tools if known else called) & self._permitted(principal, body)
        messages = body.conversation() or (known.messages if known else ())
        call = body.call(principal, request_id, messages, tuple(map(Tool, sorted(offered))))
        results = await self._batch.check(call, candidates, rewrite=changes == "return")
        return answer_of(candidates, results, len(body.texts or []), changes)

    def _permitted(self, principal: Principal, body: GuardrailRequest) -> frozenset[str]:
        """The tools of the policy that decides."""
        name = body.policy or principal.default_policy
        policy = self._gateway.policies.current.get(name)
        return frozenset(policy.tools if policy else ())


def answer_of(
    candidates: Sequence[Candidate],
    results: Sequence[Checked | InwitError],
    sent: int,
    changes: Changes,
) -> GuardrailAnswer:
    """What LiteLLM is told of one answer: it is blocked where any of its candidates is withheld.

    The first `sent` candidates are the texts that LiteLLM sent.

    Raises:
        InwitError: on one of the candidates nothing was decided.
    """
    texts = list[str]()
    for candidate, result in zip(candidates, results, strict=True):
        if isinstance(result, InwitError):
            raise result
        if check_status(result) == "withheld":
            return _withheld(result, result.record.decision.reasons[0])
        if result.output.tool_calls != candidate.tool_calls:
            return _withheld(result, "its rewrite has no tool calls, and LiteLLM would keep them")
        if result.output.text != candidate.text and changes == "block":
            return _withheld(result, f"it would have to be masked, and {_CHANGES} says block")
        texts.append(result.output.text)
    if texts == [candidate.text for candidate in candidates]:
        return GuardrailAnswer(action="NONE")
    return GuardrailAnswer(action="GUARDRAIL_INTERVENED", texts=texts[:sent])


def _withheld(result: Checked, why: str) -> GuardrailAnswer:
    origin = result.record.origin
    about = f"{result.record.decision.action}, {why}; {origin.response_id}"
    return _blocked(f"The policy {origin.policy.name!r} withholds this answer ({about}).")


def _blocked(reason: str) -> GuardrailAnswer:
    return GuardrailAnswer(action="BLOCKED", blocked_reason=reason)


def _key(principal: Principal, body: GuardrailRequest) -> Key:
    return principal.key_id, body.caller_key, body.litellm_call_id or ""


def _authorization(request: Request) -> str | None:
    given, key = request.headers.get("authorization"), request.headers.get("x-api-key")
    return given if given is not None or key is None else f"Bearer {key}"


def _changes(request: Request) -> Changes:
    match request.headers.get(_CHANGES, "return"):
        case "return":
            return "return"
        case "block":
            return "block"
        case _:
            wrong = FieldError(_CHANGES, "must be return or block")
            raise InvalidField("Mend the headers named in `errors`.", (wrong,))
