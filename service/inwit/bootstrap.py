"""The one place that names concrete clients and stores, opens them in order and closes them."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa
import structlog
from redis.asyncio import Redis, RedisCluster

from inwit import telemetry
from inwit.adapters import CALIBRATIONS
from inwit.auth import ApiKeys
from inwit.catch_rate import show_catch_rate
from inwit.checkpointing import Head, open_checkpoints
from inwit.clients.classifiers.configured import configured_panel
from inwit.clients.classifiers.panel import Panel
from inwit.clients.embedded.redis import embedded_redis
from inwit.clients.model_watch import ModelWatch
from inwit.clients.openai_compatible import Capabilities, OpenAICompatible
from inwit.clients.presidio import open_presidio
from inwit.clients.rate_limits import RateLimiter
from inwit.clients.redis import answers, redis_client
from inwit.clients.served import served_client
from inwit.config import RateRules, Settings
from inwit.errors import SetupError
from inwit.escalation.parts import Escalation, Stores, open_escalation
from inwit.exporting import exporting
from inwit.genai import OPT_IN, convention_of
from inwit.health import LOOK_S, Health
from inwit.labels import Dependency
from inwit.languages import warm_up
from inwit.ledger.abandoned import Abandoned
from inwit.ledger.database import Database
from inwit.ledger.refused import RefusedKeys
from inwit.ledger.responses import StoredResponses
from inwit.ledger.retention import Retention
from inwit.ledger.scrubbing import Scrubbing
from inwit.ledger.store import LedgerStore
from inwit.ledger_setup import open_database
from inwit.miss_rate.watch import MissRates
from inwit.pipeline.admission import Limits
from inwit.pipeline.background import Background
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.explanation import ModelExplainer
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.protocols import Classifiers, Ledger, Meter, ServedModel
from inwit.pipeline.reviewer import Reviewer, ReviewLimits
from inwit.pipeline.shadow import Shadows
from inwit.pipeline.spans import Spans
from inwit.pipeline.stored_redaction import RedactingLedger
from inwit.policy.book import PolicyBook
from inwit.policy.calibration import Calibration, Fingerprint, fits_all, load_calibrations
from inwit.policy.loader import PACKAGED, load_policies
from inwit.policy.policy import Policy
from inwit.pulse import Pulse
from inwit.reload import PolicyReloader

log = structlog.get_logger()

_SPARE_S = 5.0
# For the first look: an embedded model works out its first tokens on a machine that may be busy.
_EMBEDDED_LOOK_S = 60.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that the HTTP layer is handed, open and running."""

    settings: Settings
    pipeline: Pipeline
    keys: ApiKeys
    health: Health
    policies: PolicyBook
    calibrations: Mapping[Fingerprint, Calibration]
    breakers: Callable[[], Mapping[str, str]]
    capabilities: Callable[[], Capabilities | None]
    reload: Callable[[], None]
    ledger: LedgerStore
    responses: StoredResponses
    limiter: RateLimiter
    escalation: Escalation
    database: Database
    redis: Redis | RedisCluster
    head: Head
    refused: RefusedKeys

    def calibrated(self, policy: Policy) -> bool:
        """Whether all that reviews has a calibration for this policy's question and framing."""
        found = self.capabilities()
        return found is not None and fits_all(self.calibrations, policy.review, found.reviewers)

    @property
    def longest_s(self) -> float:
        """Seconds after which no request can be under way that was admitted before."""
        return (self.settings.deadline_ms + self.settings.record_ms) / 1000 + _SPARE_S


@asynccontextmanager
async def open_gateway(
    settings: Settings, progress: Progress = lambda _: None
) -> AsyncGenerator[Gateway]:
    """Open a gateway with all that it leans on; `progress` is told each step.

    Raises:
        SetupError: something is missing or wrong, with what to do.
    """
    panel, calibrations, folder = _checked(settings)
    async with AsyncExitStack() as stack:
        spans = await _open_telemetry(stack, settings)
        database = await stack.enter_async_context(open_database(settings))
        progress("ledger open")
        reloader = PolicyReloader(folder, database, check=partial(check_classifiers, panel))
        book = await reloader.open()
        redis_url, redis, limiter = await _open_redis(stack, settings, progress)
        client = await _open_judges(stack, settings, panel, progress)
        head = await stack.enter_async_context(open_checkpoints(settings, database))
        ledger = await _run(stack, LedgerStore(database))
        health = await _open_health(stack, settings, client, redis, database)
        await stack.enter_async_context(reloader.watching(redis, health.interval_s))
        queue_up = partial(_is_up, health, Dependency.REDIS)
        kept = await _kept_by(stack, settings, ledger)
        background = await _run(stack, Background())
        parts = Parts(client, panel, kept, limiter, background, queue_up, spans)
        pipeline = assemble(parts, book, _limits(settings), calibrations)
        keys = ApiKeys(database, settings.key_cache_ms / 1000)
        stores = Stores(database, ledger, responses := StoredResponses(database), keys)
        escalating = open_escalation(settings, stores, redis_url, pipeline, book)
        gateway = Gateway(
            settings=settings,
            pipeline=pipeline,
            keys=keys,
            health=health,
            policies=book,
            calibrations=calibrations,
            breakers=panel.states,
            capabilities=lambda: client.capabilities,
            reload=reloader.ask,
            ledger=ledger,
            responses=responses,
            limiter=limiter,
            escalation=await stack.enter_async_context(escalating),
            database=database,
            redis=redis,
            head=head,
            refused=await _run(stack, RefusedKeys(ledger)),
        )
        await _work_beside(stack, gateway)
        yield gateway


