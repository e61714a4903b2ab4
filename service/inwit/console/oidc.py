"""Sign-in through an identity provider: OpenID Connect's code flow, with PKCE, state and nonce.

What is under way is kept in Redis for some minutes, under the SHA-256 of its `state`, and can be
used once, in the browser that began it. Provider's words are never shown or logged.
"""

import base64
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from urllib.parse import quote, urlencode

import httpx
from authlib.oauth2 import rfc7636
from redis.asyncio import Redis, RedisCluster

from inwit.cases import Role
from inwit.config import Settings
from inwit.console.account_rows import Identity
from inwit.console.cookies import VISIT_S
from inwit.console.oidc_provider import Provider, ProviderFailed, asked
from inwit.console.sessions import digest, reached
from inwit.errors import Forbidden

CALLBACK = "/console/sign-in/callback"

_KEY = "inwit:visit:"
_TIMEOUT_S = 5.0
_LONGEST_SUBJECT = 255


class NotVouchedFor(Forbidden):
    """The sign-in at the provider did not lead to a person whom Inwit may let in."""

    kind: ClassVar[str] = "not-vouched-for"
    title: ClassVar[str] = "Not signed in"


class NoRole(NotVouchedFor):
    """The provider knows the person, and none of its values gives them a role here."""

    kind: ClassVar[str] = "no-role"

    def __init__(self, issuer: str, subject: str) -> None:
        super().__init__(
            "You are known to the identity provider, but have no role in Inwit. Ask whoever runs "
            "it to add you to one of the groups named in INWIT_OIDC_ROLES."
        )
        self.issuer, self.subject = issuer, subject


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """How Inwit and its provider know each other. `secret` is None for a public client."""

    issuer: str
    client_id: str
    secret: str | None
    role_claim: str
    roles: Mapping[str, Role]
    redirect: str


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """What a sign-in that began must come back with. `visit` is the digest of a cookie."""

    nonce: str
    verifier: str
    visit: str
    next: str


def provider_settings(settings: Settings) -> ProviderSettings | None:
    """What is set, where a provider is."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    return ProviderSettings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        secret=secret.get_secret_value() if secret is not None else None,
        role_claim=settings.oidc_role_claim,
        roles=settings.oidc_roles,
        redirect=f"{settings.console_url}{CALLBACK}",
    )


@asynccontextmanager
async def provider_client() -> AsyncGenerator[httpx.AsyncClient]:
    """What speaks to the provider: bounded in time, and it follows no redirects."""
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        yield client


class SignInByProvider:
    """Sends people to the provider, and knows them when they come back."""

    def __init__(
        self, settings: ProviderSettings, http: httpx.AsyncClient, redis: Redis | RedisCluster
    ) -> None:
        self._settings = settings
        self._http = http
        self._redis = redis
        self._provider = Provider(settings.issuer, http)

    async def begin(self, visit: str, next_path: str) -> str:
        """The provider's address to send the browser to. `visit` is its cookie.

        Raises:
            ProviderFailed: the provider cannot be asked.
            SessionsUnavailable: Redis does not answer.
        """
        metadata = await self._provider.metadata()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        kept = {"nonce": nonce, "verifier": verifier, "visit": digest(visit), "next": next_path}
        await reached(self._redis.set(_KEY + digest(state), json.dumps(kept), ex=VISIT_S))
        wanted = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization else "?"
        return f"{metadata.authorization}{joint}{urlencode(wanted)}"

    async def finish(self, visit: str | None, given: Mapping[str, str]) -> tuple[Identity, str]:
        """Who came back with these parameters, and where they wanted to go.

        Raises:
            NotVouchedFor: it was not begun in this browser, or not long ago, or was refused.
            NoRole: nothing that the provider says of them gives a role.
            ProviderFailed: the provider cannot be asked, or what it says does not hold.
            SessionsUnavailable: Redis does not answer.
        """
        under_way = await self._taken(given.get("state", ""))
        if under_way is None or visit is None or under_way.visit != digest(visit):
            raise NotVouchedFor("This sign-in is over, or began in another browser. Begin anew.")
        if given.get("iss", self._settings.issuer) != self._settings.issuer:
            raise ProviderFailed("the answer came from another provider")
        if "code" not in given:
            raise NotVouchedFor("The identity provider did not let you in. Begin anew, or ask it.")
        tokens = await self._exchange(given["code"], under_way.verifier)
        claims = await self._provider.claims(
            str(tokens.get("id_token", "")),
            audience=self._settings.client_id,
            nonce=under_way.nonce,
            access_token=tokens.get("access_token"),
        )
        claims = await self._with_role_claim(claims, tokens.get("access_token"))
        return self._identity(claims), under_way.next

    async def _taken(self, state: str) -> _UnderWay | None:
        stored = await reached(self._redis.getdel(_KEY + digest(state)))
        return _UnderWay(**json.loads(stored)) if stored else None

    async def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        metadata = await self._provider.metadata()
        if self._settings.secret is None:
            form["client_id"] = self._settings.client_id
        elif metadata.secret_in_form:
            form |= {"client_id": self._settings.client_id, "client_secret": self._settings.secret}
        else:
            headers["authorization"] = _basic(self._settings.client_id, self._settings.secret)
        request = self._http.build_request("POST", metadata.token, data=form, headers=headers)
        return await asked(self._http, request)

    async def _with_role_claim(
        self, claims: Mapping[str, Any], access_token: Any
    ) -> Mapping[str, Any]:
        """Some providers keep groups out of the ID token; then their own answer has them."""
        metadata = await self._provider.metadata()
        if _at(claims, self._settings.role_claim) is not None or metadata.userinfo is None:
            return claims
        headers = {"authorization": f"Bearer {access_token}"}
        more = await asked(
            self._http, self._http.build_request("GET", metadata.userinfo, headers=headers)
        )
        if more.get("sub") != claims["sub"]:
            raise ProviderFailed("it told of another person")
        return {**more, **claims}

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        issuer, subject = self._settings.issuer, claims["sub"]
        if not isinstance(subject, str) or not subject.isascii() or not subject.isprintable():
            raise ProviderFailed("its subject is not one")
        if not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise ProviderFailed("its subject is not one")
        role = self._role(_at(claims, self._settings.role_claim))
        if role is None:
            raise NoRole(issuer, subject)
        named = (claims.get(claim) for claim in ("preferred_username", "email", "name"))
        name = next((each for each in named if isinstance(each, str) and each), subject)
        return Identity(issuer, subject, name, role)

    def _role(self, said: Any) -> Role | None:
        values = cast(list[Any], said) if isinstance(said, list) else [said]
        return next((role for value, role in self._settings.roles.items() if value in values), None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a path of names with dots between them."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = cast(dict[str, Any], found).get(name) if isinstance(found, dict) else None
    return found


def _challenge(verifier: str) -> str:
    return rfc7636.create_s256_code_challenge(verifier)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # Authlib has no types


def _basic(client_id: str, secret: str) -> str:
    # RFC 6749 section 2.3.1: both are encoded as in a form before they are joined.
    joined = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(joined.encode()).decode()}"
