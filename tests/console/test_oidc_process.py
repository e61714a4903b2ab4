"""Sign-in through a real identity provider, and how one is set."""

import re
import subprocess
import sys
import threading
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from inwit.cases import Role
from inwit.config import load_settings
from inwit.console.account_rows import OPERATOR
from inwit.console.oidc import provider_settings
from inwit.errors import SetupError
from tests.console.conftest import LOCAL, Browser, MakeSite, Site, main_of
from tests.console.lying_provider import ISSUER
from tests.process.processes import free_port


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"console_url": None}, "console_url"),
        ({"oidc_roles": {}}, "oidc_roles"),
        ({"oidc_client_id": None}, "oidc_client_id"),
        ({"oidc_issuer": "http://idp.example"}, "oidc_issuer"),
        ({"console_url": "http://inwit.example"}, "console_url"),
        ({"console_url": "https://inwit.example/console"}, "console_url"),
        ({"console_url": "https://a:b@inwit.example"}, "console_url"),
        ({"oidc_roles": {"x": "king"}}, "INWIT_OIDC_ROLES"),
    ],
)
def test_a_provider_set_by_halves_stops_the_start(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SetupError, match=named):
        load_settings(**{**_SET, **changes})


def test_a_provider_set_in_whole_is_taken() -> None:
    wanted = provider_settings(load_settings(**_SET))
    assert wanted is not None
    assert wanted.redirect == "https://inwit.example/console/sign-in/callback"
    assert wanted.roles == {"people": Role.REVIEWER}
    assert provider_settings(load_settings()) is None


_SET: dict[str, Any] = {
    "console_url": "https://inwit.example",
    "oidc_issuer": ISSUER,
    "oidc_client_id": "inwit",
    "oidc_roles": {"people": "reviewer"},
}


@pytest.fixture(scope="module")
def provider() -> Generator[str]:
    """A real provider in a process of its own."""
    port = free_port()
    options = ["--port", str(port), "--require-nonce", "true"]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("running on" in line for line in process.stdout)
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()  # so that the pipe is never full
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(timeout=20)
        reader.join()


@pytest.mark.process
async def test_a_real_provider_lets_people_in_and_takes_roles_away(
    provider: str, make_site: MakeSite
) -> None:
    site = await make_site(
        console_url=LOCAL,
        oidc_issuer=provider,
        oidc_client_id="inwit",
        oidc_client_secret="s",
        oidc_roles={"leads": "senior", "people": "reviewer"},
    )
    async with httpx.AsyncClient(base_url=provider) as idp:
        browser = await site.browser()
        assert "Sign in with your organisation" in (await browser.get("/sign-in")).text

        answer = await _through(browser, idp, "ada", ["people"])
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/account")
        assert "<dd>reviewer</dd>" in (await browser.get("/account")).text

        again = await _through(await site.browser(), idp, "ada", ["leads"])
        assert again.status_code == 303
        assert (await browser.get("/account")).status_code == 303  # of the role before
        (account,) = await site.parts.accounts.list()
        assert (account.role, account.issuer) == (Role.SENIOR, provider)

        refused = await _through(await site.browser(), idp, "ada", ["strangers"])
        assert refused.status_code == 403
        assert "no role in Inwit" in main_of(refused)
        assert len(await site.parts.accounts.list()) == 1

        await site.parts.accounts.set_disabled(account.id, True, OPERATOR)
        shut_out = await _through(await site.browser(), idp, "ada", ["people"])
        assert "disabled" in main_of(shut_out)
        assert "inwit" not in shut_out.cookies
    await _assert_recorded(site, account.id)


async def _assert_recorded(site: Site, account_id: str) -> None:
    kinds = [(act["type"], act["actor"], act["facts"].get("why")) for act in await site.acts()]
    assert kinds == [
        ("changed", None, None),  # made
        ("signed_in", account_id, None),
        ("changed", None, None),  # the role
        ("signed_in", account_id, None),
        ("changed", None, None),  # no role any more: the sessions
        ("refused", account_id, "no-role"),
        ("changed", None, None),  # disabled
        ("changed", None, None),  # the role
        ("refused", account_id, "disabled"),
    ]


async def _through(
    browser: Browser, idp: httpx.AsyncClient, subject: str, groups: list[str]
) -> httpx.Response:
    """What a person and their browser do: out to the provider, a click there, and back."""
    claims = {"groups": groups, "preferred_username": "ada"}
    assert (await idp.put(f"/users/{subject}", json=claims)).status_code == 204
    out = await browser.get("/sign-in/provider?next=/console/account")
    assert out.status_code == 303
    assert str(out.headers["location"]).startswith(str(idp.base_url))
    page = await idp.get(out.headers["location"])
    assert re.search(r"<form", page.text)
    click = await idp.post(out.headers["location"], data={"sub": subject})
    return await browser.http.get(click.headers["location"])
