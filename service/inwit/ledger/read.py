"""Reads entries back, with their content where it is still there."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.opened import open_rows
from inwit.ledger.tables import CONTENTS, ENTRIES


@dataclass(frozen=True, slots=True)
class Story:
    """One entry: its facts, its hash in hexadecimal, and the content it committed to.

    `shut` says that there is content, and its keys are not here.
    """

    facts: dict[str, Any]
    hash: str
    contents: dict[str, Any]
    shut: bool = False


def stories(connection: sa.Connection, response_id: str) -> list[Story]:
    """Every entry about one response, oldest first."""
    entries = connection.execute(
        sa.select(ENTRIES).where(ENTRIES.c.response_id == response_id).order_by(ENTRIES.c.sequence)
    ).all()
    return [
        Story(json.loads(entry.body), entry.hash.hex(), *_contents(connection, entry.sequence))
        for entry in entries
    ]


def _contents(connection: sa.Connection, sequence: int) -> tuple[dict[str, Any], bool]:
    """What is kept of it, as it stands: `inwit ledger verify` says whether it was changed."""
    rows = connection.execute(sa.select(CONTENTS).where(CONTENTS.c.sequence == sequence)).all()
    try:
        opened = zip(rows, open_rows(connection, rows), strict=True)
    except KeyMissing:
        return {}, True
    return {row.kind: json.loads(both[1]) for row, both in opened if both is not None}, False
