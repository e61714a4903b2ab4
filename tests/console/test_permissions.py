"""Every route of the console with every role: what is not allowed is refused."""

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from inwit.cases import Role
from inwit.console import csrf
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import ALLOWED, Permission, Visitor, require
from inwit.console.site import console
from inwit.errors import Forbidden
from tests.console.conftest import Browser, MakeSite
from tests.console.doors import ROLES, browser_of, doors, hold_against_the_table

DOCS = Path(__file__).parents[2] / "docs" / "console.md"


async def test_each_route_declares_exactly_one_permission(make_site: MakeSite) -> None:
    site = await make_site(**_PROVIDER)
    found = list(doors(console(site.parts)))
    assert len(found) >= 10
    assert [door for door in found if len(door.declared) != 1] == []
    assert len({(door.method, door.path) for door in found}) == len(found)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_gets_what_it_may_and_nothing_else(
    make_site: MakeSite, role: Role | None
) -> None:
    routers = (_one_page_for_each,)
    await hold_against_the_table(await make_site(**_PROVIDER, routers=routers), routers, role)


async def test_an_admin_sees_no_case_and_nobody_may_do_everything() -> None:
    assert not ALLOWED[Role.ADMIN] & {
        Permission.SEE_CASE,
        Permission.CLAIM,
        Permission.RULE,
        Permission.READ_AUDIT,
        Permission.EXPORT,
    }
    assert not ALLOWED[Role.AUDITOR] & {Permission.CLAIM, Permission.RULE, Permission.ADJUDICATE}
    assert all(ALLOWED[role] != set(Permission) for role in ROLES)
    assert set().union(*ALLOWED.values()) == set(Permission)
    assert ALLOWED[None] == {Permission.SIGN_IN}
    assert {role for role in Role if Permission.MANAGE_REVIEWERS in ALLOWED[role]} == {Role.ADMIN}


def test_the_docs_have_the_same_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", DOCS.read_text(), re.MULTILINE)
    table = {name: [cell.strip() == "yes" for cell in cells.split("|")] for name, cells in rows}
    assert table == {each.value: [each in ALLOWED[role] for role in ROLES] for each in Permission}


async def test_what_changes_something_needs_the_sessions_token(make_site: MakeSite) -> None:
    site = await make_site(routers=(_one_page_for_each,))
    browser, token = await browser_of(site, Role.REVIEWER, "ada")
    other, others = await browser_of(site, Role.REVIEWER, "bob")

    assert (await browser.post("/for/rule", {"csrf_token": token})).status_code == 200
    assert (await browser.post("/for/rule", headers={"x-csrf-token": token})).status_code == 200
    for form, headers in (
        ({}, {}),
        ({"csrf_token": others}, {}),
        ({"csrf_token": ""}, {}),
        ({"csrf_token": token}, {"x-csrf-token": others}),
        ({"csrf_token": token}, {"sec-fetch-site": "same-site"}),
        ({"csrf_token": token}, {"origin": "http://127.0.0.1:8081"}),
        ({"csrf_token": token}, {"origin": "https://x@127.0.0.1:8080"}),
    ):
        assert (await browser.post("/for/rule", form, headers=headers)).status_code == 403, headers
    silent = Browser(browser.http, sent={})
    assert (await silent.post("/for/rule", {"csrf_token": token})).status_code == 403
    plain = Browser(browser.http, sent={"origin": "http://127.0.0.1:8080"})
    assert (await plain.post("/for/rule", {"csrf_token": token})).status_code == 200
    assert other.http is not browser.http

    whys = [act["facts"]["why"] for act in await site.acts("refused")]
    assert whys == ["stale-form"] * 4 + ["from-elsewhere"] * 4


async def test_with_a_public_address_no_other_origin_will_do(make_site: MakeSite) -> None:
    site = await make_site(console_url="https://inwit.example", routers=(_one_page_for_each,))
    browser, token = await browser_of(site, Role.REVIEWER, "ada")
    form = {"csrf_token": token}
    for origin, status in (
        ("https://inwit.example", 200),
        ("http://inwit.example", 403),
        ("https://inwit.example:444", 403),
        ("https://inwit.example.evil.example", 403),
    ):
        answer = await browser.post("/for/rule", form, headers={"origin": origin})
        assert answer.status_code == status, origin


