"""Sign-in through an identity provider, and through one that lies in every way."""

import base64
import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from redis.asyncio import Redis

from inwit.cases import Role
from inwit.console.oidc import NoRole, NotVouchedFor, SignInByProvider
from inwit.console.oidc_provider import ProviderFailed
from tests.console.conftest import keys
from tests.console.lying_provider import ISSUER, KEY, SETTINGS, SIGNERS, VISIT, Flow, Liar


@pytest.fixture
async def flow(redis: Redis) -> AsyncGenerator[Flow]:
    liar = Liar()
    async with httpx.AsyncClient(transport=httpx.MockTransport(liar)) as http:
        yield Flow(liar, http, redis)


async def test_who_is_vouched_for_comes_in_with_a_role(flow: Flow) -> None:
    identity, next_path = await flow.run()
    assert next_path == "/console/account"
    assert (identity.issuer, identity.subject) == (ISSUER, "person-1")
    assert (identity.name, identity.role) == ("ada", Role.REVIEWER)


async def test_what_is_sent_there_binds_the_answer(flow: Flow, redis: Redis) -> None:
    sent = await flow.begin()
    assert sent["response_type"] == "code"
    assert sent["redirect_uri"] == SETTINGS.redirect
    assert sent["code_challenge_method"] == "S256"
    assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3
    assert sent["state"] not in str(await keys(redis))

    await flow.door.finish(VISIT, {"state": sent["state"], "code": "c"})
    (exchange,) = [each for each in flow.liar.asked if each.url.path.endswith("/token")]
    form = parse_qs(exchange.content.decode())
    digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == sent["code_challenge"]
    basic = exchange.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"inwit:a%20secret%3A%20%25"
    assert await keys(redis) == []


async def test_an_answer_is_taken_once_in_the_browser_that_began(flow: Flow) -> None:
    sent = await flow.begin()
    good = {"state": sent["state"], "code": "c"}
    for visit, given in (
        (VISIT, {"state": "another", "code": "c"}),
        (VISIT, {"code": "c"}),
        (VISIT, {**good, "state": sent["state"] + "x"}),
    ):
        with pytest.raises(NotVouchedFor):
            await flow.door.finish(visit, given)
    await flow.door.finish(VISIT, good)
    with pytest.raises(NotVouchedFor):
        await flow.door.finish(VISIT, good)

    for visit in ("w" * 43, None):  # somebody else's browser
        sent = await flow.begin()
        with pytest.raises(NotVouchedFor):
            await flow.door.finish(visit, {"state": sent["state"], "code": "c"})


async def test_a_refusal_of_the_provider_is_told_in_our_words(flow: Flow) -> None:
    sent = await flow.begin()
    given = {"state": sent["state"], "error": "access_denied", "error_description": "<b>theirs"}
    with pytest.raises(NotVouchedFor) as refused:
        await flow.door.finish(VISIT, given)
    assert "theirs" not in refused.value.detail


_NOW = int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": ...},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["another", "inwit"], "azp": "another"},
        {"aud": "another", "azp": "inwit"},
        {"aud": ...},
        {"nonce": "another"},
        {"nonce": ...},
        {"nonce": ""},
        {"exp": _NOW - 3_600},
        {"exp": ...},
        {"exp": "soon"},
        {"iat": _NOW + 3_600},
        {"nbf": _NOW + 3_600},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "p\u00e9rson"},
        {"sub": "a\x00b"},
        {"at_hash": "not-this"},
    ],
)
async def test_a_token_that_does_not_hold_lets_nobody_in(flow: Flow, claims: Any) -> None:
    flow.liar.claims = claims
    with pytest.raises(ProviderFailed):
        await flow.run()


@pytest.mark.parametrize("sign", SIGNERS)
async def test_a_signature_that_is_not_the_providers_lets_nobody_in(
    flow: Flow, sign: Callable[[dict[str, Any]], str]
) -> None:
    flow.liar.sign = sign
    with pytest.raises(ProviderFailed):
        await flow.run()


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://idp.example/realm/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://"},
        {"jwks_uri": None},
        {"jwks_uri": ["x"]},
        {"userinfo_endpoint": "file:///etc/passwd"},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
    ],
)
async def test_a_provider_that_is_not_as_it_should_be_is_not_used(
    flow: Flow, metadata: Any
) -> None:
    flow.liar.metadata = metadata
    with pytest.raises(ProviderFailed):
        await flow.begin()  # nobody is even sent there


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize("status", [302, 400, 500])
async def test_a_provider_that_fails_is_said(flow: Flow, path: str, status: int) -> None:
    flow.liar.status = {path: status}
    with pytest.raises(ProviderFailed) as failed:
        await flow.run()
    assert failed.value.why == f"status {status}"
    assert "idp.example" not in failed.value.detail


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"nonsense", b'"' + b"x" * 2**20 + b'"', b"\xff"], ids=len
)
async def test_an_answer_that_cannot_be_used_is_said(redis: Redis, content: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(ProviderFailed):
            await SignInByProvider(SETTINGS, http, redis).begin(VISIT, "/console/")


async def test_new_keys_are_fetched_once_and_not_for_every_liar(flow: Flow) -> None:
    await flow.run()
    newer = RSAKey.generate_key(2048, {"kid": "2"})
    flow.liar.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "2"}, claims, newer)
    for _ in range(3):
        with pytest.raises(ProviderFailed):
            await flow.run()
    looks = [each for each in flow.liar.asked if each.url.path.endswith("/keys")]
    assert len(looks) == 1  # looked a moment ago

    flow.door = SignInByProvider(SETTINGS, flow.http, flow.redis)
    flow.liar.keys = [KEY, newer]
    identity, _ = await flow.run()
    assert identity.subject == "person-1"


async def test_an_answer_of_another_provider_is_not_taken(flow: Flow) -> None:
    sent = await flow.begin()
    given = {"state": sent["state"], "code": "c", "iss": "https://evil.example"}
    with pytest.raises(ProviderFailed):
        await flow.door.finish(VISIT, given)


@pytest.mark.parametrize(
    ("claim", "said", "role"),
    [
        ("groups", ["x", "people", "leads"], Role.SENIOR),  # in the order of the setting
        ("groups", "people", Role.REVIEWER),
        ("groups", [], None),
        ("groups", "peopleandmore", None),
        ("groups", {"people": True}, None),
        ("groups", [["people"]], None),
        ("groups", None, None),
    ],
)
async def test_a_role_comes_of_a_claim(
    flow: Flow, claim: str, said: Any, role: Role | None
) -> None:
    flow.liar.claims = {claim: said}
    flow.liar.userinfo = {"sub": "person-1"}
    if role is None:
        with pytest.raises(NoRole):
            await flow.run()
    else:
        identity, _ = await flow.run()
        assert identity.role is role


async def test_a_claim_can_lie_deeper_or_in_userinfo(flow: Flow) -> None:
    flow.settings = replace(SETTINGS, role_claim="realm_access.roles", secret=None)
    flow.__post_init__()
    flow.liar.claims = {"realm_access": {"roles": ["leads"]}}
    assert (await flow.run())[0].role is Role.SENIOR

    flow.liar.claims, flow.liar.userinfo = (
        {},
        {
            "sub": "person-1",
            "realm_access": {"roles": ["people"]},
            "preferred_username": "eve",
        },
    )
    identity, _ = await flow.run()
    assert (identity.role, identity.name) == (Role.REVIEWER, "ada")
    assert flow.liar.asked[-1].headers["authorization"] == "Bearer at"

    flow.liar.userinfo["sub"] = "person-2"
    with pytest.raises(ProviderFailed):
        await flow.run()
