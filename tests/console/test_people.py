"""People: who sees whom, and what an admin can change; every change without a name."""

import json
import re
from typing import Any

from inwit.cases import Role
from inwit.console.account_rows import Identity
from inwit.console.people import choices_of
from inwit.console.permissions import Visitor
from inwit.types import Category, Severity
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import Records, records

ACME = frozenset({"acme"})


async def send(browser: Browser, path: str, **form: Any) -> Any:
    return await browser.post(path, {"csrf_token": await browser.token(), **form})


async def test_an_admin_adds_a_person_who_can_not_sign_in_before_a_password_is_set(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    browser, me = await here.person("adm", Role.ADMIN)

    added = await send(
        browser,
        "/people",
        name="Grace O'Hara",
        role="reviewer",
        tenants="acme, globex",
        languages="EN de",
        clearance="high",
        opted_out=["self_harm", "hate"],
    )

    assert added.status_code == 303
    page = await browser.get(added.headers["location"].removeprefix("/console"))
    assert "inwit reviewers password &#39;Grace O&#39;&#34;&#39;&#34;&#39;Hara&#39;" in page.text
    account = await here.site.parts.accounts.named("Grace O'Hara")
    assert account is not None
    scope = account.reviewer
    assert (scope.role, scope.clearance) == (Role.REVIEWER, Severity.HIGH)
    assert (scope.tenants, scope.policies) == ({"acme", "globex"}, frozenset())
    assert scope.languages == {"en", "de"}
    assert scope.opted_out == {Category.SELF_HARM, Category.HATE}
    assert not account.has_password
    for password in ("", "correct horse battery"):
        refused = await (await here.site.browser()).sign_in("Grace O'Hara", password)
        assert refused.status_code == 403
    (made,) = [act for act in await here.site.acts("changed") if act["actor"] == me]
    assert made["facts"]["account"] == account.id
    assert made["facts"]["through"] == "console"
    assert "Grace" not in json.dumps(await here.site.acts())


async def test_an_admin_changes_disables_enables_and_signs_out(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person("adm", Role.ADMIN)
    ben, his = await here.person("ben")

    changed = await send(browser, f"/people/{his}", role="senior", clearance="low", tenants="all")
    account = await here.site.parts.accounts.by_id(his)
    assert changed.status_code == 303
    assert account is not None
    assert (account.role, account.reviewer.clearance) == (Role.SENIOR, Severity.LOW)
    assert account.reviewer.tenants == frozenset()
    assert (await ben.get("/list")).status_code == 303, "another role ends the sessions"

    await ben.sign_in("ben")
    assert (await send(browser, f"/people/{his}/sign-out-everywhere")).status_code == 303
    assert (await ben.get("/list")).status_code == 303
    assert (await send(browser, f"/people/{his}/disabled")).status_code == 303
    assert (await ben.sign_in("ben")).status_code == 403
    assert "Enable the account" in (await browser.get(f"/people/{his}")).text
    assert (await send(browser, f"/people/{his}/disabled", disabled="no")).status_code == 303
    assert (await ben.sign_in("ben")).status_code == 303
    acts = [act["facts"] for act in await here.site.acts("changed") if act["actor"] == me]
    assert len(acts) == 4
    assert {facts["account"] for facts in acts} == {his}
    assert acts[0]["role_before"] == "reviewer"


async def test_nobody_changes_their_own_account_here(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person("adm", Role.ADMIN)
    page = await browser.get(f"/people/{me}")
    assert "ask another admin" in main_of(page)
    assert 'action="/console/people/' not in page.text
    for path in (f"/people/{me}", f"/people/{me}/disabled", f"/people/{me}/sign-out-everywhere"):
        assert (await send(browser, path, role="senior")).status_code == 403
    account = await here.site.parts.accounts.by_id(me)
    assert account is not None
    assert account.role is Role.ADMIN


async def test_what_cannot_be_is_refused_and_what_was_typed_stays(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("adm", Role.ADMIN)
    _, his = await here.person("ben")
    for form in (
        {"role": "root"},
        {"clearance": "worst"},
        {"opted_out": ["cats"]},
        {"tenants": "a<b>"},
        {"policies": "../x"},
        {"languages": ",".join(f"l{number}" for number in range(60))},
    ):
        for path in ("/people", f"/people/{his}"):
            answer = await send(browser, path, name="grace", **{"tenants": "acme"} | form)
            assert answer.status_code == 422, (path, form)
            assert 'role="alert"' in answer.text
    again = await send(browser, "/people", name="ben", tenants="acme")
    assert again.status_code == 422
    assert 'value="ben"' in again.text
    assert 'value="acme"' in again.text
    assert await here.site.parts.accounts.named("grace") is None


async def test_a_limited_admin_can_give_no_more_than_they_have(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("adm", Role.ADMIN, tenants=ACME)
    _, inside = await here.person("ben", tenants=ACME)
    _, outside = await here.person("cy", tenants=frozenset({"globex"}))
    _, all_of_them = await here.person("dan")

    listed = (await browser.get("/people")).text

    assert inside in listed
    assert "globex" not in listed
    for hidden in (outside, all_of_them, "rev_unknown"):
        assert hidden not in listed
        assert (await browser.get(f"/people/{hidden}")).status_code == 404
        assert (await send(browser, f"/people/{hidden}/disabled")).status_code == 404
        assert (await send(browser, f"/people/{hidden}", tenants="acme")).status_code == 404
    for tenants in ("", "all", "globex", "acme, globex"):
        for path in ("/people", f"/people/{inside}"):
            answer = await send(browser, path, name="new", tenants=tenants)
            assert answer.status_code == 422, (path, tenants)
    assert (await send(browser, "/people", name="new", tenants="acme")).status_code == 303


async def test_seniors_and_auditors_look_and_change_nothing(make_site: MakeSite) -> None:
    here: Records = await records(make_site)
    _, his = await here.person("ben", opted_out=frozenset({Category.HATE}))
    for name, role in (("sue", Role.SENIOR), ("aud", Role.AUDITOR)):
        browser, _ = await here.person(name, role)
        listed, one = await browser.get("/people"), await browser.get(f"/people/{his}")
        assert "ben" in main_of(listed)
        for page in (listed, one):
            assert not re.search("Not shown|Hate", main_of(page)), (
                "their own affair, and an admin's"
            )
            assert not re.search(r'action="/console/people', page.text)
        for path in ("/people", f"/people/{his}", f"/people/{his}/disabled"):
            assert (await send(browser, path, name="x")).status_code == 403
    rob, _ = await here.person("rob")
    assert (await rob.get("/people")).status_code == 403
    adm, _ = await here.person("adm", Role.ADMIN)
    for path in ("/people", f"/people/{his}"):
        assert "Hate" in main_of(await adm.get(path))
    ann, hers = await here.person("ann", Role.SENIOR, opted_out=frozenset({Category.HATE}))
    for path in ("/account", f"/people/{hers}"):
        assert "Hate" in main_of(await ann.get(path))


async def test_people_are_chosen_by_name_from_those_who_may_be_seen(make_site: MakeSite) -> None:
    here = await records(make_site)
    own: dict[str, Any] = {"tenants": frozenset({"acme"})}
    _, his = await here.person("Ben", **own)
    _, far = await here.person("Quentin", tenants=frozenset({"globex"}))
    sue, hers = await here.person("sue", Role.SENIOR, **own)
    aud, _ = await here.person("ann", Role.AUDITOR, **own)

    for browser, path in ((sue, "/rulings/all"), (aud, "/rulings/all"), (aud, "/audit")):
        page = await browser.get(f"{path}?person={his}")
        chosen = re.findall(r'<option value="(rev_\w+)"( selected)?>(.*?)</option>', page.text)
        assert (his, " selected", "Ben") in chosen
        assert (hers, "", "sue") in chosen
        assert far not in page.text
        unknown = await browser.get(f"{path}?person={far}")
        assert f'<option value="{far}" selected>{far}</option>' in unknown.text
        assert "Quentin" not in unknown.text


async def test_who_may_not_see_names_chooses_by_pseudonym(make_site: MakeSite) -> None:
    here = await records(make_site)
    account = await here.site.person("ada")
    session: Any = None

    found = await choices_of(here.site.parts, Visitor(account, session), "")

    assert found == [(account.id, account.id)]


async def test_the_provider_says_the_role_of_its_people(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("adm", Role.ADMIN)
    identity = Identity("https://idp.example", "s1", "ida", Role.REVIEWER)
    account = await here.site.parts.accounts.arrive(identity)

    page = await browser.get(f"/people/{account.id}")
    changed = await send(browser, f"/people/{account.id}", role="admin", clearance="low")

    assert 'name="role"' not in page.text
    assert "inwit reviewers password" not in page.text
    assert changed.status_code == 303
    after = await here.site.parts.accounts.by_id(account.id)
    assert after is not None
    assert (after.role, after.reviewer.clearance) == (Role.REVIEWER, Severity.LOW)
