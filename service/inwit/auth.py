"""API keys: made, revoked and checked. Only a hash is stored; keys carry 256 random bits."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from inwit.errors import Forbidden, LedgerError, NotFound, Unauthorized
from inwit.ledger.database import Database
from inwit.ledger.tables import API_KEYS
from inwit.types import KeyRole, Principal

_CACHE_ENTRIES = 10_000
_LOOK_UP_S = 3.0
_SEPARATOR = ","
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")  # as the policy files have it: never a separator in it


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What can be shown of a key after it was made. The first of `policies` is its default."""

    id: str
    name: str
    tenant: str
    policies: tuple[str, ...]
    roles: tuple[KeyRole, ...]
    created: datetime
    revoked: datetime | None


class ApiKeys:
    """The keys in the ledger's database, behind a short cache."""

    def __init__(self, database: Database, cache_s: float) -> None:
        self._database = database
        self._cache_s = cache_s
        self._cache: dict[bytes, tuple[Principal, float]] = {}

    async def create(
        self, *, name: str, tenant: str, policies: Sequence[str], roles: Iterable[KeyRole]
    ) -> tuple[StoredKey, str]:
        """Make a key. The second value is the key itself, which is told this once only.

        Raises:
            ValueError: no policy is named, or one by a name that no policy can have.
        """
        named = tuple(dict.fromkeys(policies))
        if not named or not all(_NAME.fullmatch(each) for each in named):
            raise ValueError("a key needs policies, each by its name")
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        stored = StoredKey(
            key_id, name, tenant, named, tuple(sorted(set(roles))), datetime.now(UTC), None
        )
        row = {
            "id": key_id,
            "secret_hash": _hash(secret),
            "name": name,
            "tenant": tenant,
            "policies": _SEPARATOR.join(named),
            "roles": ",".join(stored.roles),
            "created": stored.created,
        }
        await self._database.write(lambda connection: connection.execute(sa.insert(API_KEYS), row))
        return stored, f"inwit_{key_id}_{secret}"

    async def list(self) -> list[StoredKey]:
        """Every key ever made, oldest first."""
        query = sa.select(API_KEYS).order_by(API_KEYS.c.created)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_stored(row) for row in rows]

    async def revoke(self, key_id: str) -> None:
        """Stop a key. Gateways that know it from before follow when their cache runs out.

        Raises:
            NotFound: no such key, or it is revoked already.
        """
        change = (
            sa.update(API_KEYS)
            .where(API_KEYS.c.id == key_id, API_KEYS.c.revoked.is_(None))
            .values(revoked=datetime.now(UTC))
        )
        changed = await self._database.write(lambda connection: connection.execute(change).rowcount)
        self._cache.clear()
        if changed == 0:
            raise NotFound(f"There is no key {key_id} that is not revoked already.")

    async def authenticate(self, authorization: str | None, role: KeyRole) -> Principal:
        """Resolve an `Authorization` header.

        Raises:
            Unauthorized: it is missing or malformed, or the key is unknown or revoked.
            Forbidden: the key does not have the role.
            LedgerError: the key cannot be looked up for now.
        """
        principal = await self._resolve(authorization)
        if role not in principal.roles:
            raise Forbidden(f"This API key lacks the role {role.value!r}.")
        return principal

    async def _resolve(self, authorization: str | None) -> Principal:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("Send an API key as `Authorization: Bearer inwit_…`.")
        parts = token.strip().split("_", 2)
        if len(parts) != 3 or parts[0] != "inwit":
            raise _unknown()
        digest = _hash(token)
        cached = self._cache.get(digest)
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        principal = await self._look_up(parts[1], _hash(parts[2]))
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        self._cache[digest] = (principal, time.monotonic() + self._cache_s)
        return principal

    async def _look_up(self, key_id: str, secret_hash: bytes) -> Principal:
        query = sa.select(API_KEYS).where(API_KEYS.c.id == key_id)
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                row = await self._database.read(lambda db: db.execute(query).first())
        except TimeoutError as error:
            raise LedgerError("API keys cannot be looked up for now.", retry_after=5) from error
        if row is None or not hmac.compare_digest(bytes(row.secret_hash), secret_hash):
            raise _unknown()
        if row.revoked is not None:
            raise _unknown()
        return Principal(row.id, row.tenant, _policies(row.policies), frozenset(_roles(row.roles)))


def _hash(secret: str) -> bytes:
    # A fast hash is right here: the secret has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _unknown() -> Unauthorized:
    return Unauthorized("This API key is unknown or revoked.")


def _policies(joined: str) -> tuple[str, ...]:
    # Never empty: out of a row that someone emptied comes a policy that no gateway has (403).
    return tuple(joined.split(_SEPARATOR))


def _roles(joined: str) -> tuple[KeyRole, ...]:
    return tuple(KeyRole(role) for role in joined.split(",") if role)


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredKey:
    return StoredKey(
        row.id,
        row.name,
        row.tenant,
        _policies(row.policies),
        _roles(row.roles),
        row.created,
        row.revoked,
    )
