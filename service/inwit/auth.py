"""API keys: made, revoked and checked. Only a hash is stored; keys carry 256 random bits.

Each change is an entry of the ledger, in the transaction that makes it.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from inwit.callbacks import CallbackRule, allowed_host
from inwit.errors import Forbidden, LedgerError, NotFound, Unauthorized
from inwit.ledger.administration import note_change, short_list
from inwit.ledger.database import Database
from inwit.ledger.tables import API_KEYS
from inwit.types import KeyRole, Principal

_CACHE_ENTRIES = 10_000
LOOK_UP_S = 5.0
"""How long the look-up of a key may take."""
_SEPARATOR = ","
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")  # as the policy files have it: never a separator in it


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What can be shown of a key after it was made. The first of `policies` is its default.

    `callback_hosts` are those that answers to its held responses may be sent to.
    """

    id: str
    name: str
    tenant: str
    policies: tuple[str, ...]
    roles: tuple[KeyRole, ...]
    created: datetime
    revoked: datetime | None
    callback_hosts: tuple[str, ...] = ()


class ApiKeys:
    """The keys in the ledger's database, behind a short cache."""

    def __init__(self, database: Database, cache_s: float) -> None:
        self._database = database
        self._cache_s = cache_s
        self._cache: dict[bytes, tuple[Principal, float]] = {}
        self._rules: dict[str, tuple[CallbackRule | None, float]] = {}

    async def create(
        self,
        *,
        name: str,
        tenant: str,
        policies: Sequence[str],
        roles: Iterable[KeyRole],
        callback_hosts: Sequence[str] = (),
    ) -> tuple[StoredKey, str]:
        """Make a key. The second value is the key itself, which is told this once only.

        With callback hosts it has a secret for them too, which `callback_rule` tells.

        Raises:
            ValueError: no policy is named, or one by a name that no policy can have; or what is
                no callback host.
        """
        named = tuple(dict.fromkeys(policies))
        if not named or not all(_NAME.fullmatch(each) for each in named):
            raise ValueError("a key needs policies, each by its name")
        hosts = _hosts(callback_hosts)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        stored = StoredKey(
            key_id, name, tenant, named, tuple(sorted(set(roles))), datetime.now(UTC), None, hosts
        )
        row = {
            "id": key_id,
            "secret_hash": _hash(secret),
            "name": name,
            "tenant": tenant,
            "policies": _SEPARATOR.join(named),
            "roles": ",".join(stored.roles),
            "created": stored.created,
            "callback_hosts": _SEPARATOR.join(hosts),
            "callback_secret": _new_callback_secret() if hosts else None,
        }
        told = {"policies": short_list(named), "callback_hosts": short_list(hosts)}

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.insert(API_KEYS), row)
            facts = {"key": key_id, "made": True, "roles": list(stored.roles), **told}
            note_change(connection, facts, tenant=tenant)

        await self._database.write(work)
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

        def work(connection: sa.Connection) -> None:
            row = connection.execute(_living(key_id)).first()
            if row is None:
                raise _no_such_key(key_id)
            connection.execute(change)
            note_change(connection, {"key": key_id, "revoked": True}, tenant=row.tenant)

        try:
            await self._database.write(work)
        finally:
            self._forget()

    async def set_callbacks(
        self, key_id: str, hosts: Sequence[str] | None, *, new_secret: bool = False
    ) -> str | None:
        """Change where answers for a key may be sent, unless None, and perhaps what signs them.

        Gives the secret where a new one was made. Gateways follow when their cache runs out.

        Raises:
            NotFound: no such key, or it is revoked.
            ValueError: what is no callback host.
        """
        change = {} if hosts is None else {"callback_hosts": _SEPARATOR.join(_hosts(hosts))}
        fresh = _new_callback_secret()

        def work(connection: sa.Connection) -> str | None:
            row = connection.execute(_living(key_id)).first()
            if row is None:
                raise _no_such_key(key_id)
            made = fresh if new_secret or (hosts and row.callback_secret is None) else None
            values = change | ({"callback_secret": made} if made else {})
            if values:
                same = API_KEYS.c.id == key_id
                connection.execute(sa.update(API_KEYS).where(same).values(**values))
                facts: dict[str, Any] = {"key": key_id, "fields": sorted(values)}
                if hosts is not None:
                    facts["callback_hosts"] = short_list(hosts)
                note_change(connection, facts, tenant=row.tenant)
            return made

        made = await self._database.write(work)
        self._forget()
        return made

    async def callback_rule(self, key_id: str) -> CallbackRule | None:
        """Where answers for this key may be sent; None where nowhere, or the key is revoked.

        Raises:
            LedgerError: it cannot be looked up for now.
        """
        cached = self._rules.get(key_id)
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        row = await self._first(_living(key_id))
        rule = None
        if row is not None and row.callback_hosts and row.callback_secret:
            rule = CallbackRule(tuple(row.callback_hosts.split(_SEPARATOR)), row.callback_secret)
        if len(self._rules) >= _CACHE_ENTRIES:
            self._rules.clear()
        self._rules[key_id] = (rule, time.monotonic() + self._cache_s)
        return rule

    async def identify(self, authorization: str | None) -> Principal:
        """Resolve an `Authorization` header, whatever roles the key has.

        Raises:
            Unauthorized: it is missing or malformed, or the key is unknown or revoked.
            LedgerError: the key cannot be looked up for now.
        """
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

    async def authenticate(self, authorization: str | None, role: KeyRole) -> Principal:
        """Resolve an `Authorization` header.

        Raises:
            Unauthorized: it is missing or malformed, or the key is unknown or revoked.
            Forbidden: the key does not have the role.
            LedgerError: the key cannot be looked up for now.
        """
        principal = await self.identify(authorization)
        if role not in principal.roles:
            raise Forbidden(f"This API key lacks the role {role.value!r}.")
        return principal

    async def _look_up(self, key_id: str, secret_hash: bytes) -> Principal:
        row = await self._first(sa.select(API_KEYS).where(API_KEYS.c.id == key_id))
        if row is None or not hmac.compare_digest(bytes(row.secret_hash), secret_hash):
            raise _unknown()
        if row.revoked is not None:
            raise _unknown()
        return Principal(row.id, row.tenant, _policies(row.policies), frozenset(_roles(row.roles)))

    async def _first(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await self._database.read(lambda db: db.execute(query).first())
        except TimeoutError as error:
            raise LedgerError("API keys cannot be looked up for now.", retry_after=5) from error

    def _forget(self) -> None:
        self._cache.clear()
        self._rules.clear()


def _hash(secret: str) -> bytes:
    # A fast hash is right here: the secret has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _new_callback_secret() -> str:
    """As Standard Webhooks has it: 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _living(key_id: str) -> sa.Select[Any]:
    return sa.select(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.revoked.is_(None))


def _no_such_key(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id} that is not revoked already.")


def _unknown() -> Unauthorized:
    return Unauthorized("This API key is unknown or revoked.")


def _hosts(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(allowed_host(each) for each in given))


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
        tuple(host for host in row.callback_hosts.split(_SEPARATOR) if host),
    )
