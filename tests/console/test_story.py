"""The page of one response's story: who may see it, what it tells, and what it hands to check."""

import base64
import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, Role, RulingKind
from inwit.console import story_page
from inwit.decisions import AcceptedRecord, Asked
from inwit.ledger.chain import leaf_hash
from inwit.ledger.erasure import Wanted, erase
from inwit.ledger.notes import SigningKey
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.tables import ENTRIES
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify import included, note_of
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import SECRET, Records, records
from tests.ledger.test_store import ORIGIN

KEY = SigningKey("inwit-test", bytes(32))
HOSTILE = "</script>'>\"><img src=x onerror=alert(1)>\u202e"


async def covered(here: Records) -> None:
    await Sequencer(here.site.database, [KEY], 60).work()


def response_of(case_id: str) -> str:
    return case_id.replace("esc_", "resp_")


async def story(browser: Browser, response: str, query: str = "") -> tuple[str, dict[str, Any]]:
    """The page without its tags, and what its script is given."""
    page = await browser.get(f"/responses/{response}{query}")
    assert page.status_code == 200, page.text
    given = re.search(r"<div id=\"proof-data\" hidden data-given='([^']*)'></div>", page.text)
    assert given is not None
    told = page.text.replace(given[0], "")
    inside = re.sub(r"<[^>]*>", " ", told.partition("<main")[2].partition("</main>")[0])
    return re.sub(r"\s+", " ", html.unescape(inside)), json.loads(html.unescape(given[1]))


async def change(here: Records, response: str, kind: str, **values: Any) -> None:
    update = sa.update(ENTRIES).filter_by(response_id=response, type=kind).values(**values)
    await here.site.database.write(lambda db: db.execute(update))


async def body_of(here: Records, response: str, kind: str) -> bytes:
    query = sa.select(ENTRIES.c.body).filter_by(response_id=response, type=kind)
    return await here.site.database.read(lambda db: db.execute(query).scalar_one())


async def test_a_story_is_told_in_order_with_proofs_and_without_content(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    browser, me = await here.person("aud", Role.AUDITOR)
    case_id = await here.hold()
    response = response_of(case_id)
    await here.rule(case_id, "rev_ada", RulingKind.APPROVE, reason="My own words.")
    await covered(here)

    words, data = await story(browser, response)

    told = ["Decided: held for a person", "Claimed", "Ruled: approve", "Outcome: released, ruled"]
    places = [words.index(each) for each in told]
    assert places == sorted(places)
    assert " UTC · by rev_ada" in words
    assert "4 of 4 entries here are in the log" in words
    assert "the server\u2019s word" in words.lower()
    assert "default" in words
    for content in (SECRET, "My own words"):
        assert content not in words
        assert content not in json.dumps(data)
    note = note_of(data["checkpoint"])
    assert data["keys"] == [KEY.vkey]
    for entry in data["entries"]:
        body = base64.b64decode(entry["body"])
        proof = [base64.b64decode(each) for each in entry["proof"]]
        facts = json.loads(body)
        assert (facts["response"], facts["sequence"]) == (response, entry["sequence"])
        assert included(leaf_hash(body), entry["sequence"] - 1, note.size, proof, note.root)
    (act,) = await here.site.acts("viewed")
    assert (act["actor"], act["response"], act["case"]) == (me, response, case_id)
    assert act["facts"] == {"what": "story"}


async def test_a_response_is_found_by_its_id_its_cases_or_an_entrys(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    case_id = await here.resolved()
    (ruled,) = await here.site.acts("ruled")
    for name in (response_of(case_id), f" {case_id} ", ruled["id"]):
        found = await browser.http.get("/console/responses", params={"name": name})
        assert found.status_code == 303, name
        assert found.headers["location"] == f"/console/responses/{response_of(case_id)}"
    audit = await browser.get("/audit")
    assert f'href="/console/responses/{response_of(case_id)}"' in audit.text
    assert 'action="/console/responses"' in audit.text


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.SENIOR, Role.ADMIN])
async def test_other_roles_are_refused(make_site: MakeSite, role: Role) -> None:
    here = await records(make_site)
    browser, me = await here.person("ada", role)
    case_id = await here.hold()
    for path in (f"/responses/{response_of(case_id)}", f"/responses?name={case_id}"):
        assert (await browser.get(path)).status_code == 403
    assert (await browser.get("/consistency?old=0&new=1")).status_code == 403
    assert {act["actor"] for act in await here.site.acts("refused")} == {me}
    assert await here.site.acts("viewed") == []


