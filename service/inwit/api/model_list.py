"""`GET /v1/models`: what the model server serves, in OpenAI's shape."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from inwit.api.openai_errors import OPENAI_ERRORS
from inwit.api.schemas import Wire, example
from inwit.bootstrap import Gateway
from inwit.errors import UnknownModel, UpstreamUnavailable
from inwit.types import KeyRole

_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {**OPENAI_ERRORS[404], "description": "An error: 401, 403, 404 or 503."}
}
_SECURITY = {"security": [{"api_key": list[str]()}]}


class ModelOut(Wire):
    """One served model."""

    id: str = Field(description="Its name.", examples=["my-model"])
    object: Literal["model"] = Field(
        default="model", description="Always model.", examples=["model"]
    )
    created: int = Field(default=0, description="Not known: always 0.", examples=[0])
    owned_by: str = Field(description="What the model server says of itself.", examples=["vllm"])


class ModelsOut(Wire):
    """The served models."""

    object: Literal["list"] = Field(default="list", description="Always list.", examples=["list"])
    data: list[ModelOut] = Field(description="The models.", examples=[[example(ModelOut)]])


def router(gateway: Gateway) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes = APIRouter(tags=["chat"])

    @routes.get(
        "/v1/models",
        summary="The served models",
        responses=_ERRORS,
        openapi_extra=_SECURITY,
    )
    async def models(request: Request) -> ModelsOut:
        """List what the model server serves; any of it may stand in `model`."""
        return ModelsOut(data=await _served(gateway, request))

    @routes.get(
        "/v1/models/{model:path}",
        summary="One served model",
        responses=_ERRORS,
        openapi_extra=_SECURITY,
    )
    async def model(request: Request, model: str) -> ModelOut:
        """Tell whether a model is served."""
        served = await _served(gateway, request)
        found = [each for each in served if each.id == model]
        if not found:
            raise UnknownModel(each.id for each in served)
        return found[0]

    return routes


async def _served(gateway: Gateway, request: Request) -> list[ModelOut]:
    await gateway.keys.authenticate(request.headers.get("authorization"), KeyRole.RESPOND)
    found = gateway.capabilities()
    if found is None:
        raise UpstreamUnavailable("The model server has not been reached yet.", retry_after=2)
    return [ModelOut(id=name, owned_by=found.server) for name in found.models]
