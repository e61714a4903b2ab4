"""What most tests share: a gateway on fakes, a caller with a key, and a look for leaks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from inwit.app import create_app
from inwit.auth import ApiKeys
from inwit.bootstrap import Gateway, Parts, assemble
from inwit.checkpointing import Head
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.clients.rate_limits import RateLimiter
from inwit.clients.redis import redis_client
from inwit.config import RateRules, load_settings
from inwit.escalation.parts import Stores, assemble_escalation
from inwit.health import Health
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.refused import RefusedKeys
from inwit.ledger.responses import StoredResponses
from inwit.ledger.store import LedgerStore
from inwit.pipeline.admission import Limits
from inwit.pipeline.background import Background
from inwit.pipeline.protocols import Classifiers, Ledger
from inwit.pipeline.reviewer import ReviewLimits
from inwit.policy.book import PolicyBook
from inwit.policy.loader import PACKAGED, load_policy
from inwit.policy.policy import Policy
from inwit.types import KeyRole
from tests.fakes import FakeClassifiers, FakeModel

# How long an example took, or was in the making, says something about the machine alone.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

LIMITS = Limits(
    max_in_flight=8,
    deadline_ms=120_000,
    generate_ms=60_000,
    record_ms=60_000,
    max_tokens=256,
    review=ReviewLimits(judge_ms=60_000, explain_ms=60_000, classify_ms=60_000),
)

NO_REDIS = "redis://127.0.0.1:1/0"  # nobody listens there: the queue is down

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "How do tides work?"}]}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    import os

    for name in [name for name in os.environ if name.startswith("INWIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no server or database that is away."""
    monkeypatch.setattr("inwit.auth.LOOK_UP_S", 60.0)
    for module in ("clients.transport", "clients.openai_compatible", "client.connection"):
        monkeypatch.setattr(f"inwit.{module}.CONNECT_S", 60.0)


@pytest.fixture(autouse=True)
async def _no_leaked_tasks() -> AsyncGenerator[None]:
    before = asyncio.all_tasks()
    yield
    leaked = {task for task in asyncio.all_tasks() - before if not task.done()}
    leaked.discard(asyncio.current_task())  # pyright: ignore[reportArgumentType]  # never None here
    assert not leaked, f"tasks left running: {[task.get_name() for task in leaked]}"


@pytest.fixture
def policy() -> Policy:
    """The packaged default, with its random slice off: a draw must not decide what a test sees."""
    default = load_policy(PACKAGED / "default.yaml")
    assert default.classifier is not None
    return replace(default, classifier=replace(default.classifier, sample_rate=0.0))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    opened = Database(sqlite_url(tmp_path))
    await opened.open()
    yield opened
    await opened.close()


@dataclass
class Caller:
    """A product backend with an API key, in front of an ASGI gateway."""

    http: httpx.AsyncClient
    gateway: Gateway
    database: Database
    key: str
    background: Background

    async def respond(self, body: Any = ASK, **headers: str) -> httpx.Response:
        return await self.http.post("/v1/respond", json=body, headers=headers)


MakeCaller = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def make_caller(database: Database, policy: Policy) -> AsyncGenerator[MakeCaller]:
    """Makes callers in front of a gateway with the given fakes; the ledger is real by default."""
    async with AsyncExitStack() as stack:

        async def make(
            model: FakeModel | OpenAICompatible | None = None,
            *,
            classifiers: Classifiers | None = None,
            ledger: Ledger | None = None,
            limits: Limits = LIMITS,
            policies: tuple[Policy, ...] = (),
            roles: tuple[KeyRole, ...] = (KeyRole.RESPOND,),
            key_policies: tuple[str, ...] | None = None,
            redis_url: str = NO_REDIS,
            **changed: object,
        ) -> Caller:
            model = model or FakeModel()
            store = LedgerStore(database)
            await stack.enter_async_context(store.running())
            known = {each.name: each for each in policies or (policy,)}
            book = PolicyBook(known, datetime.now(UTC))
            judges = classifiers or FakeClassifiers()
            background = Background()
            await stack.enter_async_context(background.running())
            # No heartbeat comes before an error only because a machine stood still.
            given = {"record_ms": limits.record_ms, "heartbeat_ms": 120_000, **changed}
            loaded = load_settings(embedded_redis=True, embedded_model=True, **given)
            limiter = RateLimiter(loaded.rate_limits or RateRules(), None)
            await limiter.open()
            stack.push_async_callback(limiter.close)
            parts = Parts(model, judges, ledger or store, limiter, background)
            pipeline = assemble(parts, book, limits)
            keys = ApiKeys(database, cache_s=60)
            responses = StoredResponses(database)
            stores = Stores(database, store, responses, keys)
            redis = await stack.enter_async_context(redis_client(redis_url, retries=False))
            escalation = assemble_escalation(loaded, stores, redis, pipeline, book)
            gateway = Gateway(
                settings=loaded,
                pipeline=pipeline,
                keys=keys,
                health=Health({}, interval_s=60),
                policies=book,
                calibrations={},
                breakers=dict,
                capabilities=lambda: None,
                reload=lambda: None,
                ledger=store,
                responses=responses,
                limiter=limiter,
                escalation=escalation,
                database=database,
                redis=redis,
                head=Head(("log.example.com+00000000+AQ",)),
                refused=RefusedKeys(store),
            )
            names = tuple(known) if key_policies is None else key_policies
            _, key = await keys.create(name="test", tenant="acme", policies=names, roles=roles)
            http = httpx.AsyncClient(
                transport=httpx.ASGITransport(create_app(gateway), raise_app_exceptions=False),
                base_url="http://inwit",
                headers={"authorization": f"Bearer {key}"},
            )
            await stack.enter_async_context(http)
            return Caller(http, gateway, database, key, background)

        yield make


def stricter(policy: Policy, **changes: Any) -> Policy:
    """The same policy with some of its values changed."""
    return replace(policy, **changes)
