"""Wires the routes to an open gateway. No logic."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic.json_schema import models_json_schema

from inwit import __version__
from inwit.api import (
    chat,
    check,
    erasure,
    escalations,
    health,
    ledger,
    litellm_guardrail,
    model_list,
    problems,
    respond,
    responses,
)
from inwit.api.caller import counting_refusals
from inwit.api.chat_request import ChatRequest
from inwit.api.check_batch import CheckBatch
from inwit.api.check_request import CheckRequest
from inwit.api.draining import Drain, Exchanges
from inwit.api.litellm_request import GuardrailRequest
from inwit.api.middleware import RequestContext
from inwit.api.openai_errors import OpenAIError
from inwit.api.problems import Problem
from inwit.api.respond_request import RespondRequest
from inwit.api.told import Told
from inwit.bootstrap import Gateway
from inwit.console.cases import routers as case_routers
from inwit.console.parts import ConsoleParts
from inwit.console.site import mount
from inwit.console.work import Work

_REFERENCE = "#/components/schemas/{model}"


def create_app(
    gateway: Gateway, console: ConsoleParts | None = None, exchanges: Exchanges | None = None
) -> FastAPI:
    """The ASGI application over an open gateway; with the console where it is open too."""
    app = FastAPIOffline(
        title="Inwit",
        version=__version__,
        summary="A guardrail gateway: every response is reviewed, decided and recorded first.",
        redoc_url=None,
        redirect_slashes=False,
    )
    told = Told(gateway)
    app.include_router(respond.router(gateway, told))
    app.include_router(responses.router(gateway, told))
    app.include_router(escalations.router(gateway))
    app.include_router(ledger.router(gateway))
    app.include_router(erasure.router(gateway))
    batch = CheckBatch(
        gateway.pipeline,
        max_in_flight=gateway.settings.max_in_flight,
        deadline_ms=gateway.settings.deadline_ms,
    )
    app.include_router(check.router(gateway, batch))
    app.include_router(litellm_guardrail.router(gateway, batch))
    app.include_router(chat.router(gateway))
    app.include_router(model_list.router(gateway))
    if gateway.settings.operate_port is None:
        app.include_router(health.router(lambda: gateway))
    if console is not None:
        work = Work(
            gateway.escalation.desk,
            gateway.policies,
            gateway.escalation.sweeper,
            lambda: gateway.health.draining,
        )
        mount(app, console, case_routers(work))
    problems.install(app, counting_refusals(gateway))
    app.add_middleware(Drain, exchanges=exchanges or Exchanges(gateway.health))
    app.add_middleware(RequestContext, checkpoint=lambda: gateway.head.header)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_body_models(app)
        return app.openapi_schema

    app.openapi = openapi
    return app


def operate_app(opened: Callable[[], Gateway | None]) -> FastAPI:
    """Health and metrics alone, for a port of their own; there before the gateway is open."""
    app = FastAPI(title="Inwit", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(health.router(opened))
    problems.install(app)
    app.add_middleware(RequestContext)
    return app


def _with_body_models(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the models that routes read and answer by themselves."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    _, extra = models_json_schema(
        [
            (RespondRequest, "validation"),
            (CheckRequest, "validation"),
            (erasure.ErasureBody, "validation"),
            (GuardrailRequest, "validation"),
            (ChatRequest, "validation"),
            *((model, "validation") for model in escalations.body_models()),
            (Problem, "serialization"),
            (OpenAIError, "serialization"),
        ],
        ref_template=_REFERENCE,
    )
    document["components"]["schemas"].update(extra["$defs"])
    document["components"]["securitySchemes"] = {"api_key": {"type": "http", "scheme": "bearer"}}
    return document
