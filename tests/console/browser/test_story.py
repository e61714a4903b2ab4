"""The story of a response in a real browser, which checks its proof by itself."""

import base64

import pytest
import sqlalchemy as sa
from playwright.async_api import Locator, Page, expect

from inwit.cases import Role
from inwit.ledger.chain import leaf_hash
from inwit.ledger.notes import Checkpoint, SigningKey, signed_note
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.tables import ENTRIES
from tests.console.browser.conftest import Floor, MakeFloor
from tests.console.browser.looks import looks

pytestmark = pytest.mark.browser

KEY = SigningKey("inwit-4f1a09c2", bytes(range(32)))
OTHER = SigningKey("inwit-4f1a09c2", bytes(32))
NO_ED25519 = (
    "crypto.subtle.importKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))"
)


async def covered(floor: Floor) -> Signed:
    signed = await Sequencer(floor.world.site.database, [KEY], 60).work()
    assert signed is not None
    return signed


async def ruled(floor: Floor) -> str:
    """A response that a person ruled on; its id."""
    case_id = await floor.world.hold()
    bob = await floor.world.reviewer("bob")
    await bob.rule(await bob.claim(case_id), "approve")
    return case_id.replace("esc_", "resp_")


async def look_up(floor: Floor, page: Page, response: str) -> None:
    await page.goto(f"{floor.address}/console/audit")
    await page.get_by_label("response\u2019s whole story").fill(response)
    await page.get_by_role("button", name="Look it up").click()
    await expect(page.locator("h1")).to_have_text("One response\u2019s story")
    await expect(said(page)).to_contain_text("Checked in this browser")


def said(page: Page) -> Locator:
    return page.locator("#proof-said")


async def standings(page: Page) -> list[str]:
    return [each[2:] for each in await page.locator("[data-proof] .tag").all_inner_texts()]


async def check_against(page: Page, key: str = "", checkpoint: str = "") -> None:
    if not await page.locator("#own-key").is_visible():
        await page.get_by_text("Check against a key or a checkpoint of your own").click()
    await page.fill("#own-key", key)
    await page.fill("#own-checkpoint", checkpoint)
    await page.get_by_role("button", name="Check against these").click()


