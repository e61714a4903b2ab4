"""One response's whole story for an auditor: its entries in order, each with its proof.

What is read here is checked here too, but only as far as a server's word goes: the proofs are
handed on, so that whoever reads the story can check them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit.cases import Reviewer
from inwit.ledger import proofs
from inwit.ledger.chain import leaf_hash
from inwit.ledger.escalations import aware
from inwit.ledger.merkle import Hashes, inclusion
from inwit.ledger.notes import NoteError, VerifyingKey, checkpoint_of
from inwit.ledger.opened import Changed, Pruned, facts_of
from inwit.ledger.proofs import Signed
from inwit.ledger.sealing import Fate, fate_of
from inwit.ledger.signers import Signature, who_signed
from inwit.ledger.tables import CONTENTS, ENTRIES, ESCALATIONS
from inwit.ledger.verify import Key, included, moment, object_of

_ENTRY, _CASE = ENTRIES.c, ESCALATIONS.c
_NAMES_POLICY = ("accepted", "decision", "check", "cut", "failed")
KEPT, GONE = "kept", "no longer kept"

Row = sa.Row[Any]


class Standing(StrEnum):
    """What a check of one entry comes to."""

    HOLDS = "in the log"
    WAITS = "not yet covered"
    BROKEN = "does not hold"


@dataclass(frozen=True, slots=True)
class Told:
    """One entry. `facts` are None where its bytes were pruned, or changed after they were written.

    `proof` are the hashes from it to the root of the story's checkpoint, None where there are
    none. `contents` are the kinds of content that it committed to, by what became of them.
    """

    sequence: int
    time: datetime
    hash: bytes
    body: bytes
    facts: Mapping[str, Any] | None
    proof: tuple[bytes, ...] | None
    standing: Standing
    contents: Mapping[str, Sequence[str]]

    @property
    def pruned(self) -> bool:
        """Whether its bytes are gone because their time was over."""
        return self.body == b""


@dataclass(frozen=True, slots=True)
class ResponseStory:
    """Some entries of a response, oldest first; `after` goes on where there are more.

    `keys` are the public keys that the log itself names; `signed` says that one of them signed
    the checkpoint. `types` are those of all its entries. `case` is the id of its case, or empty.
    Tenant and policy are one each, unless somebody changed entries.
    """

    response: str
    tenants: tuple[str, ...]
    policies: tuple[str, ...]
    case: str
    fate: Fate | None
    types: frozenset[str]
    entries: tuple[Told, ...]
    after: int | None
    checkpoint: Signed | None
    keys: tuple[str, ...]
    signed: bool


@dataclass(frozen=True, slots=True)
class Proven:
    """How entries stand, by sequence, under a checkpoint, and who signed that; None without one."""

    standings: Mapping[int, Standing]
    checkpoint: Signed | None
    signature: Signature | None


@dataclass(frozen=True, slots=True)
class _Whole:
    """What the entries of a response, and the row of its case, say of where it belongs."""

    tenants: frozenset[str]
    policies: frozenset[str]
    types: frozenset[str]
    case: Row | None

    def seen_by(self, reader: Reviewer) -> bool:
        """Whether it is the reader's, by all that is known of it."""
        return _within(self.tenants, reader.tenants) and _within(self.policies, reader.policies)


def response_named(connection: sa.Connection, name: str) -> str:
    """The response with that id, or that of the case or entry with it; empty where there is none.

    A golden copy is a case of its own, and has no response.
    """
    if name.startswith("esc_"):
        query = sa.select(_CASE.response_id).where(_CASE.id == name, _CASE.expected.is_(None))
    elif name.startswith("ent_"):
        query = sa.select(_ENTRY.response_id).where(_ENTRY.id == name)
    else:
        return name
    return connection.execute(query).scalar() or ""


def may_see(connection: sa.Connection, reader: Reviewer, response: str) -> bool:
    """Whether there is such a response, and the reader may know of it."""
    whole = _whole(connection, response)
    return whole is not None and whole.seen_by(reader)


def story_of(
    connection: sa.Connection, reader: Reviewer, response: str, after: int, most: int
) -> ResponseStory | None:
    """At most so many of its entries past a place; None where the reader may not know of it."""
    whole = _whole(connection, response)
    if whole is None or not whole.seen_by(reader):
        return None
    rows = _rows(connection, response, whole.case, after, most + 1)
    checkpoint, fate = proofs.newest(connection), fate_of(connection, response)
    keys = _keys(connection, checkpoint)
    told = _told(connection, rows[:most], checkpoint, fate)
    return ResponseStory(
        response=response,
        tenants=tuple(sorted(whole.tenants)),
        policies=tuple(sorted(whole.policies)),
        case=whole.case.id if whole.case else "",
        fate=fate,
        types=whole.types,
        entries=told,
        after=told[-1].sequence if len(rows) > most else None,
        checkpoint=checkpoint,
        keys=keys,
        signed=checkpoint is not None and any(_signed(key, checkpoint.note) for key in keys),
    )


def proven(connection: sa.Connection, response: str, keys: Sequence[Key] = ()) -> Proven:
    """How the entries about a response stand; who signed, by keys that come from elsewhere."""
    rows = connection.execute(sa.select(ENTRIES).where(_ENTRY.response_id == response)).all()
    checkpoint = proofs.newest(connection)
    told = _told(connection, rows, checkpoint, None)
    signature = who_signed(connection, checkpoint, keys) if checkpoint else None
    return Proven({each.sequence: each.standing for each in told}, checkpoint, signature)