@given(st.data())
def test_any_altered_token_is_refused(data: st.DataObject) -> None:
    secret = "s" * 43
    right = csrf.token_of(secret)
    place = data.draw(st.integers(0, 63))
    letter = data.draw(st.sampled_from("0123456789abcdefABCDEF\x00 "))
    altered = data.draw(
        st.sampled_from(
            [
                right[:place] + letter + right[place + 1 :],
                right[:place],
                right + letter,
                csrf.token_of(data.draw(st.text(max_size=50))),
                data.draw(st.text(max_size=70)),
            ]
        )
    )
    assert _passes(secret, altered) is (altered == right)
    assert _passes(secret, right)


async def test_a_refusal_for_htmx_is_a_fragment_and_signing_in_is_a_redirect(
    make_site: MakeSite,
) -> None:
    site = await make_site(routers=(_one_page_for_each,))
    browser, token = await browser_of(site, Role.ADMIN, "ada")
    refused = await browser.post("/for/rule", headers={"hx-request": "true", "x-csrf-token": token})
    assert refused.status_code == 403
    assert refused.text.startswith("<section")
    assert "<html" not in refused.text

    stranger = await site.browser()
    sent = await stranger.post("/for/rule", headers={"hx-request": "true"})
    assert (sent.status_code, sent.headers["hx-redirect"]) == (401, "/console/sign-in")
    feed = await stranger.get("/for/rule", accept="text/event-stream")
    assert (feed.status_code, feed.text) == (401, "")


async def test_a_case_of_another_tenant_is_as_one_that_is_not_there(make_site: MakeSite) -> None:
    site = await make_site(routers=(_cases,))
    await site.person("ada", tenants=frozenset({"acme"}))
    browser = await site.browser()
    await browser.sign_in("ada")

    own = await browser.get("/case/acme")
    foreign, unknown = await browser.get("/case/other"), await browser.get("/case/none")

    assert own.status_code == 200
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text == unknown.text
    acts = [act["facts"] for act in await site.acts("refused")]
    assert acts == [{"route": "/case/{tenant}", "why": "no-such-case"}] * 2


_PROVIDER: dict[str, Any] = {
    "console_url": "https://inwit.example",
    "oidc_issuer": "https://127.0.0.1:1",
    "oidc_client_id": "inwit",
    "oidc_roles": {"everybody": "reviewer"},
}


def _one_page_for_each(_: ConsoleParts) -> APIRouter:
    """What the pages of the queue will have: routes by GET and POST for each permission."""
    routes = APIRouter()
    for permission in Permission:
        if permission is Permission.SIGN_IN:
            continue

        @routes.api_route(f"/for/{permission.value}", methods=["GET", "POST"])
        async def page(_: Annotated[Visitor, Depends(require(permission))]) -> Response:
            return Response("let in")

    return routes


def _cases(_: ConsoleParts) -> APIRouter:
    from tests.console.cases import a_case

    routes = APIRouter()

    @routes.get("/case/{tenant}")
    async def case_page(
        tenant: str, visitor: Annotated[Visitor, Depends(require(Permission.SEE_CASE))]
    ) -> Response:
        found = visitor.seen(None if tenant == "none" else a_case(tenant))
        return Response(found.tenant)

    return routes


def _passes(secret: str, token: str) -> bool:
    """Whether the check lets a form through; stepped without an event loop, it waits for none."""
    headers = [(b"sec-fetch-site", b"same-origin"), (b"x-csrf-token", token.encode("utf-8"))]
    scope = {"type": "http", "method": "POST", "headers": headers}
    check = csrf.check(Request(scope), secret, None)
    try:
        check.send(None)
    except StopIteration:
        return True
    except Forbidden:
        return False
    raise AssertionError("it waited")
