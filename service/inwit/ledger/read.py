"""Reads entries back, with their content where it is still there."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inwit.ledger.tables import CONTENTS, ENTRIES


@dataclass(frozen=True, slots=True)
class Story:
    """One entry: its facts, its hash in hexadecimal, and the content it committed to."""

    facts: dict[str, Any]
    hash: str
    contents: dict[str, Any]


def stories(connection: sa.Connection, response_id: str) -> list[Story]:
    """Every entry about one response, oldest first."""
    entries = connection.execute(
        sa.select(ENTRIES).where(ENTRIES.c.response_id == response_id).order_by(ENTRIES.c.sequence)
    ).all()
    return [
        Story(json.loads(entry.body), entry.hash.hex(), _contents(connection, entry.sequence))
        for entry in entries
    ]


def _contents(connection: sa.Connection, sequence: int) -> dict[str, Any]:
    rows = connection.execute(sa.select(CONTENTS).where(CONTENTS.c.sequence == sequence)).all()
    return {row.kind: json.loads(row.content) for row in rows}