def _whole(connection: sa.Connection, response: str) -> _Whole | None:
    if not response:
        return None
    query = sa.select(ESCALATIONS).where(_CASE.response_id == response, _CASE.expected.is_(None))
    case = connection.execute(query).first()
    among = sa.select(_ENTRY.tenant, _ENTRY.type).where(_ENTRY.response_id == response).distinct()
    found = connection.execute(among).all()
    if not found and case is None:
        return None
    tenants: set[str] = {row.tenant for row in found}
    policies = _policies(connection, response)
    if case is not None:
        tenants.add(case.tenant)
        policies.add(case.policy)
    types = frozenset(row.type for row in found)
    return _Whole(frozenset(tenants), frozenset(policies), types, case)


def _policies(connection: sa.Connection, response: str) -> set[str]:
    """Those that its sound entries name; acts name none."""
    query = sa.select(ENTRIES).where(_ENTRY.response_id == response, _ENTRY.type.in_(_NAMES_POLICY))
    found: set[str] = set()
    for row in connection.execute(query):
        try:
            found.add(facts_of(row)["policy"]["name"])
        except Changed:
            continue
    return found


def _within(found: frozenset[str], own: frozenset[str]) -> bool:
    """Whether all of it is within a scope; an empty one has no bounds."""
    return not own or (bool(found) and found <= own)


def _rows(
    connection: sa.Connection, response: str, case: Row | None, after: int, most: int
) -> Sequence[Row]:
    """Its entries. One that was pruned says no more whose it was; its case may still know."""
    wanted = _ENTRY.response_id == response
    if case is not None:
        wanted = sa.or_(wanted, sa.and_(_ENTRY.sequence == case.sequence, _ENTRY.body == b""))
    query = sa.select(ENTRIES).where(wanted, _ENTRY.sequence > after)
    return connection.execute(query.order_by(_ENTRY.sequence).limit(most)).all()


def _told(
    connection: sa.Connection,
    rows: Sequence[Row],
    checkpoint: Signed | None,
    fate: Fate | None,
) -> tuple[Told, ...]:
    size, root = _said(checkpoint)
    hashes, kept = proofs.by_tile(connection, size), _kept(connection, rows)
    found: list[Told] = []
    for row in rows:
        facts, sound = _facts(row)
        proof = _proof(hashes, row.sequence, size)
        standing = Standing.WAITS
        if not sound:
            standing = Standing.BROKEN
        elif checkpoint is not None and row.sequence <= checkpoint.size:
            leaf = row.hash if row.body == b"" else leaf_hash(row.body)
            holds = proof is not None and included(leaf, row.sequence - 1, size, proof, root)
            standing = Standing.HOLDS if holds else Standing.BROKEN
        body = row.body if isinstance(row.body, bytes) else str(row.body).encode()
        time = moment((facts or {}).get("time")) or aware(row.time)
        contents = _contents(facts, kept.get(row.sequence, set()), fate)
        found.append(Told(row.sequence, time, row.hash, body, facts, proof, standing, contents))
    return tuple(found)


def _facts(row: Row) -> tuple[Mapping[str, Any] | None, bool]:
    """The facts, where they are kept; and whether the bytes are what was written."""
    try:
        return facts_of(row), True
    except Pruned:
        return None, True
    except Changed:
        return None, False


def _said(checkpoint: Signed | None) -> tuple[int, bytes]:
    """Size and root by the words of the note itself; nothing where it cannot be read."""
    try:
        said = checkpoint_of(checkpoint.note) if checkpoint else None
    except NoteError:
        said = None
    return (said.size, said.root) if said else (0, b"")


def _proof(hashes: Hashes, sequence: int, size: int) -> tuple[bytes, ...] | None:
    """The hashes up to the root; None where the log does not have what it takes."""
    if sequence > size:
        return None
    try:
        return tuple(inclusion(sequence - 1, size, hashes))
    except LookupError:
        return None


def _kept(connection: sa.Connection, rows: Iterable[Row]) -> dict[int, set[str]]:
    """The kinds of content that are there, by the place of the entry."""
    places = [row.sequence for row in rows]
    query = sa.select(CONTENTS.c.sequence, CONTENTS.c.kind).where(CONTENTS.c.sequence.in_(places))
    found: dict[int, set[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.sequence, set()).add(row.kind)
    return found


def _contents(
    facts: Mapping[str, Any] | None, kept: set[str], fate: Fate | None
) -> dict[str, list[str]]:
    gone = fate.value if fate else GONE
    committed = object_of((facts or {}).get("commitments"))
    found: dict[str, list[str]] = {}
    for kind in committed:
        found.setdefault(KEPT if kind in kept else gone, []).append(kind)
    return found


def _keys(connection: sa.Connection, checkpoint: Signed | None) -> tuple[str, ...]:
    """The public keys that the newest covered entry about keys names."""
    if checkpoint is None:
        return ()
    row = proofs.keys_entry(connection, checkpoint.size)
    try:
        return tuple(facts_of(row)["facts"]["vkeys"]) if row else ()
    except Changed:
        return ()


def _signed(vkey: str, note: str) -> bool:
    try:
        return VerifyingKey.read(vkey).signed(note)
    except NoteError:
        return False
