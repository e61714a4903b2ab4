"""A case whose response was erased while people worked on it."""

from inwit.cases import RulingKind
from inwit.ledger.erasure import Wanted, erase
from inwit.ledger.store import LedgerStore
from tests.console.reviewing.test_similar import FIRST, held, ruled
from tests.console.reviewing.world import WHY, MakeWorld, World, escalating, words_of
from tests.fakes import FakeModel


async def forget(here: World, case_id: str) -> None:
    """Erase the response of a case."""
    store = LedgerStore(here.site.database)
    async with store.running():
        response = case_id.replace("esc_", "resp_", 1)
        await erase(here.site.database, store.write, Wanted("acme", response=response))


async def test_a_page_that_was_open_ends_and_shows_nothing_more(make_world: MakeWorld) -> None:
    model = FakeModel(FIRST)
    here = await make_world(model=model, policy=escalating(), undo_s=0)
    ada = await here.reviewer("ada")
    case_id = await held(here, model, FIRST)
    page = await ada.claim(case_id)

    await forget(here, case_id)

    answer = await ada.rule(page, RulingKind.APPROVE, reason=WHY, clause="deception")
    assert answer.status_code >= 400
    shown = await ada.get(f"/cases/{case_id}")
    assert FIRST not in shown.text
    assert "erased on request" in words_of(shown)


async def test_a_closed_case_is_shown_without_its_texts(make_world: MakeWorld) -> None:
    model = FakeModel(FIRST)
    here = await make_world(model=model, policy=escalating(), undo_s=0)
    ada = await here.reviewer("ada")
    case_id = await ruled(here, ada, model, FIRST, "block")
    assert FIRST in (await ada.get(f"/cases/{case_id}")).text

    await forget(here, case_id)

    shown = await ada.get(f"/cases/{case_id}")
    assert FIRST not in shown.text
    assert "erased on request" in words_of(shown)
