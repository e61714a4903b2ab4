"""From rulings as people make them, by `/v1/escalations`, to the report."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from inwit.agreement.compute import compute
from inwit.agreement.reading import read_rows
from inwit.agreement.report import Report
from inwit.agreement.rows import Filters, JudgeState, Outcome
from inwit.types import KeyRole
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled


@dataclass
class Person:
    """Somebody who rules with a key of their own."""

    http: httpx.AsyncClient
    name: str

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/v1/escalations/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def rule(self, case: str, kind: str, *, first: str | None = None) -> None:
        """Claim the case, say what one thinks before the scores, and rule."""
        taken = await self.post(f"{case}/claim")
        token, shown = taken["lease"]["token"], taken["case"]
        if first is not None:
            await self.post(f"{case}/first-verdict", token=token, kind=first)
        digest = shown["offers"]["approve"]["digest"]
        said = {"digest": digest, "policy_digest": shown["policy_digest"]}
        if kind == "block":
            said |= {"reason": "Because.", "clause": "hate"}
        request = f"{self.name}-{case}"[:64]
        await self.post(f"{case}/ruling", token=token, kind=kind, request_id=request, **said)


async def person(caller: Caller, name: str) -> Person:
    roles = (KeyRole.REVIEW,)
    _, key = await caller.gateway.keys.create(
        name=name, tenant="acme", policies=("default",), roles=roles
    )
    transport = caller.http._transport  # pyright: ignore[reportPrivateUsage]  # the same gateway
    headers = {"authorization": f"Bearer {key}"}
    return Person(
        httpx.AsyncClient(transport=transport, base_url="http://inwit", headers=headers), name
    )


async def told(caller: Caller) -> Report:
    now = datetime.now(UTC)
    rows = await read_rows(caller.database, Filters(now - timedelta(1), now + timedelta(1)))
    return compute(rows, resamples=20).report


async def test_two_people_agree_and_disagree(make_caller: MakeCaller) -> None:
    policy = compiled(on_harm="escalate", escalation={"second_review": {"share": 1.0}})
    caller = await make_caller(
        FakeModel(answer=risk_of(0.95)),
        classifiers=FakeClassifiers(0.9),
        policies=(policy,),
        undo_s=0,
    )
    ada, ben = await person(caller, "ada"), await person(caller, "ben")
    cases = [(await caller.respond()).json()["escalation"]["id"] for _ in range(3)]

    await ada.rule(cases[0], "approve", first="block")
    await ben.rule(cases[0], "approve")
    await ada.rule(cases[1], "block")
    await ben.rule(cases[1], "block")
    await ada.rule(cases[2], "block")
    await ben.rule(cases[2], "approve")  # a senior must settle this one: it is still open

    report = await told(caller)
    found, conscience = report.groups[0].by_ruling, report.confusions[0]
    flagged = next(row for row in conscience.rows if row.state is JudgeState.FLAGGED)
    assert (report.counts.cases, report.counts.two_people, found.rulings) == (2, 2, 4)
    assert (found.percent.value, found.cohen.value, found.people) == (1, 1, 2)
    assert flagged.outcomes[Outcome.AS_WRITTEN].count == 1
    assert flagged.outcomes[Outcome.BLOCKED].count == 1
    assert (report.blind.rulings, report.blind.milder.count, report.blind.away.count) == (1, 1, 1)
    assert {group.name for group in report.groups} >= {"default", "drawn"}
    for each in (ada, ben):
        await each.http.aclose()
