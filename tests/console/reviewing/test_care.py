"""Covers, the dose of a day, blind draws and golden copies: what people are spared, or not told."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa

from inwit.cases import Role, RulingKind
from inwit.console.wishes import KEYS
from inwit.ledger.golden import make_golden
from inwit.ledger.tables import EXPOSURES
from tests.console.reviewing.world import (
    CANDIDATE,
    FLAGGED,
    REWRITE,
    SEVERE,
    WHY,
    Desk,
    MakeWorld,
    World,
    assert_absent,
    escalating,
    flagged,
    lapse,
    page_of,
    rewriting,
    skeleton,
    words_of,
)

UNCOVERED = {f"key_{command}": key for command, key in KEYS.items()} | {
    "cover_from": "never",
    "keys_on": "yes",
}


async def reveal(desk: Desk, case_id: str, part: str, token: str) -> httpx.Response:
    return await desk.ask(f"/cases/{case_id}/reveal/{part}", token=token)


async def dose(desk: Desk, severity: str = "critical") -> int:
    """How many cases of a severity the first page counts."""
    found = re.search(rf"\b{severity} (\d+) \w+", words_of(await desk.get("/")))
    assert found is not None
    return int(found[1])


async def test_nothing_is_approved_that_was_not_revealed(make_world: MakeWorld) -> None:
    model = flagged(CANDIDATE, SEVERE, answers=[FLAGGED, FLAGGED], rewrites=[REWRITE])
    here = await make_world(model=model, policy=rewriting(), undo_s=0)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.next()

    unseen = [await ada.rule(page, kind) for kind in ("approve", "approve_rewrite")]
    await reveal(ada, case_id, "rewrite", page.token)
    other = await ada.rule(page, "approve")

    for each, part in zip((*unseen, other), ("candidate", "rewrite", "candidate"), strict=True):
        assert each.status_code == 422
        assert f"Ruling: reveal the part {part} first" in words_of(each)
        assert 'id="problem-ruling" class="field-problem" hx-swap-oob="true">reveal' in each.text
    assert (await here.answer(case_id))["status"] == "held"
    seen = await ada.rule(page, "approve_rewrite")
    assert seen.status_code == 200, seen.text
    assert (await here.answer(case_id))["output"]["content"] == REWRITE


async def test_covered_text_can_be_blocked_or_handed_on_unseen(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE), undo_s=0)
    await here.hold()
    await here.hold()
    ada = await here.reviewer()

    for kind in ("block", "escalate"):
        ruled = await ada.rule(await ada.next(), kind, reason=WHY, clause=SEVERE)
        assert ruled.status_code == 200, ruled.text
    assert await dose(ada) == 0


async def test_a_cover_taken_off_elsewhere_shows_nothing_here(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE))
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.next()

    await ada.post("/reviewing", **UNCOVERED)
    unseen = await ada.rule(page, "approve")
    again = page_of(await ada.post(f"/cases/{case_id}/again", token=page.token))
    seen = await ada.rule(again, "approve")

    assert unseen.status_code == 422
    assert CANDIDATE[8:] in words_of(again)
    assert seen.status_code == 200, seen.text


async def test_what_was_revealed_stays_so_while_one_holds_the_case(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE), blind_share=1.0)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.next()
    await reveal(ada, case_id, "candidate", page.token)

    verdict = {"token": page.token, "kind": "block"}
    opened = page_of(await ada.post(f"/cases/{case_id}/first-verdict", **verdict))
    undone = await ada.rule(opened, "approve")
    ruling = re.search(r'name="ruling" value="(\w+)"', undone.text)
    assert ruling is not None, undone.text
    back = page_of(await ada.post(f"/cases/{case_id}/undo", ruling=ruling[1]))

    for each in (opened, back):
        assert CANDIDATE[8:] in words_of(each)
        assert '<textarea id="text"' in each.text
        assert_absent(each.text, "How do I mix these?")
    assert await dose(ada) == 1
    await ada.ask(f"/cases/{case_id}/release", token=back.token)
    assert_absent((await ada.claim(case_id)).text, CANDIDATE[8:])


async def test_a_page_that_lost_its_lease_goes_on_with_what_it_shows(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE), undo_s=0)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.next()
    await reveal(ada, case_id, "candidate", page.token)
    await lapse(here, case_id)

    fresh = page_of(await ada.ask(f"/cases/{case_id}/claim"), page.form)
    ruled = await ada.rule(fresh, "approve")

    assert ruled.status_code == 200, ruled.text
    assert len(await here.site.acts("revealed")) == 1


async def test_a_case_counts_once_and_when_its_first_text_shows(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE), exposure_budget={"critical": 2})
    for _ in range(4):
        await here.hold()
    ada = await here.reviewer()

    skipped = await ada.next()
    await ada.ask(f"/cases/{skipped.id}/release", token=skipped.token, why="unsure")
    counted = [await dose(ada)]
    for _ in range(2):
        page = await ada.next()
        for part in ("conversation", "candidate", "candidate"):
            await reveal(ada, page.id, part, page.token)
            counted.append(await dose(ada))
        await ada.rule(page, "approve")

    assert counted == [0, 1, 1, 1, 2, 2, 2]
    assert "No case for you now" in (await ada.post("/next")).text
    assert "Cases of which you were shown a text" in words_of(await ada.get("/"))


async def test_uncovered_text_counts_when_it_is_given_out_and_again_on_another_day(
    make_world: MakeWorld,
) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE), undo_s=0)
    case_id = await here.hold()
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    await ada.post("/reviewing", **UNCOVERED)

    page = await ada.claim(case_id)
    await ada.post(f"/cases/{case_id}/again", token=page.token)
    claimed = await dose(ada)
    await here.site.database.write(lambda db: db.execute(sa.update(EXPOSURES).values(day="x")))
    await ada.post(f"/cases/{case_id}/again", token=page.token)
    await ada.rule(page, "block", reason=WHY, clause=SEVERE)
    await bob.get(f"/cases/{case_id}")
    covered = await dose(bob)
    await bob.post("/reviewing", **UNCOVERED)
    await bob.get(f"/cases/{case_id}")

    assert (claimed, await dose(ada)) == (1, 1)
    assert (covered, await dose(bob)) == (0, 1)


async def test_blind_cases_tell_nothing_of_the_judges_before_a_verdict(
    make_world: MakeWorld,
) -> None:
    here = await make_world(blind_share=1.0)
    case_id = await here.hold()
    ada, ann = await here.reviewer("ada"), await here.reviewer("ann", Role.AUDITOR)
    by_judges = ("/list?severity=medium", "/list?category=deception")

    async def told() -> list[bool]:
        pages = [await ada.get(path) for path in ("/", "/list", *by_judges)]
        for page in pages[:2]:
            assert case_id in page.text
        cells = [re.sub(r"(?s)<form class=.filters.*?</form>", "", page.text) for page in pages]
        cells[0] = cells[0].partition('id="first"')[2].partition('id="day"')[0]
        return [bool(re.search("medium|Deception", each)) for each in cells]

    before = await told()
    page = await ada.claim(case_id)
    while_blind = await told()
    await ada.post(f"/cases/{case_id}/first-verdict", token=page.token, kind="block")

    assert before == while_blind == [False] * 4
    assert (await told())[1:] == [True] * 3
    for path in by_judges:
        assert case_id in (await ann.get(path)).text


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_the_first_page_says_severity_where_the_draw_is_not_blind(
    make_world: MakeWorld, share: float
) -> None:
    here = await make_world(blind_share=share)
    await here.hold()
    ada = await here.reviewer()

    assert ("medium, due in" in words_of(await ada.get("/"))) is (share == 0.0)


async def test_golden_copies_stay_like_others_after_the_policy_has_changed(
    make_world: MakeWorld,
) -> None:
    here = await make_world(undo_s=0)
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    await golden_of(here, ada)
    newer = escalating(version="7", fallback_text={"en": "Not now."})
    here.work.policies.replace({"default": newer}, datetime.now(UTC))
    real = await bob.claim(await here.hold())
    here.work.desk.rules = replace(here.work.desk.rules, golden_share=1.0)
    copy = page_of(await bob.post("/next", another="yes"))

    assert copy.id != real.id
    assert "policy default 7" in copy.text
    assert skeleton(copy.text) == skeleton(real.text)
    assert copy.form["policy_digest"] == real.form["policy_digest"] == newer.ref.digest
    rows = re.findall(r"(?s)<tr>.*?</tr>", (await bob.get("/list")).text)[1:]
    about = [re.sub(r"esc_\w+|\d+", "", row) for row in rows]
    assert len(about) == 2
    assert len(set(about)) == 1, "a golden copy looks different"
    ruled = await bob.rule(copy, "approve")
    assert ruled.status_code == 200, ruled.text


async def test_a_golden_copy_has_waited_as_long_as_others(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    source = await golden_of(here, ada)
    claimed = datetime.now(UTC)
    await here.change(source, opened=claimed - timedelta(minutes=4), claimed_first=claimed)
    here.work.desk.rules = replace(here.work.desk.rules, golden_share=1.0)

    await bob.next()

    assert "has waited 4 min" in words_of(await bob.get("/list"))


async def test_no_copies_are_given_of_a_policy_that_is_gone(make_world: MakeWorld) -> None:
    here = await make_world(undo_s=0)
    ada, bob = await here.reviewer("ada"), await here.reviewer("bob")
    await golden_of(here, ada)
    here.work.policies.replace({}, datetime.now(UTC))
    here.work.desk.rules = replace(here.work.desk.rules, golden_share=1.0)

    assert "No case for you now" in (await bob.post("/next")).text


async def golden_of(here: World, desk: Desk) -> str:
    """The id of a case on which somebody ruled, and of which copies are shown from now on."""
    case_id = await here.hold()
    ruled = await desk.rule(await desk.claim(case_id), "approve")
    assert ruled.status_code == 200, ruled.text
    store = here.site.parts.ledger
    await store.write(lambda each: make_golden(each, case_id, RulingKind.BLOCK, "rev_x"))
    return case_id
