"""`/healthz`, `/readyz` and `/metrics`, for those who keep the service running."""

import dataclasses
import json
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from inwit import __version__
from inwit.bootstrap import Gateway
from inwit.health import CONSEQUENCES


def router(gateway: Gateway) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes = APIRouter(tags=["operate"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        """Touches no dependency."""
        return {"status": "alive", "version": __version__}

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        summary="Whether to send traffic here, and what is degraded",
    )
    async def readyz() -> Response:
        """503 until everything was up once, and at shutdown. A dependency lost later degrades."""
        body = _readiness(gateway)
        status = 200 if gateway.health.ready else 503
        return Response(json.dumps(body), status, media_type="application/json")

    @routes.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        """Every metric that docs/metrics.md lists."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _readiness(gateway: Gateway) -> dict[str, Any]:
    health, found = gateway.health, gateway.capabilities()
    return {
        "status": _status(gateway),
        "dependencies": {
            name.value: {"up": bool(state.up), "if_down": CONSEQUENCES[name]}
            for name, state in health.states.items()
        },
        "model": None if found is None else dataclasses.asdict(found),
        "warnings": _warnings(gateway),
        "policies": {
            policy.name: {
                "version": policy.ref.version,
                "digest": policy.ref.digest,
                "framing": policy.review.framing.value,
                "on_review_failure": policy.on_review_failure.value,
            }
            for policy in gateway.policies.values()
        },
    }


def _status(gateway: Gateway) -> str:
    if not gateway.health.ready:
        return "not_ready"
    return "degraded" if gateway.health.degraded else "ready"


def _warnings(gateway: Gateway) -> list[str]:
    warnings = ["No calibration: risks are the model's raw ones (calibrated: false)."]
    found = gateway.capabilities()
    if found is not None and not found.logprobs:
        warnings.append("The model server gives no log-probabilities, so nothing can be reviewed.")
    if gateway.settings.embedded_model and gateway.settings.model_url is None:
        warnings.append("The embedded model is for trying Inwit out: its judgement is near chance.")
    return warnings
