"""People: made, changed and found. Each change is a ledger entry, and holds at once."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from inwit.cases import Reviewer
from inwit.console.account_rows import (
    PROVIDER,
    Account,
    Actor,
    Identity,
    account_of,
    edited,
    find,
    free_name,
    insert,
    need,
    next_epoch,
    of_provider,
    plain_name,
    preferences_column,
    update,
    with_role,
)
from inwit.errors import FieldError, Forbidden, InvalidField
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import REVIEWERS
from inwit.ledger.transaction import Transaction

LONGEST_PREFERENCES = 4096  # characters of JSON

_COLUMNS = REVIEWERS.c


class Accounts:
    """The people in the ledger's database. Nothing is cached: a change holds at once."""

    def __init__(self, database: Database, ledger: LedgerStore) -> None:
        self._database = database
        self._ledger = ledger

    async def create(
        self, name: str, reviewer: Reviewer, password_hash: str | None, actor: Actor
    ) -> Account:
        """Make a local account. The reviewer's own id is not used: each account gets a new one.

        Raises:
            InvalidField: the name is taken, or cannot be one.
        """
        name = plain_name(name)

        def steps(transaction: Transaction) -> Account:
            if find(transaction.connection, _COLUMNS.name == name) is not None:
                problem = "somebody has it already"
                raise InvalidField("Choose another name.", (FieldError("name", problem),))
            return insert(transaction, name, reviewer, password_hash, None, actor)

        return await self._ledger.write(steps)

    async def arrive(self, identity: Identity) -> Account:
        """The account of somebody whom the provider vouches for, with the role that it says.

        Made where it is new. A name that is taken gets a number: it never leads to the other's.
        """

        def steps(transaction: Transaction) -> Account:
            known = find(transaction.connection, of_provider(identity.issuer, identity.subject))
            if known is None:
                name = free_name(transaction.connection, identity.name)
                fresh = Reviewer("", identity.role)
                return insert(transaction, name, fresh, None, identity, PROVIDER)
            return edited(transaction, known, with_role(identity.role), PROVIDER)

        return await self._ledger.write(steps)

    async def change(
        self, account_id: str, edit: Callable[[Reviewer], Reviewer], actor: Actor
    ) -> Account:
        """Change role, scope, clearance or opted-out categories. Another role ends the sessions.

        Raises:
            NotFound: there is no such account.
            Forbidden: it is the actor's own, and not something to be decided by oneself.
        """

        def steps(transaction: Transaction) -> Account:
            return edited(transaction, need(transaction, account_id), edit, actor)

        return await self._ledger.write(steps)

    async def set_disabled(self, account_id: str, disabled: bool, actor: Actor) -> Account:
        """Shut a person out, or let them in again; their sessions end.

        Raises:
            NotFound: there is no such account.
            Forbidden: it is the actor's own.
        """

        def steps(transaction: Transaction) -> Account:
            before = need(transaction, account_id)
            if actor.id == account_id:
                raise Forbidden("Nobody can do that to their own account. Ask another admin.")
            if before.disabled == disabled:
                return before
            values = {"disabled": disabled, **next_epoch(before)}
            what = {"disabled": disabled}
            return update(transaction, before, values, what, actor)

        return await self._ledger.write(steps)

    async def set_password(self, account_id: str, password_hash: str, actor: Actor) -> Account:
        """Another password: the lock is off, and the sessions end.

        Raises:
            NotFound: there is no such account.
            InvalidField: the person signs in through the identity provider.
        """

        def steps(transaction: Transaction) -> Account:
            before = need(transaction, account_id)
            if before.issuer is not None:
                problem = "this person signs in through the identity provider"
                raise InvalidField("There is no password here.", (FieldError("password", problem),))
            values = {"password_hash": password_hash, "failures": 0, "locked_until": None}
            values |= next_epoch(before)
            return update(transaction, before, values, {"fields": ["password"]}, actor)

        return await self._ledger.write(steps)

    async def prefer(self, account_id: str, wishes: Mapping[str, Any], actor: Actor) -> Account:
        """Set preferences, by name; None takes one back. Values are JSON, checked by the caller.

        Raises:
            NotFound: there is no such account.
            InvalidField: they are too long together.
        """

        def steps(transaction: Transaction) -> Account:
            before = need(transaction, account_id)
            merged = {**before.preferences, **wishes}
            kept = {key: value for key, value in merged.items() if value is not None}
            if len(json.dumps(kept)) > LONGEST_PREFERENCES:
                problem = "too long together"
                raise InvalidField("Wish for less.", (FieldError("preferences", problem),))
            values = {"preferences": preferences_column(kept, before.epoch)}
            return update(transaction, before, values, {"fields": ["preferences"]}, actor)

        return await self._ledger.write(steps)

    async def end_sessions(self, account_id: str, actor: Actor) -> Account:
        """End all of a person's sessions.

        Raises:
            NotFound: there is no such account.
        """

        def steps(transaction: Transaction) -> Account:
            before = need(transaction, account_id)
            what = {"fields": ["sessions"]}
            return update(transaction, before, next_epoch(before), what, actor)

        return await self._ledger.write(steps)

    async def by_id(self, account_id: str) -> Account | None:
        """The account with this id."""
        return await self._read(_COLUMNS.id == account_id)

    async def named(self, name: str) -> Account | None:
        """The account with this name, as it is written."""
        return await self._read(_COLUMNS.name == unicodedata.normalize("NFC", name.strip()))

    async def by_subject(self, issuer: str, subject: str) -> Account | None:
        """The account of a person whom a provider vouches for."""
        return await self._read(of_provider(issuer, subject))

    async def list(self) -> "list[Account]":
        """Everybody, disabled ones too, by name."""
        query = sa.select(REVIEWERS).order_by(_COLUMNS.name)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [account_of(row) for row in rows]

    async def _read(self, where: sa.ColumnElement[bool]) -> Account | None:
        return await self._database.read(lambda connection: find(connection, where))
