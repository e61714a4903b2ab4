"""The parts by which people decide, opened together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis, RedisCluster

from inwit.clients.redis import redis_client
from inwit.config import Settings
from inwit.errors import QueueDown
from inwit.escalation.desk import Desk
from inwit.escalation.desk_rules import DeskRules
from inwit.escalation.durability import Durability, look
from inwit.escalation.edits import PipelineJudge
from inwit.escalation.index import Index
from inwit.escalation.queue import Queue
from inwit.escalation.sweeper import Sweeper
from inwit.escalation.webhooks import CallbackRules, Deliverer, Responses
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.pipeline.pipeline import Pipeline
from inwit.policy.book import PolicyBook

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Escalation:
    """Open and running. `durability` is how Redis keeps the queue, where it could be asked."""

    desk: Desk
    queue: Queue
    index: Index
    sweeper: Sweeper
    deliverer: Deliverer
    durability: Durability | None

    def warnings(self) -> list[str]:
        """What the one who runs this gateway should know of it."""
        standing = self.sweeper.standing
        found = [*self.deliverer.warnings()]
        if self.durability is not None:
            found += self.durability.warnings
        if stuck := standing.lanes.get("stuck", 0):
            found.append(
                f"{stuck} cases are stuck: too many leases ran out on each. A senior should look."
            )
        if standing.behind:
            found.append(
                f"The queue has not heard of {standing.behind} changes; they wait in the ledger."
            )
        return found


@dataclass(frozen=True, slots=True)
class Stores:
    """Where things are kept, and who may call back."""

    database: Database
    ledger: LedgerStore
    responses: Responses
    keys: CallbackRules


def desk_rules(settings: Settings) -> DeskRules:
    """How people work, as the settings say."""
    return DeskRules(
        lease_s=settings.lease_s,
        undo_s=settings.undo_s,
        blind_share=settings.blind_share,
        golden_share=settings.golden_share,
        budget=settings.exposure_budget,
    )


def assemble_escalation(
    settings: Settings,
    stores: Stores,
    redis: Redis | RedisCluster,
    pipeline: Pipeline,
    policies: PolicyBook,
    durability: Durability | None = None,
) -> Escalation:
    """Put them together. `redis` must be a client without retries."""
    database, ledger = stores.database, stores.ledger
    queue = Queue(redis)
    index = Index(database, ledger, queue)
    judge = PipelineJudge(pipeline)
    return Escalation(
        desk=Desk(database, ledger, queue, index, judge, policies, desk_rules(settings)),
        queue=queue,
        index=index,
        sweeper=Sweeper(database, ledger, queue, index),
        deliverer=Deliverer(database, ledger, stores.keys, stores.responses),
        durability=durability,
    )


@asynccontextmanager
async def open_escalation(
    settings: Settings, stores: Stores, redis_url: str, pipeline: Pipeline, policies: PolicyBook
) -> AsyncGenerator[Escalation]:
    """Put them together, and run what runs beside requests."""
    async with redis_client(redis_url, retries=False) as redis:
        try:
            durability = await look(redis)
        except QueueDown:
            durability = None
        else:
            log.info("queue_durability", words=durability.words)
        parts = assemble_escalation(settings, stores, redis, pipeline, policies, durability)
        async with parts.sweeper.running(), parts.deliverer.running():
            yield parts
