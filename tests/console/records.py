"""Cases, rulings and golden copies in the ledger of a console, by the ledger's own steps."""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inwit.cases import Case, Hold, Lease, Offer, OnExpiry, Output, Reviewer, Role, RulingKind
from inwit.console import (
    agreement_page,
    audit,
    case_list,
    export,
    golden_page,
    own_rulings,
    people,
)
from inwit.console.site import Routers
from inwit.decisions import Decision, Reason, Round
from inwit.ledger import golden, leases, outcomes, rulings
from inwit.ledger.escalations import case_of
from inwit.ledger.rulings import Said
from inwit.ledger.tables import ESCALATIONS, RULINGS
from inwit.types import Action, Candidate, Category, PolicyRef, Severity, Verdict
from tests.console.conftest import Browser, MakeSite, Site
from tests.ledger.test_store import ORIGIN, RECORD

PAGES: Routers = (
    case_list.router,
    own_rulings.router,
    agreement_page.router,
    people.router,
    golden_page.router,
    audit.router,
    export.router,
)
SECRET = "Mix the two powders"  # stands for what must show nowhere but in a file with content
POLICY = PolicyRef("default", "1", "ab" * 32)
LEASE_S = 3600.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Records:
    """A site with the pages of tables, and what is written under it."""

    site: Site

    async def hold(
        self,
        tenant: str = "acme",
        policy: str = "default",
        severity: Severity = Severity.HIGH,
        categories: tuple[Category, ...] = (Category.DECEPTION,),
        language: str = "en",
        required: int = 1,
        verdicts: tuple[Verdict, ...] = (),
        reasons: tuple[Reason, ...] = (Reason.IN_DOUBT,),
        ref: PolicyRef = POLICY,
        **row: Any,
    ) -> str:
        """A held response; the id of its case. `row` changes columns of it afterwards."""
        name = uuid.uuid4().hex
        output = Output(SECRET, "stop")
        hold = Hold(
            id=f"esc_{name}",
            severity=severity,
            language=language,
            required=required,
            drawn=False,
            claim_within=timedelta(minutes=10),
            rule_within=timedelta(minutes=10),
            on_expiry=OnExpiry.BLOCK,
            expired=Output("", "content_filter"),
            offers=(Offer(RulingKind.APPROVE, output),),
        )
        text: dict[str, Any] = {
            "text": SECRET,
            "finish_reason": "stop",
            "tool_calls": [],
            "masked": {},
        }
        held = {"offers": {"approve": text}, "expired": text}
        contents: dict[str, Any] = {
            "request": {},
            "candidate": text,
            "released": text,
            "held": held,
        }
        principal = replace(ORIGIN.principal, tenant=tenant)
        origin = replace(ORIGIN, response_id=f"resp_{name}", principal=principal)
        decision = Decision(
            Action.ESCALATE,
            reasons,
            verdicts,
            "cd" * 32,
            reviewed=True,
            categories=categories,
        )
        record = replace(
            RECORD,
            origin=replace(origin, policy=replace(ref, name=policy)),
            decision=decision,
            rounds=(Round(Candidate(SECRET, "m"), decision),),
            hold=hold,
            contents={kind: json.dumps(value).encode() for kind, value in contents.items()},
        )
        await self.site.parts.ledger.append(record)
        if row:
            await self.change(hold.id, **row)
        return hold.id

    async def change(self, case_id: str, **values: Any) -> None:
        query = sa.update(ESCALATIONS).filter_by(id=case_id).values(**values)
        await self.site.database.write(lambda db: db.execute(query))

    async def claim(self, case_id: str, who: str, role: Role = Role.REVIEWER) -> Lease:
        token = uuid.uuid4().hex
        _, lease = await self.site.parts.ledger.write(
            lambda each: leases.claim(each, case_id, Reviewer(who, role), token, LEASE_S)
        )
        return lease

    async def rule(
        self,
        case_id: str,
        who: str,
        kind: RulingKind = RulingKind.BLOCK,
        *,
        undo_s: float = 0.0,
        lease: Lease | None = None,
        **said: Any,
    ) -> str:
        """Claim the case and rule on it; the ruling's id."""
        lease = lease or await self.claim(case_id, who)
        case = await self.case(case_id)
        ruling, _ = await self.site.parts.ledger.write(
            lambda each: rulings.rule(
                each,
                Said(
                    case_id=case_id,
                    reviewer=who,
                    token=lease.token,
                    kind=kind,
                    digest=Output(SECRET, "stop").digest,
                    policy_digest=case.policy.digest,
                    request_id=uuid.uuid4().hex,
                    undo_s=undo_s,
                    **said,
                ),
            )
        )
        return ruling.id

    async def resolved(self, who: str = "rev_ruled", **held: Any) -> str:
        """A case that somebody blocked."""
        case_id = await self.hold(**held)
        await self.rule(case_id, who)
        return case_id

    async def expire(self, case_id: str) -> None:
        """Let its clock run out."""
        await self.change(case_id, due=RECORD.time - timedelta(days=1))
        await self.site.parts.ledger.write(lambda each: outcomes.expire_due(each, 10))

    async def template(self, case_id: str, expected: RulingKind = RulingKind.BLOCK) -> Case:
        return await self.site.parts.ledger.write(
            lambda each: golden.make_golden(each, case_id, expected, "rev_senior")
        )

    async def copy(self, who: str, role: Role = Role.REVIEWER) -> Lease:
        """A golden case that somebody was given."""
        drawn = await self.site.parts.ledger.write(
            lambda each: golden.next_golden(each, Reviewer(who, role), uuid.uuid4().hex, LEASE_S)
        )
        assert drawn is not None
        return drawn[1]

    async def case(self, case_id: str) -> Case:
        return (await self.site.database.read(lambda db: case_of(db, case_id)))[0]

    async def repeat_ruling(self, times: int) -> list[datetime]:
        """Write the one ruling so often again, three at one time; they do not count."""

        def steps(connection: sa.Connection) -> list[datetime]:
            row = dict(connection.execute(sa.select(RULINGS)).mappings().one())
            rows: list[dict[str, Any]] = [
                {
                    **row,
                    "id": f"rul_{number:03}",
                    "request_id": str(number),
                    "counts": None,
                    "time": NOON + timedelta(minutes=number // 3),
                }
                for number in range(times)
            ]
            connection.execute(sa.insert(RULINGS), rows)
            return [row["time"] for row in rows]

        return await self.site.database.write(steps)

    async def rulings_changed(self, **values: Any) -> None:
        query = sa.update(RULINGS).values(**values)
        await self.site.database.write(lambda db: db.execute(query))

    async def person(
        self, name: str = "ada", role: Role = Role.REVIEWER, **scope: Any
    ) -> tuple[Browser, str]:
        """Somebody who is signed in, and their pseudonym."""
        account = await self.site.person(name, role, **scope)
        browser = await self.site.browser()
        assert (await browser.sign_in(name)).status_code == 303
        return browser, account.id


async def records(make_site: MakeSite, **settings: Any) -> Records:
    return Records(await make_site(routers=PAGES, **settings))