async def _work_beside(stack: AsyncExitStack, gateway: Gateway) -> None:
    """What runs beside requests, until the gateway is closed."""
    await asyncio.to_thread(warm_up)
    database, ledger = gateway.database, gateway.ledger
    await _run(stack, MissRates(database))
    await _run(stack, Retention(database, ledger, gateway.settings.retention))
    await _run(stack, Scrubbing(database))
    await _run(stack, Abandoned(database, ledger, gateway.longest_s))
    await _run(stack, _pulse(gateway))


def _checked(settings: Settings) -> tuple[Panel, dict[Fingerprint, Calibration], Path]:
    """Judges, calibrations and the policy folder, of which is said what is wrong before anything
    is started.
    """
    if settings.redact_stored != "off" and settings.redact_stored_ms >= settings.record_ms:
        raise SetupError("INWIT_REDACT_STORED_MS must be less than INWIT_RECORD_MS.")
    panel = configured_panel(settings.classifiers)
    calibrations = known_calibrations(settings)
    digests = {
        f"{key.model}-{key.framing}-{key.question_digest}": each.digest
        for key, each in calibrations.items()
    }
    log.info("calibrations", digests=digests)
    folder = settings.policy_dir or PACKAGED
    check_classifiers(panel, load_policies(folder))
    return panel, calibrations, folder


async def _kept_by(stack: AsyncExitStack, settings: Settings, ledger: LedgerStore) -> Ledger:
    """The ledger as the pipeline knows it: behind a finder of private data where one is set.

    Raises:
        SetupError: it cannot be had.
    """
    if settings.redact_stored == "off":
        return ledger
    finder = await asyncio.to_thread(open_presidio, settings.redact_stored_config)
    return await _run(stack, RedactingLedger(ledger, finder, settings.redact_stored_ms / 1000))


async def _open_judges(
    stack: AsyncExitStack, settings: Settings, panel: Panel, progress: Progress
) -> OpenAICompatible:
    client = await stack.enter_async_context(_model(settings, progress))
    await panel.open()
    stack.push_async_callback(panel.close)
    return client


async def _open_telemetry(stack: AsyncExitStack, settings: Settings) -> Spans:
    convention = convention_of(os.environ.get(OPT_IN, ""))
    await stack.enter_async_context(exporting())
    telemetry.begin()
    telemetry.IN_FLIGHT_LIMIT.set(settings.max_in_flight)
    if settings.evaluation_report is not None:
        show_catch_rate(settings.evaluation_report)
    return Spans(convention, content=settings.trace_content)