async def test_what_is_out_of_sight_is_not_there(make_site: MakeSite) -> None:
    here = await records(make_site)
    scope: dict[str, Any] = {"tenants": frozenset({"acme"}), "policies": frozenset({"default"})}
    browser, _ = await here.person("aud", Role.AUDITOR, **scope)
    own = await here.resolved()
    await story(browser, response_of(own))
    foreign = [await here.resolved(**held) for held in ({"tenant": "globex"}, {"policy": "strict"})]
    nothing = "esc_" + "0" * 32
    told: set[str] = set()
    for case_id in (*foreign, nothing):
        for path in (f"/responses/{response_of(case_id)}", f"/responses?name={case_id}"):
            page = await browser.get(path)
            assert page.status_code == 404, path
            told.add(re.sub(r"\s+Request \w+", "", main_of(page)))
    assert len(told) == 1
    assert "no such response, or it is not for you" in told.pop()
    refused = [act["facts"] for act in await here.site.acts("refused")]
    assert [each["why"] for each in refused] == ["no-such-response"] * 6
    assert {each["route"] for each in refused} == {"/responses", "/responses/{response_id}"}


async def test_a_response_without_a_case_is_its_tenants_and_policys(make_site: MakeSite) -> None:
    here = await records(make_site)
    for number, tenant in enumerate(("acme", "globex")):
        await accepted(here, f"resp_{number:032x}", tenant)
    anybody, _ = await here.person("aud", Role.AUDITOR)
    for scope, seen in (
        ({"tenants": frozenset({"acme"})}, True),
        ({"policies": frozenset({ORIGIN.policy.name})}, True),
        ({"tenants": frozenset({"globex"})}, False),
        ({"policies": frozenset({"strict"})}, False),
    ):
        browser, _ = await here.person(f"aud-{scope}", Role.AUDITOR, **scope)
        answer = await browser.get(f"/responses/resp_{0:032x}")
        assert answer.status_code == (200 if seen else 404), scope
    words, _ = await story(anybody, f"resp_{1:032x}")
    assert "globex" in words
    assert "Request accepted" in words


async def accepted(here: Records, response: str, tenant: str = "acme", **origin: Any) -> None:
    principal = replace(ORIGIN.principal, tenant=tenant)
    whole = replace(ORIGIN, response_id=response, principal=principal, **origin)
    record = AcceptedRecord(whole, datetime.now(UTC), Asked.RESPONSE, {"request": b"{}"})
    await here.site.parts.ledger.append(record)


@pytest.mark.parametrize(
    "name", ["x", "resp_", "resp_" + "g" * 32, "resp_" + "0" * 33, "esc_" + "0" * 32]
)
async def test_hostile_ids_are_not_found(make_site: MakeSite, name: str) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    for hostile in (name, "%00", "..%2f..", "%3Cscript%3E", "'%20or%201=1"):
        answer = await browser.get(f"/responses/{hostile}")
        assert answer.status_code == 404, hostile
        assert "<script>" not in answer.text
    for hostile in ("", "x", "<script>", "resp_" + "0" * 33, "a" * 61):
        answer = await browser.http.get("/console/responses", params={"name": hostile})
        assert answer.status_code == 422, hostile
    for query in ("", "?old=2&new=1", "?old=-1&new=1", "?old=0&new=99999", f"?old=0&new={2**70}"):
        assert (await browser.get(f"/consistency{query}")).status_code in (400, 404, 422), query