async def test_a_browser_checks_every_entry(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    early = await covered(floor)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    late = await covered(floor)
    await look_up(floor, page, response)

    found = await standings(page)
    assert len(found) >= 5
    assert set(found) == {"in the log"}
    await expect(said(page)).to_contain_text(f"{len(found)} of {len(found)} entries here")
    await expect(said(page)).to_contain_text("a key that the log itself names")
    titles = await page.locator(".story h3").all_inner_texts()
    assert titles[0] == "Request accepted"
    assert titles[-1] == "Outcome: released, ruled"
    await looks(page, "story")

    await check_against(page, KEY.vkey, early.note)
    await expect(said(page)).to_contain_text("signed by the key that you gave")
    await expect(said(page)).to_contain_text(f"your checkpoint over {early.size} entries")
    assert set(await standings(page)) == {"in the log"}
    await check_against(page, KEY.vkey, late.note)
    await expect(page.locator("[data-proof]").first).to_contain_text("under your checkpoint")
    await check_against(page, "", base64.b64encode(early.note.encode()).decode())
    await expect(said(page)).to_contain_text(f"your checkpoint over {early.size} entries")
    await page.get_by_text("Its exact bytes").first.click()
    await expect(page.locator(".bytes").first).to_contain_text(f'"response":"{response}"')

    await page.get_by_role("link", name="esc_").click()
    await page.get_by_role("link", name="whole story").click()
    await expect(page).to_have_url(f"{floor.address}/console/responses/{response}")


async def test_what_does_not_hold_is_said(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    signed = await covered(floor)
    await look_up(floor, page, response)

    await check_against(page, OTHER.vkey)
    await expect(said(page)).to_contain_text("not signed by the key that you gave")
    wrong = "does not hold: the checkpoint is not signed by the key that you gave"
    assert set(await standings(page)) == {wrong}
    await check_against(page, f"{KEY.vkey}A")
    await expect(page.locator("#own-key-problem")).to_contain_text("This is not a key of a log")
    await expect(page.locator("#own-key")).to_be_focused()
    assert set(await standings(page)) == {"not checked"}
    await check_against(page, "", "no checkpoint\nat all")
    await expect(page.locator("#own-checkpoint-problem")).to_contain_text("not a signed checkpoint")
    await check_against(page, "", "no header of an answer")
    await expect(page.locator("#own-checkpoint-problem")).to_contain_text("not base64")
    await expect(page.locator("#own-key-problem")).to_be_empty()
    await check_against(page, "", forked(signed))
    await expect(said(page)).to_contain_text("this log is not the one that it was signed for")
    assert {each[:13] for each in await standings(page)} == {"does not hold"}
    await check_against(page, "", larger())
    await expect(said(page)).to_contain_text("no proof that this log goes on from it")
    await check_against(page)
    await expect(said(page)).to_contain_text("a key that the log itself names")
    assert set(await standings(page)) == {"in the log"}


def forked(signed: Signed) -> str:
    """Signed by the same key for the same size, over something else."""
    return signed_note(Checkpoint(KEY.name, signed.size, bytes(32)), [KEY])


def larger() -> str:
    """Of a log that has lost entries since."""
    return signed_note(Checkpoint(KEY.name, 1_000, bytes(32)), [KEY])


@pytest.mark.parametrize("thorough", [False, True])
async def test_a_changed_byte_does_not_hold(make_floor: MakeFloor, thorough: bool) -> None:
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    await covered(floor)
    await tamper(floor, response, thorough=thorough)
    await look_up(floor, page, response)

    changed = page.locator(".story > li", has_text="not lead to the checkpoint\u2019s root")
    if not thorough:
        await expect(changed).to_have_count(1)
        await expect(changed).to_contain_text("This entry is not as it was written")
    await expect(changed.first.locator("[data-proof] .tag")).to_contain_text("does not hold: ")
    await expect(said(page)).to_contain_text("not hold")
    await expect(said(page)).to_have_class("notice bad")
    await expect(page.get_by_text("Somebody changed the database")).to_be_visible()
    await looks(page, "story-changed", "" if thorough else None)


async def tamper(floor: Floor, response: str, *, thorough: bool) -> None:
    """Change who ruled; where `thorough`, with a hash that fits."""

    def steps(connection: sa.Connection) -> None:
        own = sa.select(ENTRIES).filter_by(response_id=response, type="ruled")
        body = connection.execute(own).one().body.replace(b'"actor":"rev_', b'"actor":"rev-')
        values = {"hash": leaf_hash(body)} if thorough else {}
        update = sa.update(ENTRIES).filter_by(response_id=response, type="ruled")
        connection.execute(update.values(body=body, **values))

    await floor.world.site.database.write(steps)


async def test_what_no_checkpoint_covers_is_said(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    await look_up(floor, page, response)

    assert set(await standings(page)) == {"not yet covered"}
    await expect(said(page)).to_contain_text("No checkpoint covers the log yet")


async def test_without_a_script_the_page_gives_the_servers_word(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    await covered(floor)
    page = await floor.person("ann", Role.AUDITOR, java_script_enabled=False)
    await page.goto(f"{floor.address}/console/responses/{response}")

    await expect(said(page)).to_contain_text("That is the server\u2019s word")
    assert set(await standings(page)) == {"in the log"}
    await expect(page.locator("#own-key")).to_be_hidden()


async def test_a_browser_without_ed25519_says_so(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    await covered(floor)
    page = await floor.person("ann", Role.AUDITOR)
    await page.add_init_script(NO_ED25519)
    await look_up(floor, page, response)

    await expect(said(page)).to_contain_text("its signature could not be checked here")
    await expect(said(page)).to_have_class("notice warn")
    assert set(await standings(page)) == {"signature not checked"}
    await expect(page.locator(".story .tag.good")).to_have_count(0)
    first = page.locator("[data-proof]").first
    await expect(first).to_contain_text("lead to the checkpoint\u2019s root; who signed that could")
    await expect(first).not_to_contain_text("signed root")


@pytest.mark.parametrize("knows_ed25519", [True, False])
async def test_an_entry_without_bytes_is_no_more_than_its_hash(
    make_floor: MakeFloor, knows_ed25519: bool
) -> None:
    """Nothing in the log says that it was pruned: the server only holds its bytes back."""
    floor = await make_floor(undo_s=0)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    signed = await covered(floor)
    if not knows_ed25519:
        await page.add_init_script(NO_ED25519)
    await withhold(floor, response)
    await look_up(floor, page, response)

    found = await standings(page)
    others = "in the log" if knows_ed25519 else "signature not checked"
    assert found.count("only its hash") == 1
    assert set(found) == {"only its hash", others}
    good = len(found) - 1 if knows_ed25519 else 0
    await expect(said(page)).to_contain_text(f"{good} of {len(found)} entries here")
    await expect(said(page)).to_contain_text("only its hash: 1")
    await expect(said(page)).to_have_class("notice warn")
    held_back = page.locator("[data-proof]", has_text="only its hash")
    await expect(held_back.locator(".tag")).to_have_class("tag warn")
    await expect(held_back).to_contain_text("its bytes were pruned, is the server\u2019s word")
    await expect(page.get_by_text("who signed that")).to_have_count(0 if good else len(found))
    await check_against(page, KEY.vkey, signed.note)
    await expect(held_back).to_contain_text("under your checkpoint")
    assert await standings(page) == found


async def withhold(floor: Floor, response: str) -> None:
    """Leave the hash of the decision alone, as if it had been pruned."""
    values = {"type": "pruned", "tenant": "", "response_id": "", "body": b""}
    update = sa.update(ENTRIES).filter_by(response_id=response, type="decision").values(**values)
    await floor.world.site.database.write(lambda connection: connection.execute(update))
