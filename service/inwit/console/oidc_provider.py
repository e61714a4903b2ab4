"""What an identity provider says of itself and of people, each part checked."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import httpx
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from inwit.errors import InwitError
from inwit.origins import is_loopback

# Signatures by a key pair only: `none` proves nothing, and a shared secret is not told apart.
ALGORITHMS = frozenset(
    {f"{family}{size}" for family in ("RS", "PS", "ES") for size in (256, 384, 512)}
    | {"EdDSA", "Ed25519"}
)

_LONGEST_ANSWER = 2**20
_KEPT_S = 3600.0
_KEYS_AGAIN_S = 30.0  # between looks for a key that is not known
_LEEWAY_S = 60
_OK = 200


class ProviderFailed(InwitError):
    """The identity provider cannot be asked, or what it says does not hold. `why` is logged."""

    status: ClassVar[int] = 502
    kind: ClassVar[str] = "provider-failed"
    title: ClassVar[str] = "The identity provider failed"

    def __init__(self, why: str) -> None:
        super().__init__(
            "Nobody can sign in through the identity provider for now. Try again in a minute; "
            "if that does not help, whoever runs Inwit finds the reason in its log."
        )
        self.why = why


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider answers, and how it signs."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    algorithms: tuple[str, ...]
    secret_in_form: bool


class Provider:
    """One provider, known by its issuer. What it says of itself is kept for an hour."""

    def __init__(self, issuer: str, http: httpx.AsyncClient) -> None:
        self._issuer = issuer
        self._http = http
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._alone = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """What it says of itself.

        Raises:
            ProviderFailed: it cannot be asked, or says it of another issuer.
        """
        async with self._alone:
            if self._metadata is None or self._metadata[1] < time.monotonic():
                address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                said = await asked(self._http, self._http.build_request("GET", address))
                self._metadata = _read(said, self._issuer), time.monotonic() + _KEPT_S
            return self._metadata[0]

    async def claims(
        self, id_token: str, *, audience: str, nonce: str, access_token: Any
    ) -> Mapping[str, Any]:
        """The claims of an ID token that this provider signed, for us, for this sign-in, lately.

        Raises:
            ProviderFailed: the token does not hold, or its key cannot be had.
        """
        metadata = await self.metadata()
        try:
            token = await self._decoded(id_token, metadata)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderFailed(f"ID token: {type(error).__name__}") from error
        options: Any = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": audience},
        }
        parameters = {"client_id": audience, "nonce": nonce, "access_token": access_token}
        checked: Any = CodeIDToken(token.claims, token.header, options, parameters)
        try:
            checked.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderFailed(f"ID token: {type(error).__name__}") from error
        return dict(token.claims)

    async def _decoded(self, id_token: str, metadata: Metadata) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(metadata.algorithms), strict_check_header=False)
        try:
            return jwt.decode(id_token, await self._key_set(metadata), registry=registry)
        except InvalidKeyIdError:  # its keys changed
            keys = await self._key_set(metadata, anew=True)
            return jwt.decode(id_token, keys, registry=registry)

    async def _key_set(self, metadata: Metadata, *, anew: bool = False) -> KeySet:
        async with self._alone:
            now = time.monotonic()
            age = now - self._keys[1] if self._keys else _KEPT_S
            if self._keys is None or age >= (_KEYS_AGAIN_S if anew else _KEPT_S):
                said = await asked(self._http, self._http.build_request("GET", metadata.keys))
                self._keys = KeySet.import_key_set(cast(Any, said)), now
            return self._keys[0]


async def asked(http: httpx.AsyncClient, request: httpx.Request) -> Mapping[str, Any]:
    """The JSON object that a provider answers.

    Raises:
        ProviderFailed: it does not, or with another status than 200, or at too great length.
    """
    try:
        answer = await http.send(request, stream=True)
        try:
            raw = bytearray()
            async for chunk in answer.aiter_bytes():
                raw += chunk
                if len(raw) > _LONGEST_ANSWER:
                    raise ProviderFailed("its answer is too long")
        finally:
            await answer.aclose()
    except httpx.HTTPError as error:
        raise ProviderFailed(type(error).__name__) from error
    if answer.status_code != _OK:
        raise ProviderFailed(f"status {answer.status_code}")
    try:
        said = json.loads(raw)
    except ValueError as error:
        raise ProviderFailed("its answer is not JSON") from error
    if not isinstance(said, dict):
        raise ProviderFailed("its answer is not a JSON object")
    return cast(dict[str, Any], said)


def _read(said: Mapping[str, Any], issuer: str) -> Metadata:
    if said.get("issuer") != issuer:
        raise ProviderFailed("INWIT_OIDC_ISSUER is not how it writes its own address")
    signs = said.get("id_token_signing_alg_values_supported") or ["RS256"]
    algorithms = tuple(each for each in signs if each in ALGORITHMS)
    if not algorithms:
        raise ProviderFailed("it signs by no algorithm that is taken")
    ways = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    userinfo = said.get("userinfo_endpoint")
    return Metadata(
        authorization=_address(said, "authorization_endpoint", issuer),
        token=_address(said, "token_endpoint", issuer),
        keys=_address(said, "jwks_uri", issuer),
        userinfo=_address(said, "userinfo_endpoint", issuer) if userinfo else None,
        algorithms=algorithms,
        secret_in_form="client_secret_basic" not in ways and "client_secret_post" in ways,
    )


def _address(said: Mapping[str, Any], name: str, issuer: str) -> str:
    """An address over https; over http only on this machine, where the issuer is too."""
    address = said.get(name)
    if isinstance(address, str):
        try:
            parts, own = urlsplit(address), urlsplit(issuer)
        except ValueError as error:
            raise ProviderFailed(f"its {name} is not an address") from error
        local = own.scheme == "http" and is_loopback(parts.hostname)
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and local)):
            return address
    raise ProviderFailed(f"its {name} is not a safe address")
