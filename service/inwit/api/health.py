"""`/healthz`, `/startupz`, `/readyz`, `/metrics`, for those who keep the service running."""

import asyncio
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from inwit import __version__
from inwit.adapters import ADAPTER_NAME
from inwit.bootstrap import Gateway
from inwit.clients.openai_compatible import Capabilities
from inwit.health import CONSEQUENCES
from inwit.policy.policy import StreamMode


def router(opened: Callable[[], Gateway | None]) -> APIRouter:
    """The routes. `opened` gives the gateway once it is open, and None before that and after."""
    routes = APIRouter(tags=["operate"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        """Touches no dependency."""
        return {"status": "alive", "version": __version__}

    @routes.head("/startupz", include_in_schema=False)
    @routes.get("/startupz", summary="Whether everything was up once")
    async def startupz() -> Response:
        """503 until then; 200 from then on, whatever is lost later."""
        gateway = opened()
        started = gateway is not None and gateway.health.started
        return _json({"status": "started" if started else "starting"}, up=started)

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        summary="Whether to send traffic here, and what is degraded",
    )
    async def readyz() -> Response:
        """503 until everything was up once, and at shutdown. A dependency lost later degrades."""
        gateway = opened()
        if gateway is None:
            return _json({"status": "not_ready", "why": "not open"}, up=False)
        return _json(_readiness(gateway), up=gateway.health.ready)

    @routes.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Every metric that docs/metrics.md lists; in OpenMetrics for who accepts that."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # In a thread: of several workers all that they have counted is read from files.
        return Response(await asyncio.to_thread(encode, _counted()), media_type=media_type)

    return routes


def _counted() -> CollectorRegistry:
    """What this process has counted; where it is one of several workers, what all of them have."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def _json(body: dict[str, Any], *, up: bool) -> Response:
    return Response(json.dumps(body), 200 if up else 503, media_type="application/json")


def _readiness(gateway: Gateway) -> dict[str, Any]:
    health, found = gateway.health, gateway.capabilities()
    return {
        "status": _status(gateway),
        "dependencies": {
            name.value: {"up": bool(state.up), "if_down": CONSEQUENCES[name]}
            for name, state in health.states.items()
        },
        "model": None if found is None else dataclasses.asdict(found),
        "classifiers": {name: {"breaker": state} for name, state in gateway.breakers().items()},
        "warnings": warnings_of(gateway),
        "policies": {
            policy.name: {
                "version": policy.ref.version,
                "digest": policy.ref.digest,
                "framing": policy.review.framing.value,
                "calibrated": gateway.calibrated(policy),
                "on_review_failure": policy.on_review_failure.value,
                "shadow": policy.shadow,
            }
            for policy in gateway.policies.current.values()
        },
        "queue": _queue(gateway),
        "policies_since": gateway.policies.loaded.isoformat(timespec="seconds"),
        "policy_problems": list(gateway.policies.problems),
    }


def _queue(gateway: Gateway) -> dict[str, Any]:
    """The review queue: what waits, and what a loss of Redis would cost."""
    standing, durability = gateway.escalation.sweeper.standing, gateway.escalation.durability
    return {
        "open": dict(standing.lanes),
        "oldest_s": round(standing.oldest_s),
        "not_told_yet": standing.behind,
        "if_redis_is_lost": durability.words if durability else "unknown: Redis did not answer",
    }


def _status(gateway: Gateway) -> str:
    if not gateway.health.ready:
        return "not_ready"
    degraded = gateway.health.degraded or gateway.policies.problems
    return "degraded" if degraded else "ready"


def _small(found: Capabilities | None) -> str:
    """What the embedded model's judgement is worth."""
    if found is not None and ADAPTER_NAME in found.reviewers:
        return (
            "The embedded model is for trying Inwit out: it is small, and so is what its "
            "conscience has learnt (docs/conscience.md)."
        )
    return "The embedded model is for trying Inwit out: its judgement is near chance."


def _unsigned(gateway: Gateway) -> Iterator[str]:
    """That this gateway signs no checkpoints."""
    if not gateway.head.vkeys:
        yield (
            "This gateway signs no checkpoints of the ledger: set INWIT_LEDGER_KEY_FILE or "
            "INWIT_LEDGER_KEY, the same for all gateways on one database (docs/ledger.md)."
        )


def _in_the_clear(gateway: Gateway) -> Iterator[str]:
    """Where the texts of conversations can be read by who should not need to."""
    if gateway.settings.trace_content:
        yield "Spans carry the texts of conversations (INWIT_TRACE_CONTENT)."
    if gateway.database.vault is None:
        yield (
            "Content stands in the ledger in the clear: set INWIT_CONTENT_KEY_FILE "
            "(docs/forgetting.md)."
        )


def warnings_of(gateway: Gateway) -> list[str]:
    """What the one who runs this gateway should know: also logged at start."""
    warnings: list[str] = []
    policies = gateway.policies.current.values()
    raw = sorted(policy.name for policy in policies if not gateway.calibrated(policy))
    if raw:
        warnings.append(
            f"No calibration for {', '.join(raw)}: risks are the model's raw ones, and the "
            "stricter thresholds hold (inwit calibrate)."
        )
    if any(calibration.facts.forced for calibration in gateway.calibrations.values()):
        warnings.append("A calibration was forced for a judge without signal: it tells nothing.")
    if gateway.policies.problems:
        warnings.append("The policy folder does not compile; the policies before it are in force.")
    weak = sorted(p.name for p in policies if p.classifier and p.classifier.use == ("embedded",))
    if weak:
        warnings.append(
            f"The only classifier of {', '.join(weak)} is the embedded one, which is weak next to "
            "a guard model (docs/classifiers.md)."
        )
    early = sorted(p.name for p in policies if p.stream.mode is StreamMode.AUDIT_ONLY)
    if early:
        warnings.append(
            f"{', '.join(early)} sends text before it is reviewed (stream.mode audit_only)."
        )
    if gateway.limiter.local:
        warnings.append("Rate limits count this gateway alone: Redis is lost.")
    warnings += [*_in_the_clear(gateway), *_unsigned(gateway), *gateway.escalation.warnings()]
    found = gateway.capabilities()
    if found is not None and not found.logprobs:
        warnings.append("The model server gives no log-probabilities, so nothing can be reviewed.")
    if gateway.settings.embedded_model and gateway.settings.model_url is None:
        warnings.append(_small(found))
    return warnings
