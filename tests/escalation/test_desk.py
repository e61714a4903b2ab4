"""The desk: what people may do with a case, and what the caller gets for it."""

import asyncio
import json
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.cases import Output, RulingKind
from inwit.errors import Conflict, Forbidden, InvalidField, NotFound
from inwit.ledger.tables import RULINGS
from inwit.ledger.verify_database import verify_database
from tests.conftest import MakeCaller
from tests.escalation.desk_world import (
    ANA,
    BEN,
    FINE,
    FLAGGED,
    NO_WORDS,
    SUE,
    Office,
    office,
    said_of,
)
from tests.escalation.desk_world import clean_url as clean_url
from tests.fakes import FakeClassifiers, FakeModel

APPROVE, REWRITE, EDIT, BLOCK, ESCALATE = RulingKind
TEXTS = (
    "  Spaces before and after \t ",
    "Lines\r\nof\rall\nkinds\u2028\x85\x0b",
    "ß ﬁ İ e\u0301 é 👩\u200d🔬 \u202eabc\u202c \ufeff\ufffe \U0010ffff",
    "\x01\x7f\x1b[31m <script>alert(1)</script> {{x}} %s \\u0041",
)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def released(here: Office, case: str) -> dict[str, Any]:
    """Everywhere that the released bytes stand, which is the same everywhere."""
    (outcome,) = await here.acts(case, "outcome")
    content, facts = outcome.contents["released"], outcome.facts["facts"]
    (ruled,) = await here.acts(case, "ruled")
    told = await here.told(case)
    assert told["status"] == "released"
    assert told["output"]["content"] == content["text"]
    assert told["output"]["finish_reason"] == content["finish_reason"]
    digest = Output(content["text"], content["finish_reason"]).digest
    assert facts["digest"] == ruled.facts["facts"]["digest"] == digest
    assert facts["released"]
    return content


@pytest.mark.parametrize("text", [*TEXTS, "\ud800 alone", "NUL \0 too", " "])
async def test_what_is_approved_is_what_leaves(
    make_caller: MakeCaller, clean_url: str, text: str
) -> None:
    here = await office(make_caller, FakeModel(text, answer=FLAGGED), redis_url=clean_url)
    case = await here.held()

    opened = await here.claim(case)
    await here.rule(opened, APPROVE)

    offered = opened.file.offers[APPROVE].text
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON on the wire cannot carry
        assert (await here.acts(case, "outcome"))[0].contents["released"]["text"] == offered
    else:
        assert (await released(here, case))["text"] == text == offered
    assert not (await here.database.read(verify_database)).breaks


@pytest.mark.parametrize("text", TEXTS)
async def test_what_a_reviewer_wrote_is_what_leaves(make_caller: MakeCaller, text: str) -> None:
    here = await office(make_caller)
    waiting = asyncio.create_task(
        here.caller.respond(
            {"messages": [{"role": "user", "content": "How do tides work?"}], "wait_ms": 300_000}
        )
    )
    case = await first_open(here)
    opened = await here.claim(case)
    review = await here.desk.check_edit(ANA, case, ANA.id, text)

    ruling, _ = await here.rule(
        opened, EDIT, digest=review["digest"], despite_flags=True, undo_s=600
    )

    answer = await waiting  # the ruling takes effect at once: somebody waits in line
    assert (answer.status_code, answer.json()["output"]["content"]) == (200, text)
    assert (await released(here, case))["text"] == text
    assert ruling.digest == Output(text, "stop").digest
    (said,) = await here.acts(case, "ruled")
    assert said.contents["edit"] == text


async def first_open(here: Office) -> str:
    async with asyncio.timeout(60):
        while True:
            rows = await here.database.read(
                lambda each: each.execute(sa.text("SELECT id FROM escalations")).all()
            )
            if rows:
                return rows[0].id
            await asyncio.sleep(0)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff", "", " \n", "x" * 100_001])
async def test_a_text_that_cannot_be_kept_exactly_is_refused(
    make_caller: MakeCaller, text: str
) -> None:
    here = await office(make_caller)
    case = await here.held()
    await here.claim(case)

    with pytest.raises(InvalidField):
        await here.desk.check_edit(ANA, case, ANA.id, text)
    if text.strip():
        with pytest.raises(InvalidField):
            await here.desk.save_draft(ANA, case, text)

    assert (await here.acts(case, "edit_checked")) == []


async def test_masked_data_leaves_as_the_offer_shows_it(make_caller: MakeCaller) -> None:
    here = await office(
        make_caller,
        FakeModel("Write to ana@example.org.", answer=FLAGGED),
        sections={"redact": {"mask": ["email"]}},
    )
    case = await here.held()

    opened = await here.claim(case)
    await here.rule(opened, APPROVE)

    content = await released(here, case)
    assert "ana@" not in content["text"]
    assert content["masked"] == {"email": 1}
    assert content["text"] == opened.file.offers[APPROVE].text
    assert opened.file.candidate["text"] == "Write to ana@example.org."


