"""A gateway whose every answer is held, people at its desk, and time that can be let pass."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import Case, Reviewer, Role, Ruling, RulingKind
from inwit.clients.redis import redis_client
from inwit.escalation.desk import Desk
from inwit.escalation.desk_rules import Opened
from inwit.escalation.parts import Escalation
from inwit.ledger.database import Database
from inwit.ledger.escalations import case_of
from inwit.ledger.read import Story, stories
from inwit.ledger.rulings import Said
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled

ANA = Reviewer("rev_ana", Role.REVIEWER)
BEN = Reviewer("rev_ben", Role.REVIEWER)
SUE = Reviewer("rev_sue", Role.SENIOR)
FLAGGED, FINE = risk_of(0.95), risk_of(0.05)
NO_WORDS: Mapping[str, list[str]] = {"reason_for": [], "clause_for": []}

_TIMES = {
    ESCALATIONS: ("opened", "due", "claimed_first", "waits_until", "settles", "closed"),
    SLOTS: ("lease_until",),
    RULINGS: ("time", "takes_effect"),
}


@pytest.fixture
async def clean_url(valkey_url: str) -> str:
    """A queue in which nothing is: tests have one tenant, and one server for each module."""
    async with redis_client(valkey_url, retries=False) as client:
        untyped: Any = client  # typed for sync and async at once
        await untyped.flushall()
    return valkey_url


@dataclass
class Office:
    """A gateway and what belongs to its desk."""

    caller: Caller

    @property
    def parts(self) -> Escalation:
        return self.caller.gateway.escalation

    @property
    def desk(self) -> Desk:
        return self.parts.desk

    @property
    def database(self) -> Database:
        return self.caller.database

    async def held(self, **body: Any) -> str:
        """A response that waits for a person; the id of its case."""
        asked = {"messages": [{"role": "user", "content": "How do tides work?"}], **body}
        answer = await self.caller.respond(asked)
        assert answer.status_code == 202, answer.text
        return answer.json()["escalation"]["id"]

    async def claim(self, case: str, who: Reviewer = ANA, **how: Any) -> Opened:
        return await self.desk.claim(who, case, how.pop("token", who.id), **how)

    async def next(self, who: Reviewer = ANA, **how: str) -> Opened | None:
        token, request = how.get("token", who.id), how.get("request_id", uuid.uuid4().hex)
        return await self.desk.next(who, token, request)

    async def rule(
        self, opened: Opened, kind: RulingKind, who: Reviewer = ANA, **more: Any
    ) -> tuple[Ruling, Case]:
        """What the reviewer says of what they were shown."""
        return await self.desk.rule(who, said_of(opened, kind, who, **more))

    async def approved(self, case: str, who: Reviewer = ANA) -> tuple[Ruling, Case]:
        return await self.rule(await self.claim(case, who), RulingKind.APPROVE, who)

    async def case(self, name: str) -> Case:
        return (await self.database.read(lambda each: case_of(each, name)))[0]

    async def told(self, case: str) -> dict[str, Any]:
        """What the caller is told of it."""
        response = case.replace("esc_", "resp_")
        return (await self.caller.http.get(f"/v1/responses/{response}")).json()

    async def acts(self, case: str, kind: str | None = None) -> list[Story]:
        response = case.replace("esc_", "resp_")
        found = await self.database.read(lambda each: stories(each, response))
        return [each for each in found if kind in (None, each.facts["type"])]

    async def later(self, seconds: float) -> None:
        """Time passes for all cases: what was written moves back by as much."""
        await self.database.write(lambda each: age(each, timedelta(seconds=seconds)))


async def office(
    make_caller: MakeCaller,
    model: FakeModel | None = None,
    *,
    classifiers: FakeClassifiers | None = None,
    escalation: Mapping[str, Any] = NO_WORDS,
    sections: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Office:
    """Rulings take effect at once, unless `undo_s` says otherwise."""
    policy = compiled(**{"on_harm": "escalate", "escalation": dict(escalation), **(sections or {})})
    caller = await make_caller(
        model or FakeModel(answer=FLAGGED),
        classifiers=classifiers or FakeClassifiers(0.9),
        policies=(policy,),
        **{"undo_s": 0, **settings},
    )
    return Office(caller)


def said_of(opened: Opened, kind: RulingKind, who: Reviewer, **more: Any) -> Said:
    shown = RulingKind.APPROVE_REWRITE if kind is RulingKind.APPROVE_REWRITE else RulingKind.APPROVE
    case = opened.file.case
    values: dict[str, Any] = {
        "case_id": case.id,
        "reviewer": who.id,
        "token": opened.lease.token,
        "kind": kind,
        "digest": opened.file.offers[shown].digest if shown in opened.file.offers else "",
        "policy_digest": case.policy.digest,
        "request_id": uuid.uuid4().hex,
    }
    return Said(**{**values, **more})


def age(connection: sa.Connection, by: timedelta) -> None:
    """Move all that was written about cases back in time."""
    for table, columns in _TIMES.items():
        keys = [column.name for column in table.primary_key]
        for row in connection.execute(sa.select(table)).all():
            moved = {name: getattr(row, name) - by for name in columns if getattr(row, name)}
            if moved:
                own = {key: getattr(row, key) for key in keys}
                connection.execute(sa.update(table).filter_by(**own).values(**moved))
