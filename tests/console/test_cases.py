"""The work of reviewers through the console, over a real ledger and a real queue."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis

from inwit.cases import Role, RulingKind
from inwit.ledger.golden import make_golden
from inwit.console.wishes import KEYS
from inwit.console.work import worked_since
from inwit.errors import UpstreamTimeout
from inwit.ledger.tables import EXPOSURES, RULINGS, SLOTS
from inwit.types import ToolCall
from tests.conftest import NO_REDIS, MakeCaller
from tests.console.conftest import MakeSite
from tests.console.reviewing import (
    CANDIDATE,
    FINE,
    FLAGGED,
    REWRITE,
    World,
    escalating,
    escalating_failures,
    flagged,
    page_of,
    rewriting,
    soon,
    words_of,
    world,
)
from tests.process.redis_server import valkey_server

MakeWorld = Callable[..., Awaitable[World]]

SEVERE = "violent_crimes"
WHY = "It is plain."


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
async def make_world(make_caller: MakeCaller, make_site: MakeSite, redis_url: str) -> MakeWorld:
    client = Redis.from_url(redis_url)  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.flushdb()  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.aclose()

    async def make(redis_url: str = redis_url, **settings: Any) -> World:
        return await world(make_caller, make_site, redis_url, **settings)

    return make


async def test_a_reviewer_takes_the_next_case_and_approves_it(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    case_id = await here.hold()
    ada = await here.reviewer()

    home = words_of(await ada.get("/"))
    page = await ada.next()
    ruled = await ada.rule(page, "approve")

    assert "medium, due in" in home
    assert page.id == case_id
    assert CANDIDATE[7:] in words_of(page)
    assert "How do I mix these?" in words_of(page)
    assert ruled.status_code == 200, ruled.text
    assert "It has taken effect" in ruled.text
    assert (await here.answer(case_id))["output"]["content"] == CANDIDATE
    assert "No case for you now" in (await ada.post("/next")).text


async def test_the_page_says_what_judges_policy_and_model_say(make_world: MakeWorld) -> None:
    model = flagged("Cheats never tell.", "deception")
    here = await make_world(model=model)
    await here.hold()
    ada = await here.reviewer()

    page = words_of(await ada.next())

    assert "conscience risk 0.95 of 1, not calibrated" in page
    assert "It misleads." in page
    assert "[flagged: Cheats ] never tell." in page
    assert "Deception deception medium escalate" in page
    assert "Nobody waits in line. The caller asks for the answer later." in page
    assert "Why it came first: medium, due in" in page
    assert "risk above upper threshold" in page


async def test_what_was_not_reviewed_is_said_in_words(make_world: MakeWorld) -> None:
    model = flagged(review_error=UpstreamTimeout("slow"))
    here = await make_world(model=model, policy=escalating_failures(), classifier_risk=None)
    await here.hold()
    ada = await here.reviewer()

    page = words_of(await ada.next())

    assert "conscience not reviewed: timeout" in page
    assert "risk" not in page.partition("What the judges said")[2].partition("The decision")[0]


async def test_candidate_and_rewrite_stand_side_by_side_with_their_differences(
    make_world: MakeWorld,
) -> None:
    model = flagged(answers=[FLAGGED, FLAGGED], rewrites=[REWRITE])
    here = await make_world(model=model, policy=rewriting())
    case_id = await here.hold()
    ada = await here.reviewer()

    page = await ada.next()

    assert "<del>" in page.text
    assert "<ins>" in page.text
    assert "[removed: Mix ]" in words_of(page).replace("[flagged: ", "")
    assert "[added: Please leave ]" in words_of(page)
    assert f">\n{REWRITE}</textarea>" in page.text
    ruled = await ada.rule(page, "approve_rewrite")
    assert ruled.status_code == 200, ruled.text
    await settled(here, case_id)
    assert (await here.answer(case_id))["output"]["content"] == REWRITE


async def test_text_of_others_is_never_markup_and_hides_nothing(make_world: MakeWorld) -> None:
    hostile = "<script>alert(1)</script><a href='//evil'>x</a>\u202egnp.exe\u200b{{ 7*7 }}"
    call = ToolCall("call_1", "look_up", '{"id": "<b>\u2066"}')
    model = flagged(hostile, tool_calls=(call,), reasoning="<img src=x>\ud800")
    here = await make_world(model=model, policy=escalating(tools={"look_up": {}}))
    tool = {"type": "function", "function": {"name": "look_up"}}
    case_id = await here.hold("<i>who</i>\u2069", tools=[tool])
    ada = await here.reviewer()

    page = await ada.next()

    for raw in ("<script>alert", "<a href='//evil", "<img src=x", "<i>who", '"<b>'):
        assert raw not in page.text
    shown = words_of(page)
    for code in ("U+202E", "U+200B", "U+2066", "U+2069", "U+D800"):
        assert code in shown
    assert "{{ 7*7 }}" in shown
    hidden = re.sub(r"(?s)<textarea id=.text.*?</textarea>", "", page.text)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", hidden)
    assert not re.search(r"(?:href|src|action)=.[^/#]", re.sub("data-[a-z]+=", "", page.text))
    ruled = await ada.rule(page, "approve")
    assert ruled.status_code == 200, ruled.text
    await settled(here, case_id)
    assert (await here.answer(case_id))["output"]["content"] == hostile


async def test_severe_text_is_not_in_the_page_until_it_is_revealed(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE))
    case_id = await here.hold()
    ada = await here.reviewer()

    page = await ada.next()
    assert_absent(page.text, CANDIDATE[8:], "How do I mix these?", "<textarea id=")
    before = await revealed(here)
    shown = await ada.ask(f"/cases/{case_id}/reveal/candidate", token=page.token)
    assert CANDIDATE[8:] in words_of(shown)
    assert "How do I mix these?" not in shown.text
    assert f">\n{CANDIDATE}</textarea>" in shown.text
    asked = await ada.ask(f"/cases/{case_id}/reveal/conversation", token=page.token)

    assert "How do I mix these?" in asked.text
    assert before == []
    assert await revealed(here) == ["candidate", "conversation"]
    assert "critical 3 none" in words_of(await ada.get("/"))
    for part in ("rewrite", "rulings", "nothing"):
        gone = await ada.ask(f"/cases/{case_id}/reveal/{part}", token=page.token)
        assert gone.status_code == 404
    lost = await ada.ask(f"/cases/{case_id}/reveal/candidate", token="other")
    assert lost.status_code == 409
    assert_absent(lost.text, CANDIDATE[8:])


async def test_people_say_from_which_severity_on_text_is_covered(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE))
    case_id = await here.hold()
    ada = await here.reviewer()
    form = {f"key_{command}": key for command, key in KEYS.items()}

    saved = await ada.post("/reviewing", cover_from="never", keys_on="yes", **form)
    page = await ada.claim(case_id)

    assert saved.status_code == 303
    assert CANDIDATE[8:] in words_of(page)


async def test_blind_first_shows_nothing_of_the_judges_until_there_is_a_verdict(
    make_world: MakeWorld,
) -> None:
    model = flagged(answers=[FLAGGED, FLAGGED], rewrites=[REWRITE])
    here = await make_world(model=model, policy=rewriting(), blind_share=1.0)
    case_id = await here.hold()
    ada = await here.reviewer()

    page = await ada.next()
    assert_absent(
        page.text,
        *("risk", "0.95", "conscience", REWRITE, "It misleads", "<mark", "deception", "medium"),
        *("<del", "digest_", "<textarea", "severity"),
    )
    assert CANDIDATE in words_of(page)
    early = await ada.rule(page, "approve", request_id="r" * 20)
    assert early.status_code == 409
    assert "Give your first verdict" in early.text
    hidden = await ada.ask(f"/cases/{case_id}/reveal/rewrite", token=page.token)
    assert hidden.status_code == 404
    similar = await ada.ask(f"/cases/{case_id}/similar", token=page.token)
    assert "after your first verdict" in similar.text
    wrong = await ada.post(f"/cases/{case_id}/first-verdict", token=page.token, kind="escalate")
    assert wrong.status_code == 422

    said = await ada.post(f"/cases/{case_id}/first-verdict", token=page.token, kind="block")

    opened = page_of(said)
    assert "0.95" in opened.text
    assert REWRITE in opened.text
    (verdict,) = await here.site.acts("first_verdict")
    assert verdict["facts"]["kind"] == "block"


async def test_an_edit_is_judged_first_and_released_byte_for_byte(make_world: MakeWorld) -> None:
    model = flagged(answers=[FLAGGED, FINE])
    here = await make_world(model=model, undo_s=0)
    case_id = await here.hold()
    ada, text = await here.reviewer(), "  Leave them\r\napart. \u00e9\n"
    here.judges.risk = 0.05

    page = await ada.next()
    checked = await ada.rule(page, "edit", text=text, reason=WHY)
    digest = re.search(r'name="digest_edit" form="ruling" value="(\w+)"', checked.text)
    assert digest is not None, checked.text
    assert "The judges pass your text" in checked.text
    assert checked.headers["hx-retarget"] == "#edit-check"
    assert (await here.answer(case_id))["status"] == "held"
    ruled = await ada.rule(page, "edit", text=text, reason=WHY, digest_edit=digest[1])

    assert "It has taken effect" in ruled.text
    assert (await here.answer(case_id))["output"]["content"] == text.replace("\r\n", "\n")


async def test_a_changed_edit_is_judged_again_and_flags_must_be_overruled(
    make_world: MakeWorld,
) -> None:
    here = await make_world(undo_s=0)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.next()

    first = await ada.rule(page, "edit", text="Mix them.", reason=WHY)
    assert "The judges do not pass your text" in first.text
    assert "Release although the judges did not pass it" in first.text
    digest = {"digest_edit": digest_in(first)}
    changed = await ada.rule(page, "edit", text="Mix them now.", reason=WHY, **digest)
    assert "The judges do not pass your text" in changed.text
    digest = {"digest_edit": digest_in(changed)}
    refused = await ada.rule(page, "edit", text="Mix them now.", reason=WHY, **digest)
    assert refused.status_code == 422
    assert 'id="problem-despite_flags"' in refused.text
    assert "Release all the same: the judges did not pass your text" in words_of(refused)
    form = {"text": "Mix them now.", "reason": WHY, "despite_flags": "yes", **digest}
    ruled = await ada.rule(page, "edit", **form)

    assert ruled.status_code == 200, ruled.text
    assert (await here.answer(case_id))["output"]["content"] == "Mix them now."


async def test_what_the_policy_wants_is_said_beside_the_fields(make_world: MakeWorld) -> None:
    here = await make_world()
    await here.hold()
    ada = await here.reviewer()
    page = await ada.next()

    nothing = await ada.rule(page, "")
    bare = await ada.rule(page, "block")
    wrong = await ada.rule(page, "block", reason=WHY, clause="no_such")
    no_rewrite = await ada.rule(page, "approve_rewrite")
    whole = await ada.rule(page, "block", reason=WHY, clause="deception")

    assert nothing.status_code == bare.status_code == wrong.status_code == 422
    assert "Ruling: choose a ruling" in words_of(nothing)
    assert "Reason: the policy wants a reason for this ruling" in words_of(bare)
    assert "Clause: the policy wants the category that decides" in words_of(bare)
    assert bare.headers["hx-retarget"] == "#ruling-problem"
    assert 'id="problem-reason" class="field-problem" hx-swap-oob="true">the policy' in bare.text
    assert "this case has no rewrite" in words_of(no_rewrite)
    assert whole.status_code == 200, whole.text


async def test_a_repeat_is_the_same_ruling(make_world: MakeWorld) -> None:
    here = await make_world()
    await here.hold()
    ada = await here.reviewer()
    page = await ada.next()

    first, again = [await ada.rule(page, "approve") for _ in range(2)]

    assert first.status_code == again.status_code == 200
    assert len(await here.site.acts("ruled")) == 1


async def test_conflicts_are_told_in_place_with_one_way_on(make_world: MakeWorld) -> None:
    here = await make_world()
    one, two = await here.hold(), await here.hold()
    ada = await here.reviewer()
    page, other_tab = await ada.claim(one), await ada.claim(one, take_over="yes")

    elsewhere = await ada.rule(page, "approve")
    page = page_of(await ada.ask(f"/cases/{one}/claim", take_over="yes"), other_tab.form)
    not_seen = await ada.ask(
        f"/cases/{one}/rule", **{**page.form, "digest_approve": "0" * 64, "kind": "approve"}
    )
    await lapse(here, one)
    lapsed = await ada.rule(page, "approve")
    fresh = await ada.ask(f"/cases/{one}/claim")
    await here.change(two, state="expired", closed=datetime.now(UTC))
    closed = await ada.ask(f"/cases/{two}/rule", **{**page.form, "kind": "approve"})

    assert [way(each) for each in (elsewhere, not_seen, lapsed, closed)] == [
        "take_over",
        "reload",
        "claim",
        "queue",
    ]
    for each in (elsewhere, not_seen, lapsed, closed):
        assert each.status_code == 409
        assert each.headers["hx-retarget"] == "#ruling-problem"
    assert "What you typed is as it was" in fresh.text
    assert CANDIDATE not in fresh.text
    ruled = await ada.rule(page_of(fresh, page.form), "approve")
    assert ruled.status_code == 200, ruled.text


async def test_a_second_tab_is_told_and_may_take_over(make_world: MakeWorld) -> None:
    here = await make_world()
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    page = await ada.claim(case_id)

    door = await ada.get(f"/cases/{case_id}")
    refused = await ada.post(f"/cases/{case_id}/claim")
    others = await bob.post(f"/cases/{case_id}/claim")
    same = page_of(await ada.post(f"/cases/{case_id}/again", token=page.token))

    assert_absent(door.text, CANDIDATE, page.token)
    assert "Take over here" in door.text
    assert refused.status_code == others.status_code == 409
    assert "in another tab" in refused.text
    assert "Somebody else has this case" in others.text
    assert same.token == page.token
    taken = await ada.claim(case_id, take_over="yes")
    assert taken.token != page.token
    assert (await ada.ask(f"/cases/{case_id}/renew", token=page.token)).status_code == 409
    assert (await ada.ask(f"/cases/{case_id}/renew", token=taken.token)).json()["left_s"] > 100


async def test_a_ruling_can_be_taken_back_while_nobody_waits(make_world: MakeWorld) -> None:
    here = await make_world()
    case_id = await here.hold()
    ada = await here.reviewer()

    ruled = await ada.rule(await ada.next(), "approve")
    ruling = re.search(r'name="ruling" value="(\w+)"', ruled.text)
    assert ruling is not None
    door = await ada.get(f"/cases/{case_id}")
    back = page_of(await ada.post(f"/cases/{case_id}/undo", ruling=ruling[1]))
    late = await ada.post(f"/cases/{case_id}/undo", ruling=ruling[1])

    assert "you can take it back for" in words_of(ruled)
    assert ruling[1] in door.text
    assert CANDIDATE[8:] in words_of(back)
    assert late.status_code == 409
    assert (await here.answer(case_id))["status"] == "held"
    blocked = await ada.rule(back, "block", reason=WHY, clause="deception")
    assert blocked.status_code == 200, blocked.text


@pytest.mark.parametrize("why", ["unsure", "conflict"])
async def test_a_skipped_case_never_comes_back(make_world: MakeWorld, why: str) -> None:
    here = await make_world()
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    page = await ada.next()

    wrong = await ada.ask(f"/cases/{case_id}/release", token=page.token, why="boring")
    gone = await ada.ask(f"/cases/{case_id}/release", token=page.token, why=why)

    assert wrong.status_code == 422
    assert gone.headers["hx-redirect"] == "/console/"
    assert "No case for you now" in (await ada.post("/next")).text
    assert "gave this case away" in (await ada.post(f"/cases/{case_id}/claim")).text
    theirs = await bob.next()
    back = await bob.ask(f"/cases/{case_id}/release", token=theirs.token)
    assert back.status_code == 204
    assert (await bob.next()).id == case_id


async def test_a_draft_is_kept_and_comes_back(make_world: MakeWorld) -> None:
    here = await make_world()
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    page = await ada.next()

    saved = await ada.ask(f"/cases/{case_id}/draft", text="\nMy <b>draft")
    await ada.ask(f"/cases/{case_id}/release", token=page.token)

    assert saved.status_code == 204
    assert "My &lt;b&gt;draft" not in (await bob.claim(case_id)).text
    await lapse(here, case_id)
    await here.work.sweeper.sweep()
    assert ">\n\nMy &lt;b&gt;draft</textarea>" in (await ada.claim(case_id)).text


async def test_two_rule_apart_and_a_senior_sees_both(make_world: MakeWorld) -> None:
    policy = escalating(escalation={"second_review": {"from_severity": "low"}})
    here = await make_world(policy=policy, undo_s=0)
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    cleo = await here.reviewer("cleo", Role.SENIOR)

    await ada.rule(await ada.next(), "block", reason="My own words", clause="deception")
    door = await ada.get(f"/cases/{case_id}")
    second = await bob.next()
    assert_absent(second.text, ada.id, "My own words", "Rulings so far", "ruled on")
    assert "needs 2 people, each alone" in second.text
    assert "You have ruled on this case" in door.text
    await bob.rule(second, "approve")
    third = await cleo.next()

    assert "you decide as a senior" in third.text
    for words in (ada.id, bob.id, "My own words", "block", "approve"):
        assert words in third.text
    assert_absent(third.text, ">ada<", ">bob<")
    assert "Escalate to a senior" not in third.text
    final = await cleo.rule(third, "approve")
    assert final.status_code == 200, final.text
    assert (await here.answer(case_id))["output"]["content"] == CANDIDATE


async def test_golden_cases_look_like_all_others(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    first = await here.hold()
    real = await ada.next()
    await ada.rule(real, "approve")
    store = here.site.parts.ledger
    await store.write(lambda each: make_golden(each, first, RulingKind.BLOCK, "rev_x"))
    template = next(each["facts"]["golden"] for each in await here.site.acts("changed")
                    if each["facts"].get("golden"))
    here.work.desk.rules = replace(here.work.desk.rules, golden_share=1.0)

    golden = await bob.next()

    assert golden.id not in (first, template)
    assert skeleton(golden.text) == skeleton(real.text)
    similar = await bob.ask(f"/cases/{golden.id}/similar", token=golden.token)
    assert "None was found" in similar.text
    for hidden in (template, golden.id):
        assert (await ada.get(f"/cases/{hidden}")).status_code == 404
    assert (await bob.get(f"/cases/{template}")).status_code == 404
    ruled = await bob.rule(golden, "block", reason=WHY, clause="deception")
    assert "It has taken effect" in ruled.text
    mine, other = await bob.get(f"/cases/{golden.id}"), await ada.get(f"/cases/{first}")
    assert "It was ruled on, and is closed" in mine.text
    assert WHY in mine.text
    assert "It was ruled on, and is closed" in other.text


async def test_a_case_of_another_tenant_is_not_there(make_world: MakeWorld) -> None:
    here = await make_world()
    case_id = await here.hold()
    eve = await here.reviewer("eve", tenants=frozenset({"other"}))

    pages = [await eve.get(f"/cases/{case_id}{more}") for more in ("", "/feed")]
    for what in ("claim", "again", "first-verdict", "undo", "reveal/candidate", "similar"):
        pages.append(await eve.post(f"/cases/{case_id}/{what}", token="x", kind="block"))
    for what in ("renew", "draft", "release", "rule"):
        pages.append(await eve.ask(f"/cases/{case_id}/{what}", token="x", text="x"))

    assert {page.status_code for page in pages} == {404}
    assert len(await here.site.acts("refused")) == len(pages)
    assert "Nothing waits for you" in (await eve.get("/")).text
    assert words_of(await eve.get("/")).count("0 none") == 4
    assert " 0 wait " in f" {lanes_in(await eve.get('/'))} "
    assert " 1 wait " in f" {lanes_in(await (await here.reviewer('ada')).get('/'))} "


async def test_an_auditor_reads_what_was_ruled_and_that_is_recorded(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    case_id = await here.hold()
    ada, ann = await here.reviewer("ada"), await here.reviewer("ann", Role.AUDITOR)
    await ada.rule(await ada.next(), "block", reason="Said by ada", clause="deception")

    page = await ann.get(f"/cases/{case_id}")
    own, none = await ada.get(f"/cases/{case_id}"), await ann.post("/next")

    assert "Said by ada" in page.text
    assert ada.id in page.text
    assert "Said by ada" in own.text
    assert none.status_code == 403
    assert [act["actor"] for act in await here.site.acts("viewed")] == [ann.id, ada.id]


async def test_the_feed_tells_counts_and_ends(make_world: MakeWorld) -> None:
    here = await make_world(feed_every_s=0.01)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.claim(case_id)
    counts = asyncio.create_task(ada.get("/feed"))
    note = asyncio.create_task(ada.get(f"/cases/{case_id}/feed"))
    await here.change(case_id, state="expired", closed=datetime.now(UTC))
    await here.work.sweeper.sweep()
    await ada.post("/sign-out")

    told, noted = await soon(counts), await soon(note)

    assert told.headers["content-type"].startswith("text/event-stream")
    assert "event: lanes" in told.text
    assert "<dd>0</dd>" in told.text
    assert "This case was closed meanwhile" in noted.text
    assert CANDIDATE not in told.text + noted.text
    assert page.token not in noted.text


async def test_the_feed_ends_when_the_gateway_is_shut_down(make_world: MakeWorld) -> None:
    here = await make_world(feed_every_s=0.01)
    ada = await here.reviewer()
    counts = asyncio.create_task(ada.get("/feed"))
    here.caller.gateway.health.draining = True

    assert (await soon(counts)).status_code == 200


async def test_keys_can_be_changed_and_switched_off(make_world: MakeWorld) -> None:
    here = await make_world()
    ada = await here.reviewer()
    form = {f"key_{command}": key for command, key in KEYS.items()}

    twice = await ada.post("/reviewing", cover_from="high", **{**form, "key_next": "J"})
    words = await ada.post("/reviewing", cover_from="high", **{**form, "key_next": " "})
    cover = await ada.post("/reviewing", cover_from="worst", keys_on="yes", **form)
    other = await ada.post("/reviewing", cover_from="low", keys_on="yes", **{**form, "key_next": "x"})
    changed = await ada.get("/")
    await ada.post("/reviewing", cover_from="low", **form)
    off = await ada.get("/")

    assert twice.status_code == words.status_code == cover.status_code == 422
    assert "another command has this key" in twice.text
    assert other.status_code == 303
    assert '"x": "next"' in changed.text
    assert "data-keys='{}'" in off.text


async def test_a_break_is_offered_and_nothing_more(make_world: MakeWorld) -> None:
    here = await make_world(exposure_budget={"high": 9})
    ada = await here.reviewer()
    calm = await ada.get("/")
    row = {"reviewer": ada.id, "day": f"{datetime.now(UTC):%Y-%m-%d}", "severity": "high"}
    many = sa.insert(EXPOSURES).values(**row, shown=25)
    await here.site.database.write(lambda db: db.execute(many))

    page = await ada.get("/")

    assert 'id="pause"' not in calm.text
    assert "You were shown 25 severe cases today" in page.text
    assert "Next case" in page.text
    assert "high 25 9" in words_of(page)


def test_work_is_continuous_until_there_is_a_pause() -> None:
    now = datetime.now(UTC)
    ago = [timedelta(minutes=each) for each in (1, 10, 24, 38, 60, 70)]

    assert worked_since(now, [now - each for each in ago]) == now - ago[3]
    assert worked_since(now, [now - ago[4]]) is None
    assert worked_since(now, []) is None


async def test_without_the_queue_a_case_can_be_claimed_by_name(make_world: MakeWorld) -> None:
    here = await make_world(redis_url=NO_REDIS)
    case_id = await here.hold()
    ada = await here.reviewer()

    away = await ada.post("/next")

    assert away.status_code == 503
    assert f"/console/cases/{case_id}" in away.text
    assert (await ada.claim(case_id)).id == case_id


def assert_absent(text: str, *words: str) -> None:
    inside = text.partition("<article")[2] or text
    assert [each for each in words if each in inside] == []


def digest_in(page: Any) -> str:
    found = re.search(r'name="digest_edit" form="ruling" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def way(page: Any) -> str:
    found = re.search(r'data-way="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def lanes_in(page: Any) -> str:
    told = page.text.partition('sse-swap="lanes"')[2].partition("</div></div></div>")[0]
    numbers = re.findall(r"<dt>(.*?)</dt><dd>(\d+)</dd>", told)
    return " ".join(f"{count} {name}" for name, count in numbers)


def skeleton(text: str) -> str:
    """A page without what differs from case to case and from visit to visit."""
    text = re.sub(r"[A-Za-z0-9_-]{32,}", "*", text)
    text = re.sub(r"due in \d+ min|\d+\.\d{3,}", "*", text)
    return re.sub(r'<span class="who">.*?</span>', "", text)


async def revealed(here: World) -> list[str]:
    return [each["facts"]["part"] for each in await here.site.acts("revealed")]


async def lapse(here: World, case_id: str) -> None:
    """Let every lease on a case run out."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    over = sa.update(SLOTS).filter_by(escalation_id=case_id).values(lease_until=past)
    await here.site.database.write(lambda db: db.execute(over))


async def settled(here: World, case_id: str) -> None:
    """Let the time to undo pass."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    moved = sa.update(RULINGS).filter_by(escalation_id=case_id).values(takes_effect=past)
    await here.site.database.write(lambda db: db.execute(moved))
    await here.change(case_id, settles=past)
    await here.work.sweeper.sweep()