def _pulse(gateway: Gateway) -> Pulse:
    return Pulse(
        calibrated=lambda: {
            policy.name: gateway.calibrated(policy) for policy in gateway.policies.current.values()
        },
        breakers=gateway.breakers,
        problems=lambda: len(gateway.policies.problems),
        waiting=lambda: gateway.ledger.waiting,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline leans on, open; keep the background running."""

    model: ServedModel
    classifiers: Classifiers
    ledger: Ledger
    meter: Meter
    background: Background
    queue_up: Callable[[], bool] = lambda: True
    spans: Spans = field(default_factory=Spans)


def assemble(
    parts: Parts,
    book: PolicyBook,
    limits: Limits,
    calibrations: Mapping[Fingerprint, Calibration] | None = None,
) -> Pipeline:
    """Put a pipeline together from its open parts."""
    judge = Conscience(parts.model, calibrations)
    explainer = ModelExplainer(parts.model)
    reviewer = Reviewer(judge, explainer, parts.classifiers, limits.review, parts.spans)
    return Pipeline(
        model=parts.model,
        reviewer=reviewer,
        classifiers=parts.classifiers,
        ledger=parts.ledger,
        policies=book,
        shadows=Shadows(reviewer, book, parts.background),
        meter=parts.meter,
        background=parts.background,
        limits=limits,
        queue_up=parts.queue_up,
        spans=parts.spans,
    )


@asynccontextmanager
async def _redis_url(settings: Settings, progress: Progress) -> AsyncGenerator[str]:
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
    elif settings.embedded_redis:
        folder, file = settings.data_dir / "valkey", settings.data_dir / "log" / "valkey.log"
        async with embedded_redis(folder, file) as url:
            progress("Valkey running")
            yield url
    else:
        raise SetupError("Set INWIT_REDIS_URL, or INWIT_EMBEDDED_REDIS=1 for one of its own.")


async def _open_limiter(stack: AsyncExitStack, settings: Settings, redis_url: str) -> RateLimiter:
    limiter = RateLimiter(settings.rate_limits or RateRules(), redis_url)
    await limiter.open()
    stack.push_async_callback(limiter.close)
    return limiter


class _Runs(Protocol):
    def running(self) -> AbstractAsyncContextManager[None]: ...


R = TypeVar("R", bound=_Runs)


async def _run(stack: AsyncExitStack, part: R) -> R:
    """A part that works in the background from now on."""
    await stack.enter_async_context(part.running())
    return part


async def _open_redis(
    stack: AsyncExitStack, settings: Settings, progress: Progress
) -> tuple[str, Redis | RedisCluster, RateLimiter]:
    url = await stack.enter_async_context(_redis_url(settings, progress))
    redis = await stack.enter_async_context(redis_client(url))
    return url, redis, await _open_limiter(stack, settings, url)


def _is_up(health: Health, dependency: Dependency) -> bool:
    return bool(health.states[dependency].up)


async def _open_health(
    stack: AsyncExitStack,
    settings: Settings,
    client: OpenAICompatible,
    redis: Redis | RedisCluster,
    database: Database,
) -> Health:
    looks = {
        Dependency.MODEL: ModelWatch(client).look,
        Dependency.REDIS: lambda: answers(redis),
        Dependency.LEDGER: lambda: _look_at_database(database),
    }
    embedded = settings.embedded_model and settings.model_url is None
    first_s = _EMBEDDED_LOOK_S if embedded else LOOK_S
    health = Health(looks, settings.health_interval_ms / 1000, first_s)
    await stack.enter_async_context(health.watching())
    return health


@asynccontextmanager
async def _model(settings: Settings, progress: Progress) -> AsyncGenerator[OpenAICompatible]:
    if settings.model_url is None and not settings.embedded_model:
        raise SetupError("Set INWIT_MODEL_URL, or INWIT_EMBEDDED_MODEL=1 for one of its own.")
    # INWIT_MODEL names a model of the server at that address, not the embedded one.
    model = settings.model if settings.model_url is not None else None
    async with served_client(settings, model, progress) as client:
        yield client


async def _look_at_database(database: Database) -> bool:
    await database.read(lambda connection: connection.execute(sa.select(1)).scalar())
    return True


def known_calibrations(settings: Settings) -> dict[Fingerprint, Calibration]:
    """Those of the settings' folder, and below them those of the packaged adapter.

    Raises:
        SetupError: a file is not a sound calibration.
    """
    own = load_calibrations(settings.calibration_dir) if settings.calibration_dir else {}
    return load_calibrations(CALIBRATIONS) | own


def check_classifiers(panel: Panel, policies: Mapping[str, Policy]) -> None:
    """Refuse policies that name a classifier which is not there, or which judges no inputs.

    Raises:
        SetupError: naming the policy and the classifier.
    """
    for policy in policies.values():
        for name in sorted(policy.classifiers() - set(panel.names)):
            raise SetupError(
                f"The policy {policy.name!r} names the classifier {name!r}, and there are: "
                f"{', '.join(panel.names)}. Add it to INWIT_CLASSIFIERS (docs/classifiers.md)."
            )
        for name in policy.input.use if policy.input else ():
            if not panel.judges_input(name):
                raise SetupError(
                    f"The policy {policy.name!r} names {name!r} for inputs, and it judges answers "
                    "only. Name another one under `input: use:`, or use its `patterns`."
                )


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_in_flight=settings.max_in_flight,
        deadline_ms=settings.deadline_ms,
        generate_ms=settings.generate_ms,
        record_ms=settings.record_ms,
        max_tokens=settings.max_tokens,
        review=ReviewLimits(settings.judge_ms, settings.explain_ms, settings.classify_ms),
    )
