"""Entries about what the operator's commands and the gateways themselves change: facts only."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.ledger.transaction import Transaction

OPERATOR = "operator"
"""The actor of a command: whoever has a shell on the machine."""

_LONGEST_LIST = 1_000  # characters: an entry stays small whatever is listed


def note_change(connection: sa.Connection, facts: Mapping[str, Any], *, tenant: str = "") -> None:
    """Append an entry `changed` for a command, in the transaction that makes the change."""
    note(connection, ActKind.CHANGED, {**facts, "through": "command_line"}, tenant, OPERATOR)


def note(
    connection: sa.Connection,
    kind: ActKind,
    facts: Mapping[str, Any],
    tenant: str = "",
    actor: str | None = None,
) -> None:
    """Append an entry to what this connection commits; None is the gateway itself."""
    transaction = Transaction(connection)
    transaction.add(ActRecord(kind, transaction.now, tenant, actor, facts, {}))
    transaction.flush()


def short_list(names: Iterable[str]) -> list[str]:
    """As many of the names as an entry has room for; the last one then says how many are left."""
    told: list[str] = []
    left = list(names)
    room = _LONGEST_LIST
    while left and (room := room - len(left[0])) >= 0:
        told.append(left.pop(0))
    return [*told, f"and {len(left)} more"] if left else told
