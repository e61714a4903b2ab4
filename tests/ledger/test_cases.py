"""Any run of what people and clocks do to cases, on the real ledger, beside a plain model of it.

Two gateways write to one database; what they are asked for at once shares a commit. After each
step every case must stand as the model says, and at the end each has one outcome.
"""

import copy
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inwit.cases import CaseState, OnExpiry, Output, Reviewer, Role, RulingKind, WhySkipped
from inwit.errors import Conflict, Forbidden, InvalidField
from inwit.ledger import leases, reviewing, rulings
from inwit.ledger.database import sqlite_url
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.read import Story, stories
from inwit.ledger.rulings import Said
from inwit.ledger.tables import ENTRIES
from inwit.ledger.verify_database import verify_database
from tests.ledger.case_gateways import Gateways, Step
from tests.ledger.case_model import UNDO, ModelCase, ModelRuling, Refused
from tests.ledger.case_world import ANSWER, CLAIM, LEASE, POLICY, REWRITE, RULE

EXAMPLES = int(os.environ.get("CASE_EXAMPLES", "30"))
STEPS = int(os.environ.get("CASE_STEPS", "40"))

PEOPLE = (
    *(Reviewer(f"rev_{name}", Role.REVIEWER) for name in "abc"),
    *(Reviewer(f"rev_{name}", Role.SENIOR) for name in "st"),
)
EDITS = (
    ANSWER.text,
    "  An edit.\r\n ",
    "Ein Text: ß ﬁ 👩\u200d🔬 e\u0301 \u202e",
    "\ufeff\x01\x7f",
)
REFUSALS = (Conflict, Forbidden, InvalidField)

people = st.sampled_from(PEOPLE)
seconds = st.sampled_from([1, 1, UNDO - 1, UNDO, UNDO, 60, LEASE - 1, LEASE, RULE - 1, RULE, CLAIM])