async def test_a_rewrite_is_an_offer_of_its_own(make_caller: MakeCaller) -> None:
    model = FakeModel("HARM", answers=[FLAGGED, FLAGGED], rewrites=["A kinder answer."])
    here = await office(
        make_caller,
        model,
        sections={"on_harm": "rewrite", "rewrite": {"max_rounds": 1, "on_failure": "escalate"}},
    )
    case = await here.held()

    opened = await here.claim(case)
    await here.rule(opened, REWRITE)

    assert (await released(here, case))["text"] == "A kinder answer."


async def test_no_rewrite_no_ruling_for_it(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    opened = await here.claim(await here.held())

    with pytest.raises(InvalidField, match="approve_rewrite"):
        await here.rule(opened, REWRITE)


WORDS: dict[str, tuple[RulingKind, dict[str, Any], set[str]]] = {
    "a block without anything": (BLOCK, {}, {"reason", "clause"}),
    "a reason of spaces": (BLOCK, {"reason": " \n", "clause": "hate"}, {"reason"}),
    "no clause": (BLOCK, {"reason": "It harms."}, {"clause"}),
    "an escalation": (ESCALATE, {}, {"reason"}),
}


@pytest.mark.parametrize("case", WORDS)
async def test_the_policy_says_what_a_ruling_needs(make_caller: MakeCaller, case: str) -> None:
    kind, more, missing = WORDS[case]
    here = await office(make_caller, escalation={})
    opened = await here.claim(await here.held())

    with pytest.raises(InvalidField) as refused:
        await here.rule(opened, kind, **more)

    assert {error.field for error in refused.value.errors} == missing
    assert await here.acts(opened.file.case.id, "ruled") == []
    await here.rule(opened, APPROVE)  # for which the policy wants no words


async def test_an_edit_that_did_not_pass_wants_a_word_more(make_caller: MakeCaller) -> None:
    model = FakeModel(answers=[FLAGGED, FLAGGED, FINE])
    here = await office(make_caller, model, classifiers=FakeClassifiers(risks=[0.9, 0.05]))
    case = await here.held()
    opened = await here.claim(case)

    bad = await here.desk.check_edit(ANA, case, ANA.id, "Still bad.")
    with pytest.raises(InvalidField, match="despite_flags"):
        await here.rule(opened, EDIT, digest=bad["digest"])
    good = await here.desk.check_edit(ANA, case, ANA.id, "Quite fine.")
    with pytest.raises(Conflict):  # the first text is not the one that was judged last
        await here.rule(opened, EDIT, digest=bad["digest"], despite_flags=True)
    await here.rule(opened, EDIT, digest=good["digest"])

    assert (bad["passed"], good["passed"]) == (False, True)
    assert (await released(here, case))["text"] == "Quite fine."


async def test_a_first_verdict_comes_before_what_the_judges_said(make_caller: MakeCaller) -> None:
    here = await office(make_caller, blind_share=1.0)
    case = await here.held()
    opened = await here.claim(case)

    with pytest.raises(Conflict, match="first verdict"):
        await here.rule(opened, APPROVE)
    seeing = await here.desk.first_verdict(ANA, case, ANA.id, BLOCK)
    with pytest.raises(Conflict):
        await here.desk.first_verdict(ANA, case, ANA.id, APPROVE)
    ruling, _ = await here.rule(opened, APPROVE)

    assert (opened.blind, seeing.blind) == (True, False)
    row = await here.database.read(
        lambda each: each.execute(sa.select(RULINGS).filter_by(id=ruling.id)).one()
    )
    assert row.first_verdict == "block"
    (entry,) = await here.acts(case, "ruled")
    assert entry.facts["facts"]["first_verdict"] == "block"


async def test_a_first_verdict_is_of_one_lease(make_caller: MakeCaller) -> None:
    here = await office(make_caller, blind_share=1.0)
    case = await here.held()
    await here.claim(case)
    await here.desk.first_verdict(ANA, case, ANA.id, BLOCK)
    await here.desk.release(ANA, case, ANA.id)

    assert (await here.claim(case, BEN)).blind
    assert (await here.case(case)).slots[0].first_verdict is None


async def test_a_senior_who_decides_between_two_sees_everything(make_caller: MakeCaller) -> None:
    here = await office(
        make_caller,
        blind_share=1.0,
        escalation={**NO_WORDS, "second_review": {"share": 1.0}},
    )
    case = await here.held()
    for who, kind in ((ANA, APPROVE), (BEN, BLOCK)):
        opened = await here.claim(case, who)
        await here.desk.first_verdict(who, case, who.id, kind)
        await here.rule(opened, kind, who)

    opened = await here.claim(case, SUE)
    await here.rule(opened, APPROVE, SUE)

    assert not opened.blind
    assert {each.kind for each in opened.file.rulings} == {APPROVE, BLOCK}
    assert (await here.told(case))["status"] == "released"


async def test_a_ruling_is_counted_once_however_often_it_is_sent(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    opened = await here.claim(await here.held())
    said = said_of(opened, APPROVE, ANA)
    before = metric("inwit_rulings_total", ruling="approve", late="false")
    ended = metric("inwit_escalation_wait_seconds_count", ending="ruled")

    answers = [await here.desk.rule(ANA, said) for _ in range(3)]

    assert len({ruling.id for ruling, _ in answers}) == 1
    assert metric("inwit_rulings_total", ruling="approve", late="false") == before + 1
    assert metric("inwit_escalation_wait_seconds_count", ending="ruled") == ended + 1


async def test_a_case_of_another_tenant_is_not_there(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    case = await here.held()
    opened = await here.claim(case)
    stranger = replace(ANA, tenants=frozenset({"other"}))
    before = len(await here.acts(case))

    acts: tuple[Awaitable[object], ...] = (
        here.desk.claim(stranger, case, "t"),
        here.desk.look(stranger, case),
        here.desk.reveal(stranger, case, "candidate"),
        here.desk.save_draft(stranger, case, "x"),
        here.desk.rule(stranger, said_of(opened, APPROVE, stranger)),
    )
    for act in acts:
        with pytest.raises(NotFound):
            await act

    assert len(await here.acts(case)) == before


async def test_looks_and_reveals_are_acts(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    case = await here.held()

    file = await here.desk.look(BEN, case)
    await here.desk.reveal(BEN, case, "candidate")

    assert file.candidate["text"]
    acts = await here.acts(case)
    assert [(each.facts["type"], each.facts.get("actor")) for each in acts][2:] == [
        ("viewed", BEN.id),
        ("revealed", BEN.id),
    ]


async def test_a_draft_outlives_its_lease_and_is_its_writers(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    case = await here.held()
    await here.claim(case)
    await here.desk.save_draft(ANA, case, "half a sente")
    await here.desk.release(ANA, case, ANA.id)

    other = await here.claim(case, BEN)
    await here.desk.release(BEN, case, BEN.id)
    again = await here.claim(case, ANA, token="later")

    assert (other.file.draft, again.file.draft) == (None, "half a sente")


async def test_an_undo_gives_the_case_back_with_all_that_was_shown(
    make_caller: MakeCaller,
) -> None:
    here = await office(make_caller)
    case = await here.held()
    opened = await here.claim(case)
    ruling, _ = await here.rule(opened, BLOCK, undo_s=600)

    again = await here.desk.undo(ANA, case, ruling.id, "another tab")
    await here.rule(again, APPROVE)

    assert (await here.told(case))["status"] == "released"
    told = await here.database.read(lambda each: each.execute(sa.select(RULINGS)).all())
    assert [row.counts for row in told if row.kind == "block"] == [None]


async def test_nothing_that_people_wrote_is_logged_or_stands_in_facts(
    make_caller: MakeCaller, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    here = await office(make_caller, FakeModel("SECRET candidate", answer=FLAGGED))
    with caplog.at_level(logging.DEBUG):
        case = await here.held(messages=[{"role": "user", "content": "SECRET question"}])
        opened = await here.claim(case)
        await here.desk.save_draft(ANA, case, "SECRET draft")
        review = await here.desk.check_edit(ANA, case, ANA.id, "SECRET edit")
        digest = str(review["digest"])
        await here.rule(opened, EDIT, digest=digest, reason="SECRET reason", despite_flags=True)
        await here.parts.sweeper.sweep()

    printed = capsys.readouterr()
    assert "SECRET" not in caplog.text + printed.out + printed.err
    acts = await here.acts(case)
    assert "SECRET" not in json.dumps([each.facts for each in acts])
    (ruled,) = await here.acts(case, "ruled")
    assert ruled.contents == {"edit": "SECRET edit", "reason": "SECRET reason"}


async def test_who_rules_is_of_the_tier(make_caller: MakeCaller) -> None:
    here = await office(make_caller, escalation={**NO_WORDS, "on_expiry": "next_tier"})
    case = await here.held()
    await here.later(600)
    await here.parts.sweeper.sweep()
    assert (await here.case(case)).tier == 2

    with pytest.raises(Forbidden, match="tier"):
        await here.claim(case, ANA)
    opened = await here.claim(case, SUE)
    await here.rule(opened, APPROVE, SUE)

    assert (await here.told(case))["status"] == "released"
