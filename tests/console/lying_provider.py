"""An identity provider that says what a test wants it to say, and sign-ins through it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey
from redis.asyncio import Redis

from inwit.cases import Role
from inwit.console.oidc import CALLBACK, ProviderSettings, SignInByProvider

ISSUER = "https://idp.example/realm"
VISIT = "v" * 43
KEY = RSAKey.generate_key(2048, {"kid": "1"})
OTHER = RSAKey.generate_key(2048, {"kid": "1"})
SETTINGS = ProviderSettings(
    issuer=ISSUER,
    client_id="inwit",
    secret="a secret: %",
    role_claim="groups",
    roles={"leads": Role.SENIOR, "people": Role.REVIEWER},
    redirect=f"https://inwit.example{CALLBACK}",
)


@dataclass
class Liar:
    """A provider that says what a test wants it to say."""

    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    sign: Callable[[dict[str, Any]], str] | None = None
    userinfo: dict[str, Any] = field(default_factory=dict[str, Any])
    keys: list[RSAKey] = field(default_factory=lambda: [KEY])
    status: Mapping[str, int] = field(default_factory=dict[str, int])
    nonce: str = ""
    asked: list[httpx.Request] = field(default_factory=list[httpx.Request])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/realm")
        said: Any = {
            "/.well-known/openid-configuration": self._metadata,
            "/token": self._token,
            "/keys": lambda: {"keys": [key.as_dict(private=False) for key in self.keys]},
            "/userinfo": lambda: self.userinfo,
        }[path]()
        return httpx.Response(self.status.get(path, 200), json=said)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def _token(self) -> dict[str, Any]:
        now = int(datetime.now(UTC).timestamp())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "person-1",
            "aud": "inwit",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "groups": ["people"],
            "preferred_username": "ada",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        id_token = (self.sign or by_the_provider)(claims)
        return {"access_token": "at", "token_type": "Bearer", "id_token": id_token}


@dataclass
class Flow:
    """Begins and finishes sign-ins."""

    liar: Liar
    http: httpx.AsyncClient
    redis: Redis
    settings: ProviderSettings = SETTINGS

    def __post_init__(self) -> None:
        self.door = SignInByProvider(self.settings, self.http, self.redis)

    async def begin(self, visit: str = VISIT) -> dict[str, str]:
        address = await self.door.begin(visit, "/console/account")
        sent = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
        self.liar.nonce = sent["nonce"]
        return sent

    async def run(self) -> tuple[Any, str]:
        sent = await self.begin()
        return await self.door.finish(VISIT, {"state": sent["state"], "code": "c"})


def by_nobody(claims: dict[str, Any]) -> str:
    """Without a signature."""
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def _by_secret(claims: dict[str, Any], secret: bytes) -> str:
    signed = f"{_part({'alg': 'HS256', 'kid': '1'})}.{_part(claims)}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def by_the_public_key_as_secret(claims: dict[str, Any]) -> str:
    """What a verifier takes that lets the token choose how it is verified."""
    return _by_secret(claims, KEY.as_pem(private=False))


def by_the_client_secret(claims: dict[str, Any]) -> str:
    """What a client of HS256 would take; anybody with the secret can say anything then."""
    return _by_secret(claims, str(SETTINGS.secret).encode())


def by_a_key_of_its_own(claims: dict[str, Any]) -> str:
    """By another key, which the token brings along."""
    header = {"alg": "RS256", "kid": "1", "jwk": OTHER.as_dict(private=False)}
    registry = jws.JWSRegistry(strict_check_header=False)
    return jwt.encode(header, claims, OTHER, registry=registry)


def by_another_algorithm(claims: dict[str, Any]) -> str:
    """By a key that the provider does not have."""
    return jwt.encode({"alg": "ES256"}, claims, ECKey.generate_key("P-256"))


def altered(claims: dict[str, Any]) -> str:
    """Signed, and altered then."""
    token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, KEY)
    head, _, signature = token.split(".")
    return f"{head}.{_part({**claims, 'groups': ['leads']})}.{signature}"


def by_the_provider(claims: dict[str, Any]) -> str:
    """As it should be."""
    return jwt.encode({"alg": "RS256", "kid": "1"}, claims, KEY)


def no_token(_: dict[str, Any]) -> str:
    """Nothing."""
    return ""


def nonsense(_: dict[str, Any]) -> str:
    """What looks like a token."""
    return "not.a.token"


SIGNERS = (
    by_nobody,
    by_the_public_key_as_secret,
    by_the_client_secret,
    by_a_key_of_its_own,
    by_another_algorithm,
    altered,
    no_token,
    nonsense,
)
