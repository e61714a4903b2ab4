"""Passwords: argon2id, in threads of its own, few at a time (each hash takes 64 MiB)."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from inwit.errors import FieldError, InvalidField, Overloaded

T = TypeVar("T")

SHORTEST = 12
LONGEST = 256

_AT_ONCE = 2
_LONGEST_QUEUE = 32


class Passwords:
    """Hashes passwords and checks them; where there is none, that takes the same time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobodys = self._hasher.hash(secrets.token_bytes(32))
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters.

        Raises:
            Overloaded: too many wait already.
        """
        return await self._in_turn(lambda: self._hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether this is the password; never where nothing is stored.

        Raises:
            Overloaded: too many wait already.
        """
        fits = await self._in_turn(lambda: self._verify(stored or self._nobodys, password))
        return fits and stored is not None

    def stale(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _LONGEST_QUEUE:
            raise Overloaded("Too many people sign in at once. Try again.", retry_after=5)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_bytes(password))

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def check_new(password: str, name: str) -> None:
    """Refuse a password that must not be taken.

    Raises:
        InvalidField: it is too short, too long, or the person's name.
    """
    if len(password) < SHORTEST:
        problem = f"it needs at least {SHORTEST} characters; some words in a row do well"
    elif len(password) > LONGEST:
        problem = f"it may have at most {LONGEST} characters"
    elif password.casefold() == name.casefold():
        problem = "it must not be the name"
    else:
        return
    raise InvalidField(f"Choose another password: {problem}.", (FieldError("password", problem),))


def _bytes(password: str) -> bytes:
    # One form for what keyboards compose in different ways. What no UTF-8 can say is kept apart.
    return unicodedata.normalize("NFC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
