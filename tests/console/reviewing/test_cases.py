"""Cases claimed, edited, ruled on, taken back and given back through the console."""

import re
from datetime import UTC, datetime

import pytest

from tests.console.reviewing.world import (
    CANDIDATE,
    FINE,
    FLAGGED,
    WHY,
    MakeWorld,
    assert_absent,
    digest_in,
    flagged,
    lapse,
    page_of,
    way,
    words_of,
)


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
    assert (await bob.ask(f"/cases/{case_id}/draft", text="unclaimed")).status_code == 409
    assert "My &lt;b&gt;draft" not in (await bob.claim(case_id)).text
    await lapse(here, case_id)
    await here.work.sweeper.sweep()
    assert ">\n\nMy &lt;b&gt;draft</textarea>" in (await ada.claim(case_id)).text


async def test_drafts_are_of_those_who_hold_a_case_or_did(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    page = await ada.claim(case_id)

    async def saves(text: str) -> int:
        return (await ada.ask(f"/cases/{case_id}/draft", text=text)).status_code

    holding = await saves("held")
    await lapse(here, case_id)
    await here.work.sweeper.sweep()
    lost = await saves("lost")
    theirs = await bob.claim(case_id)
    assert (await ada.ask(f"/cases/{case_id}/rule", **page.form, kind="approve")).status_code == 409
    gone = await saves("another has it")
    await bob.rule(theirs, "approve")
    closed = await saves("closed")

    assert (holding, lost, gone, closed) == (204, 204, 204, 409)