class Cases(RuleBasedStateMachine):
    """Five people, up to three cases, two gateways and a clock."""

    world: Gateways

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, ModelCase] = {}
        self.tokens: list[tuple[str, Reviewer, str]] = []
        self.said: list[tuple[Said, str]] = []
        self.acts: dict[str, Counter[str]] = {}
        self.began = self.world.now

    def teardown(self) -> None:
        for _ in range(6):
            self.later(CLAIM)
            self.sweep()
        assert all(model.end for model in self.models.values()), "a case that never ends"
        self.every_case_is_as_the_model_says()
        self.every_act_has_its_entry()
        assert not self.world.read(verify_database).breaks

    # What may happen.

    @precondition(lambda self: len(self.models) < 3)
    @rule(
        required=st.sampled_from([1, 1, 2]),
        on_expiry=st.sampled_from(list(OnExpiry)),
        waits=st.sampled_from([0, 0, 0, 60]),
    )
    def open(self, required: int, on_expiry: OnExpiry, waits: int) -> None:
        name = self.world.held(required=required, on_expiry=on_expiry, waits=waits)
        self.models[name] = ModelCase(required, on_expiry, self.time + waits, self.time + CLAIM)
        self.acts[name] = Counter(decision=1)

    @precondition(lambda self: self.models)
    @rule(data=st.data(), who=people, over=st.booleans())
    def claim(self, data: st.DataObject, who: Reviewer, over: bool) -> None:
        self._claim(data, [who], over=over)

    @precondition(lambda self: self.models)
    @rule(data=st.data(), who=st.tuples(people, people, people))
    def claim_at_once(self, data: st.DataObject, who: tuple[Reviewer, ...]) -> None:
        """In one commit: the second gets what the first one left."""
        self._claim(data, who, over=False)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def claim_again(self, data: st.DataObject) -> None:
        """With the very token of a lease that lives still: it is the same claim."""
        name, who, token = self.some_token(data)
        model = copy.deepcopy(self.models[name])
        model.pass_time(self.time)
        held = [slot for slot in model.slots.values() if slot.held(self.time)]
        if any((slot.who, slot.token) == (who.id, token) for slot in held):
            before = self.written()
            self.world.claim(name, who, token)
            assert self.written() == before

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        name, who, token = self.some_token(data)
        self.both(
            name,
            lambda each: leases.renew(each, name, who.id, token, LEASE),
            lambda model: model.renew(who.id, token, self.time),
        )

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), why=st.sampled_from([None, None, *WhySkipped]))
    def give_back(self, data: st.DataObject, why: WhySkipped | None) -> None:
        name, who, token = self.some_token(data)
        done = self.both(
            name,
            lambda each: leases.release(each, name, who.id, token, why),
            lambda model: model.release(who.id, token, self.time, for_good=why is not None),
        )
        self.acts[name]["skipped" if why else "released"] += done

    @precondition(lambda self: self.tokens)
    @rule(
        data=st.data(),
        kind=st.sampled_from([*RulingKind, RulingKind.APPROVE]),
        text=st.sampled_from(EDITS),
        wrong=st.sampled_from([*[None] * 8, "digest", "policy_digest", "reviewer", "token"]),
    )
    def rule_on(self, data: st.DataObject, kind: RulingKind, text: str, wrong: str | None) -> None:
        name, who, token = self.some_token(data)
        if kind is RulingKind.EDIT:
            self.edit(name, who, token, text)
        shown = {RulingKind.EDIT: Output(text, "stop"), RulingKind.APPROVE_REWRITE: REWRITE}
        said = Said(
            case_id=name,
            reviewer=who.id,
            token=token,
            kind=kind,
            digest=shown.get(kind, ANSWER).digest,
            policy_digest=POLICY,
            request_id=f"request-{self.written()}-{len(self.said)}",
            undo_s=UNDO,
        )
        if wrong is not None:
            said = replace(said, **{wrong: "0" * 64})

        def on_the_model(model: ModelCase) -> None:
            if wrong not in (None, "token"):
                raise Refused
            # Where time took the slot away, there is no lease left that a token could be of.
            model.rule(who.id, said.token, kind, text, self.time)

        made: list[Any] = []
        done = self.both(name, lambda each: made.append(rulings.rule(each, said)[0]), on_the_model)
        if done:
            self.models[name].rulings[-1].id = made[0].id
            self.said.append((said, made[0].id))
            self.acts[name]["ruled" if made[0].counts else "ruled_late"] += 1

    @precondition(lambda self: self.said)
    @rule(data=st.data(), other=st.booleans())
    def say_again(self, data: st.DataObject, other: bool) -> None:
        """A request that comes twice is one ruling; its id stands for no other."""
        said, name = data.draw(st.sampled_from(self.said))
        before = self.written()
        if other and data.draw(st.booleans()):
            said = replace(said, digest="0" * 64)
        elif other:
            block = said.kind is RulingKind.BLOCK
            said = replace(said, kind=RulingKind.APPROVE if block else RulingKind.BLOCK)
        model = self.models[said.case_id]
        undone = next(each.undone for each in model.rulings if each.id == name)
        try:
            ruling, _ = self.world.do(lambda each: rulings.rule(each, said))
        except Conflict:
            assert other or undone
        else:
            assert not other
            assert not undone
            assert ruling.id == name
        assert self.written() == before

    @precondition(lambda self: self.said)
    @rule(data=st.data(), who=st.one_of(st.none(), people))
    def undo(self, data: st.DataObject, who: Reviewer | None) -> None:
        said, name = data.draw(st.sampled_from(self.said[-4:]))
        by = next(each for each in PEOPLE if each.id == said.reviewer) if who is None else who
        token = self.new_token(said.case_id, by)
        done = self.both(
            said.case_id,
            lambda each: rulings.undo(each, said.case_id, name, by.id, token, LEASE),
            lambda model: model.undo(name, by.id, token, self.time),
        )
        self.acts[said.case_id]["undone"] += done

    @rule(seconds=seconds)
    def later(self, seconds: float) -> None:
        self.world.later(seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        for name, model in self.models.items():
            for _ in range(3):  # until nothing is due: a case may be raised, and then expire
                model.sweep(self.time)
            case = self.world.case(name)
            held = any(slot.until is not None for slot in model.slots.values())
            assert not case.state.open or (case.state is CaseState.CLAIMED) == held

    # What must hold.

    @invariant()
    def every_case_is_as_the_model_says(self) -> None:
        for name, model in self.models.items():
            case = self.world.case(name)
            made = self.world.read(lambda each, name=name: rulings_of(each, name))
            states = {None: True, "ruled": CaseState.RESOLVED, "nobody_ruled": CaseState.EXPIRED}
            expected = states[model.end[0] if model.end else None]
            assert case.state is expected or (expected is True and case.state.open)
            slots = {
                slot.number: (slot.tier, slot.reviewer, slot.expirations, slot.ruled)
                for slot in case.slots
            }
            assert slots == {
                number: (slot.tier, slot.who, slot.lost, slot.ruled)
                for number, slot in model.slots.items()
            }
            leased = {slot.number: self.seconds(slot.lease_until) for slot in case.slots}
            assert leased == {number: slot.until for number, slot in model.slots.items()}
            assert (case.tier, case.excluded) == (model.tier, model.given_away)
            if case.state.open:
                assert (case.stuck, self.seconds(case.due)) == (model.stuck, model.due)
            assert sorted(_told(each) for each in made) == sorted(
                (each.id, each.who, each.slot, each.kind, each.counts) for each in model.rulings
            )
            self.its_outcome_is_what_was_said(name, model)

    def its_outcome_is_what_was_said(self, name: str, model: ModelCase) -> None:
        told = self.entries(name)
        outcomes = [each for each in told if each.facts["type"] == "outcome"]
        assert len(outcomes) == (model.end is not None)
        for outcome in outcomes:
            assert model.end is not None
            facts, released = outcome.facts["facts"], outcome.contents["released"]
            assert (facts["ending"], released["text"]) == model.end
            assert facts["digest"] == Output(released["text"], released["finish_reason"]).digest
            final = [each for each in model.rulings if each.id == facts["ruling"]]
            assert bool(final) == (model.end[0] == "ruled")
            for each in final:
                self.names_the_same_bytes(each, facts, told)

    def names_the_same_bytes(
        self, final: ModelRuling, facts: dict[str, Any], told: list[Story]
    ) -> None:
        assert final.counts
        assert facts["released"] == (final.kind is not RulingKind.BLOCK)
        own = [each.facts["facts"] for each in told if each.facts["type"] == "ruled"]
        (said,) = [each for each in own if each["ruling"] == final.id]
        assert not facts["released"] or said["digest"] == facts["digest"]

    def every_act_has_its_entry(self) -> None:
        for name, acts in self.acts.items():
            found = self.entries(name)
            kinds = Counter(each.facts["type"] for each in found)
            model = self.models[name]
            raised = model.tier - 1
            expected = acts + Counter(lease_expired=model.lost, raised=raised, outcome=1)
            assert kinds == +expected
            by = {each.facts.get("actor") for each in found}
            assert by <= {None, *(person.id for person in PEOPLE)}
            told = json.dumps([each.facts for each in found], ensure_ascii=False)
            texts = (REWRITE.text, *EDITS)
            assert not any(json.dumps(text, ensure_ascii=False)[1:-1] in told for text in texts)

    # How it is done.

    @property
    def time(self) -> float:
        return (self.world.now - self.began).total_seconds()

    def seconds(self, moment: Any) -> float | None:
        return None if moment is None else (moment - self.began).total_seconds()

    def some_token(self, data: st.DataObject) -> tuple[str, Reviewer, str]:
        """Mostly one that holds a slot now, or nothing much would ever happen."""
        alive = [
            each
            for each in self.tokens
            for slot in self.models[each[0]].slots.values()
            if slot.held(self.time) and (slot.who, slot.token) == (each[1].id, each[2])
        ]
        any_of_them = not alive or data.draw(st.sampled_from([False] * 4 + [True]))
        return data.draw(st.sampled_from(self.tokens if any_of_them else alive))

    def new_token(self, name: str, who: Reviewer) -> str:
        token = f"token-{self.world.made}-{len(self.tokens)}"
        self.tokens.append((name, who, token))
        return token

    def _claim(self, data: st.DataObject, many: Any, *, over: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.models)))
        steps: list[Step] = []
        wanted: list[bool] = []
        for who in many:
            token = self.new_token(name, who)
            steps.append(
                lambda each, who=who, token=token: leases.claim(
                    each, name, who, token, LEASE, take_over=over
                )
            )
            wanted.append(self.on_the_model(name, _claims(who, token, self.time, over)))
        results = self.world.together(steps)
        assert [not isinstance(each, BaseException) for each in results] == wanted
        assert all(isinstance(each, (tuple, *REFUSALS)) for each in results)
        self.acts[name]["claimed"] += sum(wanted)

    def edit(self, name: str, who: Reviewer, token: str, text: str) -> None:
        digest, review = Output(text, "stop").digest, {"passed": True}
        done = self.both(
            name,
            lambda each: reviewing.judged(each, name, who.id, token, text, digest, review),
            lambda model: model.edit(who.id, token, text, self.time),
        )
        self.acts[name]["edit_checked"] += done

    def both(self, name: str, real: Step, modelled: Callable[[ModelCase], None]) -> bool:
        """Do it on both sides: whether it was done. What is refused leaves nothing."""
        expected, before = self.on_the_model(name, modelled), self.written()
        try:
            self.world.do(real)
        except REFUSALS:
            assert not expected, "refused, and the model allows it"
            assert self.written() == before
            return False
        assert expected, "done, and the model refuses it"
        return True

    def on_the_model(self, name: str, act: Callable[[ModelCase], None]) -> bool:
        after = copy.deepcopy(self.models[name])
        try:
            act(after)
        except Refused:
            return False
        self.models[name] = after
        return True

    def written(self) -> int:
        query = sa.select(sa.func.max(ENTRIES.c.sequence))
        return self.world.read(lambda each: each.execute(query).scalar())

    def entries(self, name: str) -> list[Story]:
        response = name.replace("esc_", "resp_")
        return self.world.read(lambda each: stories(each, response))


def _claims(who: Reviewer, token: str, now: float, over: bool) -> Callable[[ModelCase], None]:
    return lambda model: model.claim(who, token, now, take_over=over)


def _told(ruling: Any) -> tuple[Any, ...]:
    return ruling.id, ruling.reviewer, ruling.slot, ruling.kind, ruling.counts


def run_cases(*urls: str, examples: int = EXAMPLES) -> None:
    """On gateways with these databases."""

    class Here(Cases):
        world = Gateways(*urls)

    limits = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    try:
        run_state_machine_as_test(Here, settings=limits)
    finally:
        Here.world.close()


def test_cases_go_as_they_must(tmp_path: Path) -> None:
    run_cases(sqlite_url(tmp_path), sqlite_url(tmp_path))
