"""Reads entries back, with their content where it is still there."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.opened import Changed, facts_of, open_rows
from inwit.ledger.tables import CONTENTS, ENTRIES
from inwit.ledger.verify import object_of, opens


@dataclass(frozen=True, slots=True)
class Story:
    """One entry: its facts, its hash in hexadecimal, and the content it committed to.

    `shut` says that there is content, and its keys are not here. `changed` says that the entry is
    not what was written: its facts are what the row's columns say. `unfit` are the kinds of content
    that are not what it committed to.
    """

    facts: dict[str, Any]
    hash: str
    contents: dict[str, Any]
    shut: bool = False
    changed: bool = False
    unfit: tuple[str, ...] = ()


def stories(connection: sa.Connection, response_id: str) -> list[Story]:
    """Every entry about one response, oldest first."""
    entries = connection.execute(
        sa.select(ENTRIES).where(ENTRIES.c.response_id == response_id).order_by(ENTRIES.c.sequence)
    ).all()
    return [_story(connection, entry) for entry in entries]


def _story(connection: sa.Connection, entry: sa.Row[Any]) -> Story:
    digest = entry.hash.hex() if isinstance(entry.hash, bytes) else str(entry.hash)
    try:
        facts = facts_of(entry)
    except Changed:
        columns = {"sequence": entry.sequence, "time": str(entry.time), "type": entry.type}
        return Story(columns, digest, {}, changed=True)
    committed = object_of(facts.get("commitments"))
    rows = connection.execute(sa.select(CONTENTS).filter_by(sequence=entry.sequence)).all()
    try:
        opened = dict(zip((row.kind for row in rows), open_rows(connection, rows), strict=True))
    except KeyMissing:
        return Story(facts, digest, {}, shut=True)
    fit = {
        kind: json.loads(both[1])
        for kind, both in opened.items()
        if both is not None and opens(committed.get(kind), *both)
    }
    return Story(facts, digest, fit, unfit=tuple(sorted(opened.keys() - fit.keys())))
