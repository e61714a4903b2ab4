"""Sign-in by name and password: counted before it is tried, and recorded whatever becomes of it."""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from redis.asyncio import Redis, RedisCluster

from inwit.cases import ActKind
from inwit.console.account_rows import Account, act, need, plain_name
from inwit.console.passwords import Passwords
from inwit.console.sessions import reached
from inwit.errors import InvalidField, InwitError, RateLimited
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import REVIEWERS
from inwit.ledger.transaction import Transaction

FREE_FAILURES = 5  # in a row; the last of them locks
FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(hours=1)
PER_ADDRESS = 20  # failures in a window
WINDOW_S = 300

_COLUMNS = REVIEWERS.c
_KEY = "inwit:sign_in:"
# In one step, so that no counter is ever left without its end.
_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return n
"""
_UNCOUNT = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end"


class NotSignedIn(InwitError):
    """The name or the password is wrong, or the account is locked or disabled: not said which."""

    status: ClassVar[int] = 403
    kind: ClassVar[str] = "not-signed-in"
    title: ClassVar[str] = "Not signed in"

    def __init__(self) -> None:
        super().__init__(
            "That did not work. Check the name and the password. After several wrong passwords "
            "an account is locked for a while, up to an hour."
        )


@dataclass(frozen=True, slots=True)
class _Try:
    """What stands against an attempt. `hash` is None where no password can be right."""

    account: Account | None
    hash: str | None


class Attempts:
    """Tries passwords. Unknown, locked and disabled people all get one answer, in the same time."""

    def __init__(
        self, ledger: LedgerStore, redis: Redis | RedisCluster, passwords: Passwords
    ) -> None:
        self._ledger = ledger
        self._redis = redis
        self._passwords = passwords

    async def sign_in(self, name: str, password: str, address: str) -> Account:
        """The account whose name and password these are; the caller opens the session.

        Raises:
            NotSignedIn: they are not, or the account is locked or disabled.
            RateLimited: too many failures came from this address.
            SessionsUnavailable, LedgerError, Overloaded: it cannot be tried for now.
        """
        counter, name = await self._count(address), _as_stored(name)
        # The failure is counted first, so that many attempts at once count as many.
        attempt = await self._ledger.write(lambda transaction: _begin(transaction, name))
        right = await self._passwords.matches(attempt.hash, password)
        if attempt.account is None or attempt.hash is None or not right:
            known = attempt.account.id if attempt.account else None
            await self._ledger.write(lambda transaction: _refused(transaction, known))
            raise NotSignedIn
        account_id, tried, anew = attempt.account.id, attempt.hash, None
        if self._passwords.stale(tried):
            anew = await self._passwords.hash(password)
        account = await self._ledger.write(lambda each: _end(each, account_id, tried, anew))
        await reached(self._redis.eval(_UNCOUNT, 1, counter))
        return account

    async def _count(self, address: str) -> str:
        key = _KEY + hashlib.sha256(_network(address).encode()).hexdigest()
        asked = self._redis.eval(_COUNT, 1, key, str(WINDOW_S))
        if await reached(asked) > PER_ADDRESS:
            detail = "Too many attempts came from this address. Try again in some minutes."
            raise RateLimited(detail, retry_after=WINDOW_S, headers={})
        return key


def locked_for(failures: int) -> timedelta | None:
    """How long an account is locked after so many failures in a row."""
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 16)
    return min(FIRST_LOCK * 2**doublings, LONGEST_LOCK)


def _begin(transaction: Transaction, name: str) -> _Try:
    """Count the attempt as a failure; while the account is locked it is not even that."""
    query = sa.select(REVIEWERS).where(_COLUMNS.name == name)
    row = transaction.connection.execute(query).first()
    if row is None:
        return _Try(None, None)
    account = need(transaction, row.id)
    if account.locked_until is not None and transaction.now < account.locked_until:
        return _Try(account, None)
    failures = row.failures + 1
    lock = locked_for(failures)
    values: dict[str, Any] = {"failures": failures}
    values["locked_until"] = transaction.now + lock if lock else None
    _write(transaction, account.id, values)
    return _Try(account, None if account.disabled else row.password_hash)


def _refused(transaction: Transaction, account_id: str | None) -> None:
    facts = {"route": "/sign-in", "why": "password"}
    act(transaction, ActKind.REFUSED, account_id, facts)


def _end(transaction: Transaction, account_id: str, tried: str, anew: str | None) -> Account:
    query = sa.select(_COLUMNS.password_hash, _COLUMNS.disabled).where(_COLUMNS.id == account_id)
    row = transaction.connection.execute(query).one()
    if row.disabled or row.password_hash != tried:  # changed while the password was tried
        raise NotSignedIn
    values: dict[str, Any] = {"failures": 0, "locked_until": None}
    if anew is not None:
        values["password_hash"] = anew
    _write(transaction, account_id, values)
    act(transaction, ActKind.SIGNED_IN, account_id, {"through": "password"})
    return need(transaction, account_id)


def _write(transaction: Transaction, account_id: str, values: Mapping[str, Any]) -> None:
    change = sa.update(REVIEWERS).where(_COLUMNS.id == account_id).values(**values)
    transaction.connection.execute(change)


def _as_stored(name: str) -> str:
    try:
        return plain_name(name)
    except InvalidField:
        return ""  # nobody has it


def _network(address: str) -> str:
    """What one person is likely to have: an IPv4 address, or a /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((int(found), 64), strict=False))
