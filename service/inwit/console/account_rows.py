"""Accounts as values, and as rows of REVIEWERS. The functions run inside a transaction.

The name of a person stands in this table alone; the ledger, the queue and sessions know the id.
"""

import json
import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, Reviewer, Role
from inwit.errors import FieldError, Forbidden, InvalidField, NotFound
from inwit.ledger.tables import REVIEWERS
from inwit.ledger.transaction import Transaction
from inwit.types import Category, Severity

LONGEST_NAME = 128

_COLUMNS = REVIEWERS.c
_EPOCH = "epoch"  # stored beside the preferences
_OWN = frozenset({"opted_out"})  # what people may change of themselves
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Through(StrEnum):
    """By which door a change came."""

    COMMAND_LINE = "command_line"
    CONSOLE = "console"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: an account's id, or None where no account stands behind it."""

    id: str | None
    through: Through


OPERATOR = Actor(None, Through.COMMAND_LINE)
PROVIDER = Actor(None, Through.PROVIDER)


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as an identity provider vouches for them. `subject` is theirs for ever."""

    issuer: str
    subject: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Account:
    """A person. `epoch` grows when their sessions must end; `issuer` is None for a local one."""

    id: str
    name: str
    reviewer: Reviewer
    preferences: Mapping[str, Any]
    disabled: bool
    epoch: int
    issuer: str | None
    has_password: bool
    locked_until: datetime | None
    created: datetime

    @property
    def role(self) -> Role:
        """What they may do."""
        return self.reviewer.role


def plain_name(name: str) -> str:
    """A name as it is stored.

    Raises:
        InvalidField: it is empty or too long, or has characters that do not show.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > LONGEST_NAME or _UNPRINTABLE.search(name) or not _sayable(name):
        problem = f"it needs 1 to {LONGEST_NAME} characters, and none that do not show"
        raise InvalidField("Choose another name.", (FieldError("name", problem),))
    return name


def account_of(row: sa.Row[Any]) -> Account:
    """The account that a row of REVIEWERS stands for."""
    preferences = json.loads(row.preferences)
    epoch = preferences.pop(_EPOCH)
    reviewer = Reviewer(
        id=row.id,
        role=Role(row.role),
        tenants=frozenset(json.loads(row.tenants)),
        policies=frozenset(json.loads(row.policies)),
        languages=frozenset(json.loads(row.languages)),
        clearance=Severity(row.clearance),
        opted_out=frozenset(map(Category, json.loads(row.opted_out))),
    )
    return Account(
        id=row.id,
        name=row.name,
        reviewer=reviewer,
        preferences=preferences,
        disabled=row.disabled,
        epoch=epoch,
        issuer=row.issuer,
        has_password=row.password_hash is not None,
        locked_until=aware(row.locked_until),
        created=aware(row.created) or row.created,
    )


def aware(moment: datetime | None) -> datetime | None:
    """SQLite gives times back in UTC, without saying so."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def act(
    transaction: Transaction, kind: ActKind, actor: str | None, facts: Mapping[str, Any]
) -> None:
    """Record what somebody did that belongs to no case and no tenant."""
    transaction.add(ActRecord(kind, transaction.now, "", actor, facts, {}))


def insert(
    transaction: Transaction,
    name: str,
    reviewer: Reviewer,
    password_hash: str | None,
    identity: Identity | None,
    actor: Actor,
) -> Account:
    """Make an account, and record it."""
    account_id = f"rev_{secrets.token_hex(8)}"
    row = {
        "id": account_id,
        "name": name,
        "password_hash": password_hash,
        "issuer": identity.issuer if identity else None,
        "subject": identity.subject if identity else None,
        **_columns(reviewer),
        "preferences": preferences_column({}, 0),
        "failures": 0,
        "locked_until": None,
        "disabled": False,
        "created": transaction.now,
    }
    transaction.connection.execute(sa.insert(REVIEWERS), row)
    facts = {"account": account_id, "through": actor.through.value, "made": True}
    act(transaction, ActKind.CHANGED, actor.id, {**facts, "role": reviewer.role.value})
    return need(transaction, account_id)


def edited(
    transaction: Transaction,
    before: Account,
    edit: Callable[[Reviewer], Reviewer],
    actor: Actor,
) -> Account:
    """Change what somebody may do, and record it.

    Raises:
        Forbidden: it is the actor's own, and not something to be decided by oneself.
    """
    reviewer = edit(before.reviewer)
    changed = [
        each.name
        for each in fields(Reviewer)
        if getattr(reviewer, each.name) != getattr(before.reviewer, each.name)
    ]
    if not changed:
        return before
    if actor.id == before.id and not _OWN.issuperset(changed):
        raise Forbidden("Nobody can change what they themselves may do. Ask another admin.")
    values, what = _columns(reviewer), {"fields": changed}
    if reviewer.role is not before.role:
        values |= next_epoch(before)
        what |= {"role": reviewer.role.value, "role_before": before.role.value}
    return update(transaction, before, values, what, actor)


def update(
    transaction: Transaction,
    before: Account,
    values: dict[str, Any],
    what: Mapping[str, Any],
    actor: Actor,
) -> Account:
    """Write some columns of an account, and record what changed in words without content."""
    change = sa.update(REVIEWERS).where(_COLUMNS.id == before.id).values(**values)
    transaction.connection.execute(change)
    facts = {"account": before.id, "through": actor.through.value, **what}
    act(transaction, ActKind.CHANGED, actor.id, facts)
    return need(transaction, before.id)


def _columns(reviewer: Reviewer) -> dict[str, Any]:
    return {
        "role": reviewer.role.value,
        "tenants": json.dumps(sorted(reviewer.tenants)),
        "policies": json.dumps(sorted(reviewer.policies)),
        "languages": json.dumps(sorted(reviewer.languages)),
        "clearance": reviewer.clearance.value,
        "opted_out": json.dumps(sorted(reviewer.opted_out)),
    }


def preferences_column(preferences: Mapping[str, Any], epoch: int) -> str:
    """The text that is stored."""
    return json.dumps({**preferences, _EPOCH: epoch}, sort_keys=True)


def next_epoch(account: Account) -> dict[str, Any]:
    """The columns that end all sessions of the account."""
    return {"preferences": preferences_column(account.preferences, account.epoch + 1)}


def with_role(role: Role) -> Callable[[Reviewer], Reviewer]:
    """The edit that gives a role."""
    return lambda reviewer: replace(reviewer, role=role)


def of_provider(issuer: str, subject: str) -> sa.ColumnElement[bool]:
    """Finds somebody whom a provider vouches for."""
    return sa.and_(_COLUMNS.issuer == issuer, _COLUMNS.subject == subject)


def find(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Account | None:
    """The one account that fits."""
    row = connection.execute(sa.select(REVIEWERS).where(where)).first()
    return account_of(row) if row is not None else None


def need(transaction: Transaction, account_id: str) -> Account:
    """The account with this id.

    Raises:
        NotFound: there is none.
    """
    found = find(transaction.connection, _COLUMNS.id == account_id)
    if found is None:
        raise NotFound("There is no such person.")
    return found


def free_name(connection: sa.Connection, wanted: str) -> str:
    """The name that the provider gives, made to fit; with a number where somebody has it."""
    sayable = wanted.encode("utf-8", "ignore").decode()
    plain = _UNPRINTABLE.sub("", unicodedata.normalize("NFC", sayable)).strip()
    name = plain[: LONGEST_NAME - 8] or "somebody"
    number = 1
    free = name
    while find(connection, _COLUMNS.name == free) is not None:
        number += 1
        free = f"{name} ({number})"
    return free


def _sayable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
