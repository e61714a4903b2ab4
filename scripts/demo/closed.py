"""Cases that are over when the demo opens: ruled on by people of its own, some of them golden."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.demo.records import Case, Draft, closed_drafts

from inwit.bootstrap import Gateway
from inwit.cases import Reviewer, RulingKind
from inwit.ledger.case_files import CaseFile, case_file
from inwit.ledger.golden import make_golden, next_golden
from inwit.ledger.rulings import Said
from inwit.policy.policy import Policy
from inwit.types import Category

_WHY = {
    RulingKind.APPROVE: "",
    RulingKind.APPROVE_REWRITE: "",
    RulingKind.BLOCK: "It should not leave in these words.",
}
_LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class History:
    """Writes what happened before the demo opened, as its people would have done it."""

    gateway: Gateway
    people: Mapping[str, Reviewer]

    async def write(self, policy: Policy, key_id: str, model: str) -> int:
        """Have the closed cases ruled on, and make golden ones of some; how many there are.

        Kim and Lou rule on each; where they disagree Sam decides. Noa ruled on golden copies.
        """
        drafts = closed_drafts(policy, key_id, model)
        for draft in drafts:
            await self.gateway.ledger.append(draft.record)
        await self.gateway.escalation.index.catch_up()
        for draft in drafts:
            await self._close(draft)
        while await self._answer_a_golden_one():
            pass
        return len(drafts)

    async def _close(self, draft: Draft) -> None:
        case_id = draft.case_id
        for name, kind in draft.case["rulings"].items():
            await self._rule(case_id, self.people[name], RulingKind(kind), draft.case)
        if "golden" in draft.case:
            expected, by = RulingKind(draft.case["golden"]), self.people["sam"].id
            await self.gateway.ledger.write(
                lambda transaction: make_golden(transaction, case_id, expected, by)
            )

    async def _rule(self, case_id: str, reviewer: Reviewer, kind: RulingKind, case: Case) -> None:
        token, desk = secrets.token_urlsafe(), self.gateway.escalation.desk
        opened = await desk.claim(reviewer, case_id, token)
        for part in ("conversation", "candidate", "rewrite"):
            if part != "rewrite" or "rewrite" in case:
                await desk.reveal(reviewer, case_id, part, token)
        await desk.rule(reviewer, _said(opened.file, reviewer, token, kind))

    async def _answer_a_golden_one(self) -> bool:
        reviewer, token = self.people["noa"], secrets.token_urlsafe()
        drawn = await self.gateway.ledger.write(
            lambda transaction: next_golden(transaction, reviewer, token, _LEASE_S)
        )
        if drawn is None:
            return False
        case_id = drawn[0].id
        file = await self.gateway.database.read(lambda each: case_file(each, case_id, reviewer.id))
        said = _said(file, reviewer, token, RulingKind.BLOCK)
        await self.gateway.escalation.desk.rule(reviewer, said)
        return True


def _said(file: CaseFile, reviewer: Reviewer, token: str, kind: RulingKind) -> Said:
    shown = kind if kind is RulingKind.APPROVE_REWRITE else RulingKind.APPROVE
    named = file.case.categories or (Category.DECEPTION,)
    return Said(
        case_id=file.case.id,
        reviewer=reviewer.id,
        token=token,
        kind=kind,
        digest=file.offers[shown].digest,
        policy_digest=file.case.policy.digest,
        request_id=secrets.token_hex(16),
        clause=named[0] if kind is RulingKind.BLOCK else None,
        reason=_WHY[kind],
    )