async def test_hostile_facts_break_out_of_nothing(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = "resp_" + "a" * 32
    await accepted(here, response, model=HOSTILE)
    await covered(here)

    page = await browser.get(f"/responses/{response}")

    assert "<img" not in page.text.partition("<main")[2]
    assert "\u202e" not in page.text
    assert "[U+202E]" in page.text
    assert "</script" not in page.text.partition("<main")[2]
    _, data = await story(browser, response)
    assert json.loads(base64.b64decode(data["entries"][0]["body"]))["model"] == HOSTILE


async def test_erased_content_is_said_and_proofs_stay(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    case_id = await here.resolved()
    response = response_of(case_id)
    await covered(here)
    before, _ = await story(browser, response)
    assert "Content kept: " in before
    assert "erased on request" not in before
    write = here.site.parts.ledger.write
    await erase(here.site.database, write, Wanted("acme", response=response))
    await covered(here)

    words, data = await story(browser, response)

    assert "erased on request The entries and their proofs stay." in words
    assert "Content kept" not in words
    assert "Content erased on request" in words
    count = len(data["entries"])
    assert f"{count} of {count} entries here are in the log" in words


async def test_pruned_entries_are_said_and_prove_by_their_hash(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved())
    await covered(here)
    pruned: dict[str, Any] = {"type": "pruned", "tenant": "", "response_id": "", "body": b""}
    for kind in ("decision", "claimed"):
        await change(here, response, kind, **pruned)

    words, data = await story(browser, response)

    # Its case still knows the decision; nothing knows whose the other one was.
    assert words.count("By the server\u2019s word this entry is one of this response") == 1
    assert "The entry by which a response begins is not here" in words
    assert "3 of 3 entries here are in the log" in words
    assert "is not what the log has" not in words
    assert [each["body"] is None for each in data["entries"]] == [True, False, False]


async def test_a_changed_entry_is_loud_and_what_it_says_now_is_not_told(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved("rev_culprit"))
    await covered(here)
    body = (await body_of(here, response, "ruled")).replace(b"rev_culprit", b"rev_someone")
    await change(here, response, "ruled", body=body)

    words, data = await story(browser, response)

    assert "1 of these entries is not what the log has." in words
    assert "Changed after it was written" in words
    assert "This entry is not as it was written" in words
    assert "does not hold" in words
    assert "rev_someone" not in words
    assert base64.b64decode(data["entries"][2]["body"]) == body


async def test_a_hash_that_was_changed_too_does_not_hold(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved("rev_culprit"))
    await covered(here)
    body = (await body_of(here, response, "ruled")).replace(b"rev_culprit", b"rev_someone")
    await change(here, response, "ruled", body=body, hash=leaf_hash(body))

    words, _ = await story(browser, response)

    assert "not what the log has" in words
    assert "does not hold" in words


async def test_a_log_that_lost_entries_or_a_signature_is_told(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved())
    await covered(here)
    other = (
        "update checkpoints set note = substr(note, 1, length(note) - 20) "
        "|| case substr(note, -20, 1) when 'B' then 'C' else 'B' end || substr(note, -19)"
    )
    await here.site.database.write(lambda db: db.execute(sa.text(other)))
    assert "No key that the log names has signed" in (await story(browser, response))[0]
    gone = sa.delete(ENTRIES).filter_by(type="signing_keys")
    await here.site.database.write(lambda db: db.execute(gone))
    words, data = await story(browser, response)
    assert "does not hold" in words
    assert data["keys"] == []


async def test_what_no_checkpoint_covers_waits(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved())
    words, data = await story(browser, response)
    assert "0 of 4 entries here are in the log" in words
    assert words.count("not yet covered") == 4
    assert data["checkpoint"] is None


async def test_long_stories_come_in_parts(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story_page, "AT_ONCE", 3)
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    response = response_of(await here.resolved())

    def steps(transaction: Transaction) -> None:
        for _ in range(4):
            record = ActRecord(
                ActKind.DELIVERED, transaction.now, "acme", None, {}, {}, response_id=response
            )
            transaction.add(record)

    await here.site.parts.ledger.write(steps)
    told: list[int] = []
    query: str | None = ""
    while query is not None:
        page = await browser.get(f"/responses/{response}{query}")
        told += map(int, re.findall(r'id="entry-(\d+)"', page.text))
        found = re.search(r'href="/console/responses/\w+(\?after=\d+)" rel="next"', page.text)
        query = found[1] if found else None
    assert len(told) == 8 + 3  # and the looks themselves, but the last
    assert told == sorted(set(told))
