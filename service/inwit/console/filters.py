"""What the filters of the tables have in common: values that can be asked for, and addresses."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import Query

from inwit.cases import Reviewer
from inwit.console.permissions import OutOfSight
from inwit.errors import FieldError, InvalidField
from inwit.ledger.database import Database
from inwit.ledger.tables import API_KEYS, ESCALATIONS, POLICIES
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Category

Value = Annotated[str, Query(max_length=128)]
Name = Annotated[str, Query(max_length=40, pattern=r"^[A-Za-z0-9_\-]*$")]  # ids and pseudonyms
Language = Annotated[str, Query(max_length=8, pattern=r"^[A-Za-z\-]*$")]

CATEGORIES = tuple((each.value, TAXONOMY[each].title) for each in Category)


@dataclass(frozen=True, slots=True)
class Choices:
    """The tenants and policies that a person can choose from: values with their words."""

    tenants: tuple[tuple[str, str], ...]
    policies: tuple[tuple[str, str], ...]


async def choices(database: Database, reviewer: Reviewer) -> Choices:
    """Those of the person's scope; where it has no bounds, all that there are.

    Raises:
        LedgerError: the database failed.
    """

    def read(connection: sa.Connection) -> Choices:
        return Choices(
            _pairs(reviewer.tenants or _distinct(connection, API_KEYS.c.tenant)),
            _pairs(reviewer.policies or _distinct(connection, POLICIES.c.name)),
        )

    return await database.read(read)


def in_scope(own: frozenset[str], wanted: str) -> frozenset[str]:
    """The one that is asked for, or all that are the person's; empty means all of them.

    Raises:
        OutOfSight: it is not theirs.
    """
    if not wanted:
        return own
    if own and wanted not in own:
        raise OutOfSight
    return frozenset({wanted})


def cases_in_scope(reviewer: Reviewer) -> list[sa.ColumnElement[bool]]:
    """The conditions on ESCALATIONS under which a person may see a case."""
    among = ((ESCALATIONS.c.tenant, reviewer.tenants), (ESCALATIONS.c.policy, reviewer.policies))
    return [column.in_(sorted(values)) for column, values in among if values]


def has_category(category: str) -> sa.ColumnElement[bool]:
    """The condition on ESCALATIONS that a case has a category."""
    listed = sa.literal(",").concat(ESCALATIONS.c.categories).concat(",")
    return listed.contains(f",{category},", autoescape=True)


def chosen(name: str, wanted: str, known: Iterable[str]) -> str:
    """The value of a field with a list of choices; empty where nothing was chosen.

    Raises:
        InvalidField: it is not on the list.
    """
    if wanted and wanted not in set(known):
        raise InvalidField("Choose from the list.", (FieldError(name, "not on the list"),))
    return wanted


def start_of(name: str, day: str) -> datetime | None:
    """The first moment (UTC) of a day that is written YYYY-MM-DD; None where there is none.

    Raises:
        InvalidField: it is no such day.
    """
    if not day:
        return None
    try:
        found = date.fromisoformat(day)
    except ValueError:
        found = date.min
    if not 1970 <= found.year <= 9000:
        problem = "write a day as YYYY-MM-DD"
        raise InvalidField(f"A day cannot be read: {problem}.", (FieldError(name, problem),))
    return datetime.combine(found, time(), UTC)


def end_of(name: str, day: str) -> datetime | None:
    """The first moment (UTC) after such a day.

    Raises:
        InvalidField: it is no such day.
    """
    start = start_of(name, day)
    return None if start is None else start + timedelta(days=1)


def address(path: str, **values: str | int | None) -> str:
    """A path with the filters that are set."""
    kept = {name: value for name, value in values.items() if value not in ("", None)}
    return f"{path}?{urlencode(kept)}" if kept else path


def _distinct(connection: sa.Connection, column: sa.Column[str]) -> list[str]:
    return list(connection.execute(sa.select(column).distinct()).scalars())


def _pairs(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in sorted(names))
