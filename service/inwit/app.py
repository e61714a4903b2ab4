"""Wires the routes to an open gateway. No logic."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic.json_schema import models_json_schema

from inwit import __version__
from inwit.api import health, problems, respond
from inwit.api.middleware import RequestContext
from inwit.api.problems import Problem
from inwit.api.respond_request import RespondRequest
from inwit.bootstrap import Gateway

_REFERENCE = "#/components/schemas/{model}"


def create_app(gateway: Gateway) -> FastAPI:
    """The ASGI application over an open gateway."""
    app = FastAPIOffline(
        title="Inwit",
        version=__version__,
        summary="A guardrail gateway: every response is reviewed, decided and recorded first.",
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(respond.router(gateway))
    app.include_router(health.router(gateway))
    problems.install(app)
    app.add_middleware(RequestContext)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_body_models(app)
        return app.openapi_schema

    app.openapi = openapi
    return app


def _with_body_models(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the models that routes read and answer by themselves."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    _, extra = models_json_schema(
        [(RespondRequest, "validation"), (Problem, "serialization")], ref_template=_REFERENCE
    )
    document["components"]["schemas"].update(extra["$defs"])
    document["components"]["securitySchemes"] = {"api_key": {"type": "http", "scheme": "bearer"}}
    return document
