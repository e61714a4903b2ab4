"""Cases under every order of acts and time: one outcome each, and only what was approved leaves."""

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from inwit.cases import CaseState, OnExpiry, Reviewer, RulingKind
from inwit.errors import Conflict, Forbidden, InvalidField
from inwit.ledger import leases, outcomes, rulings
from inwit.ledger.verify import verify_chain
from tests.ledger.case_world import (
    ANSWER,
    CLAIM,
    EXPIRED,
    FALLBACK,
    LEASE,
    REVIEWERS,
    REWRITE,
    RULE,
    SENIOR,
    World,
)

UNDO = 10
KINDS = st.sampled_from(list(RulingKind))
PEOPLE = st.sampled_from([*REVIEWERS, SENIOR])


class Held:
    """What this test knows of a lease, from what it was told and from the time alone."""

    def __init__(self, case: str, who: Reviewer, token: str, until: Any) -> None:
        self.case, self.who, self.token, self.until = case, who, token, until
        self.over = False


class Cases(RuleBasedStateMachine):
    """Four people, some cases, and a clock."""

    cases = Bundle("cases")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.names: list[str] = []
        self.ruled: dict[str, dict[str, RulingKind]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.texts: dict[str, str] = {}
        self.tokens = 0

    def teardown(self) -> None:
        self.world.sweep()
        self.world.later(3 * (CLAIM + RULE))
        self.world.sweep()
        for _ in range(2):  # a case may have gone to a senior just now
            self.world.later(CLAIM + RULE)
            self.world.sweep()
        for name in self.names:
            assert not self.world.case(name).state.open, "a case that never ends"
            assert len(self.world.acts(name, "outcome")) == 1
        assert not self.world.read(verify_chain).breaks
        self.world.close()

    @precondition(lambda self: len(self.names) < 2)
    @rule(
        target=cases,
        required=st.sampled_from([1, 2, 2]),
        on_expiry=st.sampled_from(list(OnExpiry)),
        waits=st.sampled_from([0, 0, 200]),
    )
    def opens(self, required: int, on_expiry: OnExpiry, waits: int) -> str:
        name = self.world.held(required=required, on_expiry=on_expiry, waits=waits)
        self.names.append(name)
        self.ruled[name] = {}
        return name

    @rule(target=held, case=cases, who=PEOPLE, over=st.booleans())
    def claims(self, case: str, who: Reviewer, over: bool) -> Held | None:
        self.tokens += 1
        token = f"token-{self.tokens}"
        before = self.world.case(case)
        try:
            lease = self.world.claim(case, who, token, take_over=over)
        except (Conflict, Forbidden):
            return None
        assert before.state.open
        assert (case, who.id) not in self.refused, "skipped, and got it again"
        assert who.id not in self.ruled[case], "one person in two slots"
        slot = next(each for each in before.slots if each.number == lease.slot)
        assert slot.tier in who.role.tiers
        assert not slot.leased(self.world.now) or (over and slot.reviewer == who.id)
        return Held(case, who, token, lease.until)

    def holds(self, mine: Held) -> bool:
        """Whether the database says that this lease is alive."""
        case = self.world.case(mine.case)
        wanted = leases.token_hash(mine.token)
        slot = next((each for each in case.slots if each.lease_hash == wanted), None)
        return case.state.open and slot is not None and slot.leased(self.world.now)

    @rule(mine=held.filter(lambda one: one is not None))
    def renews(self, mine: Held) -> None:
        alive = not mine.over and self.world.now < mine.until and self.holds(mine)
        try:
            lease = self.world.do(
                lambda each: leases.renew(each, mine.case, mine.who.id, mine.token, LEASE)
            )
        except Conflict:
            assert not alive
            return
        assert alive
        mine.until = lease.until

    @rule(mine=held.filter(lambda one: one is not None), skips=st.booleans())
    def releases(self, mine: Held, skips: bool) -> None:
        why = leases.WhySkipped.UNSURE if skips else None
        alive = not mine.over and self.world.now < mine.until and self.holds(mine)
        try:
            self.world.do(
                lambda each: leases.release(each, mine.case, mine.who.id, mine.token, why)
            )
        except Conflict:
            assert not alive
            return
        assert alive
        mine.over = True
        if skips:
            self.refused.add((mine.case, mine.who.id))

    @rule(
        mine=held.filter(lambda one: one is not None),
        kind=KINDS,
        wrong=st.sampled_from([None, None, None, None, None, "digest", "policy_digest", "token"]),
        text=st.sampled_from(["An edit.", "Another edit.\r\n ", ANSWER.text]),
    )
    def rules(self, mine: Held, kind: RulingKind, wrong: str | None, text: str) -> None:
        world, more = self.world, dict[str, Any]()
        alive = not mine.over and world.now < mine.until and self.holds(mine)
        if kind is RulingKind.EDIT and alive:
            more["digest"] = world.edit(mine.case, mine.who, mine.token, text)
        entries = len(world.acts(mine.case))
        token = "another" if wrong == "token" else mine.token
        if wrong is not None and wrong != "token":
            more[wrong] = "0" * 64
        try:
            ruling, _ = world.rule(mine.case, mine.who, token, kind, undo_s=UNDO, **more)
        except (Conflict, InvalidField):
            assert len(world.acts(mine.case)) == entries, "a refused ruling left something"
            return
        if not ruling.counts:
            assert world.case(mine.case).state is CaseState.EXPIRED
            return
        assert alive, "a ruling after its lease"
        assert wrong is None
        assert mine.who.id not in self.ruled[mine.case]
        self.ruled[mine.case][mine.who.id] = kind
        self.texts[ruling.id] = {
            RulingKind.EDIT: text,
            RulingKind.APPROVE: ANSWER.text,
            RulingKind.APPROVE_REWRITE: REWRITE.text,
        }.get(kind, FALLBACK.text)

    @rule(case=cases, who=PEOPLE)
    def undoes(self, case: str, who: Reviewer) -> None:
        made = self.world.read(lambda each: outcomes.rulings_of(each, case))
        mine = [each for each in made if each.reviewer == who.id and each.counts]
        if not mine:
            return
        self.tokens += 1
        token, last = f"token-{self.tokens}", mine[-1]
        before = self.world.case(case)
        try:
            self.world.do(lambda each: rulings.undo(each, case, last.id, who.id, token, LEASE))
        except Conflict:
            return
        assert before.state.open
        assert self.world.now < last.takes_effect
        del self.ruled[case][who.id]

    @rule(case=cases, who=PEOPLE, kind=KINDS)
    def claims_and_rules(self, case: str, who: Reviewer, kind: RulingKind) -> None:
        mine = self.claims(case, who, over=True)
        if mine is not None:
            self.rules(mine, kind, None, "An edit.")

    @rule(seconds=st.sampled_from([1, 1, 5, UNDO, UNDO, 60, LEASE, RULE, CLAIM]))
    def waits(self, seconds: int) -> None:
        self.world.later(seconds)

    @rule()
    def sweeps(self) -> None:
        self.world.sweep()
        for name in self.names:
            case = self.world.case(name)
            if case.state.open:
                settling = any(each.ruled for each in case.slots)
                assert self.world.now < case.due or settling
                assert not any(
                    each.lease_until and each.lease_until <= self.world.now
                    for each in case.open_slots
                )

    @invariant()
    def one_outcome(self) -> None:
        for name in self.names:
            ends = self.world.acts(name, "outcome")
            case = self.world.case(name)
            assert len(ends) == (0 if case.state.open else 1)
            for end in ends:
                self.is_what_was_ruled(name, end["facts"])

    def is_what_was_ruled(self, name: str, facts: dict[str, Any]) -> None:
        counted = self.world.read(lambda each: outcomes.rulings_of(each, name))
        if facts["ending"] == "nobody_ruled":
            assert (facts["released"], facts["ruling"]) == (False, None)
            assert facts["digest"] == EXPIRED.digest
            return
        final = next(each for each in counted if each.id == facts["ruling"])
        assert final.counts
        assert final.takes_effect <= self.world.now
        assert facts["released"] == (final.kind is not RulingKind.BLOCK)
        if facts["released"]:
            assert facts["digest"] == final.digest
        assert len({each.reviewer for each in counted if each.counts}) == sum(
            each.counts for each in counted
        )


TestCases = Cases.TestCase
TestCases.settings = settings(
    max_examples=int(os.environ.get("CASE_EXAMPLES", "40")),
    stateful_step_count=40,
    deadline=None,
)
