"""What the page of a case shows, to whom, and what it keeps back."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from inwit.cases import Role, RulingKind
from inwit.console.wishes import KEYS
from inwit.errors import UpstreamTimeout
from inwit.ledger.golden import make_golden
from inwit.types import ToolCall
from tests.console.reviewing.world import (
    CANDIDATE,
    FLAGGED,
    REWRITE,
    SEVERE,
    WHY,
    MakeWorld,
    assert_absent,
    escalating,
    escalating_failures,
    flagged,
    page_of,
    revealed,
    rewriting,
    settled,
    skeleton,
    words_of,
)


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
    addresses = re.findall(r'<[a-z]+ [^>]*(?:href|src|action)="([^"]*)"', page.text)
    assert all(each.startswith(("/console/", "#")) for each in addresses), addresses
    ruled = await ada.rule(page, "approve")
    assert ruled.status_code == 200, ruled.text
    await settled(here, case_id)
    assert (await here.answer(case_id))["output"]["content"] == hostile


async def test_severe_text_is_not_in_the_page_until_it_is_revealed(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE))
    case_id = await here.hold()
    ada = await here.reviewer()

    page = await ada.next()
    assert_absent(page.text, CANDIDATE[8:], "How do I mix these?", '<textarea id="text"')
    before = await revealed(here)
    shown = await ada.ask(f"/cases/{case_id}/reveal/candidate", token=page.token)
    assert CANDIDATE[8:] in words_of(shown)
    assert "How do I mix these?" not in shown.text
    assert f">\n{CANDIDATE}</textarea>" in shown.text
    asked = await ada.ask(f"/cases/{case_id}/reveal/conversation", token=page.token)

    assert "How do I mix these?" in asked.text
    assert before == []
    assert await revealed(here) == ["candidate", "conversation"]
    assert "critical 1 none" in words_of(await ada.get("/"))
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
    template = next(
        each["facts"]["golden"]
        for each in await here.site.acts("changed")
        if each["facts"].get("golden")
    )
    here.work.desk.rules = replace(here.work.desk.rules, golden_share=1.0)
    newer = escalating(fallback_text={"en": "Not now."})
    here.work.policies.replace({"default": newer}, datetime.now(UTC))

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


async def test_an_auditor_reads_what_was_ruled_and_that_is_recorded(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    case_id = await here.hold()
    ada, ann = await here.reviewer("ada"), await here.reviewer("ann", Role.AUDITOR)
    await ada.rule(await ada.next(), "block", reason="Said by ada", clause="deception")

    page = await ann.get(f"/cases/{case_id}")
    again = await ann.ask(f"/cases/{case_id}/reveal/candidate")
    own, none = await ada.get(f"/cases/{case_id}"), await ann.post("/next")

    assert "Said by ada" in page.text
    assert CANDIDATE[8:] in words_of(again)
    assert ada.id in page.text
    assert "Said by ada" in own.text
    assert none.status_code == 403
    assert [act["actor"] for act in await here.site.acts("viewed")] == [ann.id, ada.id]
