"""Checks a ledger in its database, by reading only. The rules are those of `verify.py`.

It shares no code path with the writer's SQL, and checks in addition what only a database has:
columns that repeat what entries say, the stored nodes of the tree, content beside its entries.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from typing import Any

import sqlalchemy as sa

from inwit.ledger import verify
from inwit.ledger.as_stored import checkpoint_rows, content_rows, entry_rows, one_snapshot
from inwit.ledger.missing_content import WHY, gone
from inwit.ledger.verify import (
    EMPTY,
    GENESIS,
    PART,
    Anchor,
    Checkpoint,
    Key,
    Malformed,
    Note,
    Part,
    Result,
)

_WIDTH = 256  # of a tile
_MANY = 200  # checkpoints from which faster tables of a key pay

# Columns that repeat what the entry says, and under which name it says it.
_COPIES = {
    "sequence": "sequence",
    "id": "id",
    "type": "type",
    "tenant": "tenant",
    "response_id": "response",
}

# Opens rows of the contents: salt and content of each, or None where one does not open; None where
# nothing can be opened, for want of a key.
OpenRows = Callable[
    [sa.Connection, Sequence[sa.Row[Any]]], Sequence[tuple[bytes, bytes] | None] | None
]


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the ledger does not hold together; sequence 0 is the whole of it."""

    sequence: int
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read. `head` is the last hash, in hexadecimal.

    `breaks` are what was tampered with, `gaps` what is incomplete: the first of each, and `result`
    has their counts. `opened` and `sealed` count pieces of content: looked at, and not.
    """

    entries: int
    head: str
    breaks: tuple[Break, ...]
    gaps: tuple[Break, ...]
    result: Result
    opened: int
    sealed: int


def verify_database(
    connection: sa.Connection,
    keys: Sequence[Key] | None = None,
    previous: Sequence[Note] = (),
    open_rows: OpenRows | None = None,
) -> Verification:
    """Check everything: order, hashes, links, columns, content, tree, checkpoints, completeness.

    Where `keys` are None it is not asked who signed, nor whether a checkpoint is there; where there
    are none, that is a gap. `previous` are checkpoints that were kept elsewhere: this ledger must
    begin with theirs. Give a connection that has read nothing yet.
    """
    one_snapshot(connection)
    walk = _Walk(connection, list(previous), open_rows, asked=True)
    result = walk.result
    result.keys = None if keys is None else list(keys)
    walk.entries()
    if walk.has_tree:
        walk.rest_of_nodes()
        walk.signatures(list(keys or ()))
    result.openings, result.sealed, result.gone = walk.opened, walk.sealed, dict(walk.gone)
    result.log.account()
    verify.conclude(result, datetime.now(UTC))
    return _verification(result, walk)


def verify_tail(connection: sa.Connection, entries: int) -> Verification:
    """Order, hashes, links, columns and content of the last entries alone.

    The one before them is taken as it is; so are the tree and the checkpoints.
    """
    end = connection.execute(sa.text("SELECT max(sequence) FROM entries")).scalar() or 0
    walk = _Walk(connection, [], None, asked=False)
    before = max(0, end - entries)
    query = sa.text("SELECT hash FROM entries WHERE sequence = :s")
    head = connection.execute(query, {"s": before}).scalar()
    walk.result.log.head = GENESIS if before == 0 else _bytes(head).hex()
    walk.result.log.size, walk.result.log.broken = before, before > 0
    walk.entries(before)
    walk.result.tampered.extend(walk.result.log.tampered)
    return _verification(walk.result, walk, since=before)


def _verification(result: Result, walk: "_Walk", since: int = 0) -> Verification:
    breaks = tuple(Break(sequence or 0, problem) for sequence, problem in result.tampered.first)
    gaps = tuple(Break(sequence or 0, problem) for sequence, problem in result.gaps.first)
    log = result.log
    return Verification(walk.seen - since, log.head, breaks, gaps, result, walk.opened, walk.sealed)


@dataclass(slots=True)
class _Walk:
    """One look at all entries, in order."""

    connection: sa.Connection
    previous: list[Note]
    open_rows: OpenRows | None
    asked: bool  # whether what is missing is to be told
    result: Result = field(default_factory=Result)
    seen: int = 0
    opened: int = 0
    sealed: int = 0
    gone: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(WHY, 0)))
    has_tree: bool = False
    nodes: int = 0
    tiles: list[list[bytes]] = field(default_factory=list[list[bytes]])
    stored: int = 0  # the largest size that a checkpoint has, signed or not
    claims: Iterator[Checkpoint] = field(default_factory=lambda: iter(()))
    claim: Checkpoint | None = None
    mine: list[Checkpoint] = field(default_factory=list[Checkpoint])  # of the part at hand
    digests: list[bytes] = field(default_factory=list[bytes])  # its leaves
    keys: list[Key] = field(default_factory=list[Key])

    def entries(self, after: int = 0) -> None:
        """All of them."""
        self.seen = after
        if after == 0:
            self._prepare()
        part = None
        for rows in entry_rows(self.connection, after):
            facts: dict[int, dict[str, Any]] = {}
            for row in rows:
                place = row.sequence - 1
                if part is None or part.count == PART or place != part.first + part.count:
                    self._put(part)
                    part = self._part(place)
                facts[row.sequence] = self._take(part, row)
            self._contents(facts)
        self._put(part)
        while self.claim is not None:
            verify.compare(self.claim, EMPTY if self.claim.size == 0 else None, self.result)
            self.claim = next(self.claims, None)

    def _prepare(self) -> None:
        self.has_tree = sa.inspect(self.connection).has_table("checkpoints")
        result = self.result
        kept = verify.kept_ones(self.previous)
        result.anchors = [Anchor(each.where, each.size, known=True) for each in kept]
        if self.has_tree:
            query = sa.text("SELECT max(size) FROM checkpoints")
            self.stored = self.connection.execute(query).scalar() or 0
            result.anchors += self._anchored()
            result.newest = self._newest_signed()
            result.origin = result.newest.note.origin if result.newest else ""
        self.claims = merge(self._stored(), kept, key=lambda each: each.size)
        self.claim = next(self.claims, None)

    def _anchored(self) -> list[Anchor]:
        """What this database says that anchors took."""
        found: list[Anchor] = []
        query = sa.text("SELECT anchor, size FROM anchored ORDER BY anchor")
        for row in self.connection.execute(query):
            words = f"anchor {verify.shown(row.anchor)}"
            if type(row.size) is not int or row.size < 0:  # SQLite lets any type stand
                self._tamper(None, f"{words}: what it took is no number of entries")
            else:
                found.append(Anchor(words, row.size, known=False))
        return found

    def _newest_signed(self) -> Checkpoint | None:
        query = sa.text(
            "SELECT size, root, note FROM checkpoints WHERE note IS NOT NULL "
            "ORDER BY size DESC LIMIT 1"
        )
        row = self.connection.execute(query).first()
        try:
            note = verify.note_of(str(row.note)) if row else None
        except Malformed:
            return None
        return Checkpoint(note.size, note.root, "the newest checkpoint", note) if note else None

    def _stored(self) -> Iterator[Checkpoint]:
        """Every checkpoint, signed or not, as something that the entries must fit."""
        for row in checkpoint_rows(self.connection) if self.has_tree else ():
            root = _bytes(row.root)
            self.result.checkpoints += row.note is not None
            yield Checkpoint(row.size, root, _where(row), Note("", row.size, root, b"", ()))

    def _part(self, first: int) -> Part:
        self.mine, self.digests = [], []
        while self.claim is not None and self.claim.size <= first + PART:
            self.mine.append(self.claim)
            self.claim = next(self.claims, None)
        sizes = sorted({each.size for each in self.mine if each.size > first})
        return Part(first, sizes, frozenset(self.result.marks))

    def _take(self, part: Part, row: sa.Row[Any]) -> dict[str, Any]:
        """The next row; what its entry says."""
        tampered = part.tampered
        self.seen += 1
        if _bytes(row.previous).hex() != (part.head or self.result.log.head):
            tampered.add(row.sequence, "the column previous is not the hash of the entry before it")
        if row.type == "pruned" and row.body == b"" and isinstance(row.hash, bytes):
            part.take_pruned(row.hash)
            self.digests.append(row.hash)
            return {}
        digest, facts = part.take(_bytes(row.body))
        self.digests.append(digest)
        if digest != _bytes(row.hash):
            tampered.add(row.sequence, "the entry's bytes do not match its hash")
        for problem in _copy_problems(row, facts or {}):
            tampered.add(row.sequence, problem)
        return facts or {}

    def _put(self, part: Part | None) -> None:
        if part is None:
            return
        roots = self.result.log.add(part)
        for claim in self.mine:
            root = EMPTY if claim.size == 0 else roots.get(claim.size)
            verify.compare(claim, root, self.result)
        if self.has_tree and not self.result.log.broken:
            self._compare_nodes(part.first)

    def _compare_nodes(self, first: int) -> None:
        """The stored nodes over the part at hand, against those that its leaves make."""
        made: dict[int, dict[int, bytes]] = {}
        for at in range(0, len(self.digests) - _WIDTH + 1, _WIDTH):
            tile = self.digests[at : at + _WIDTH]
            for level, place, digest in self._filled(0, (first + at) // _WIDTH, tile):
                made.setdefault(level, {})[place] = digest
        query = sa.text(
            "SELECT place, hash FROM nodes WHERE level = :level AND place >= :first "
            "AND place <= :last"
        )
        for level, nodes in made.items():
            places = {"level": level, "first": min(nodes), "last": max(nodes)}
            rows = self.connection.execute(query, places).all()
            self.nodes += len(rows)
            stored = {row.place: _bytes(row.hash) for row in rows}
            for place, digest in nodes.items():
                covered = (place + 1) * _WIDTH**level
                if stored.get(place, digest) != digest:
                    self._tamper(covered, f"the node {level}/{place} is not that of the entries")
                elif place not in stored and covered <= self.stored:
                    self._tamper(covered, f"the node {level}/{place} of the tree is missing")

    def _filled(
        self, level: int, place: int, tile: list[bytes]
    ) -> Iterator[tuple[int, int, bytes]]:
        """The nodes that a full tile makes: its own, and those that this fills above."""
        digest = _node(tile)
        yield level + 1, place, digest
        if level == len(self.tiles):
            self.tiles.append([])
        above = self.tiles[level]
        above.append(digest)
        if len(above) == _WIDTH:
            self.tiles[level] = []
            yield from self._filled(level + 1, place // _WIDTH, above)

    def rest_of_nodes(self) -> None:
        """No node may be there that the entries do not make."""
        count = self.connection.execute(sa.text("SELECT count(*) FROM nodes")).scalar() or 0
        if count != self.nodes and not self.result.log.broken:
            words = f"{count} nodes of the tree are stored; the entries make {self.nodes} of them"
            self._tamper(None, words)

    def signatures(self, keys: list[Key]) -> None:
        """Notes say what their rows say; with keys, they are signed by those that may."""
        known = verify.known_keys(keys, self.result.log)
        bits = 8 if self.result.checkpoints > _MANY else 4
        some = verify.sample(self._notes(), self.result.checkpoints)
        if not keys:
            for _ in some:
                pass
            return
        by = ((each, verify.signers(each.note, known, bits)) for each in some)
        verify.judge(self.result, keys, verify.kept_ones(self.previous), by)

    def _notes(self) -> Iterator[Checkpoint]:
        newest = self.result.newest
        for row in checkpoint_rows(self.connection):
            if row.note is None:
                if newest is not None and row.size < newest.size:
                    self._tamper(None, f"{_where(row)} has lost its signature")
                continue
            try:
                note = verify.note_of(str(row.note))
            except Malformed as error:
                self._tamper(None, f"{_where(row)}: {error}")
                continue
            if (note.size, note.root) != (row.size, row.root):
                self._tamper(None, f"{_where(row)}: what was signed is not what the row says")
            yield Checkpoint(note.size, note.root, _where(row), note)

    def _contents(self, facts: dict[int, dict[str, Any]]) -> None:
        """The content of some entries in a row, against what they committed to."""
        rows = content_rows(self.connection, min(facts), max(facts))
        opened = self.open_rows(self.connection, rows) if self.open_rows and rows else None
        for at, row in enumerate(rows):
            if row.nonce is None:
                both = _bytes(row.salt), _bytes(row.content)
            elif opened is None:
                self.sealed += 1
                continue
            else:
                both = opened[at]
            commitments = facts.get(row.sequence, {}).get("commitments")
            self._content(row, both, verify.object_of(commitments))
        if self.asked:
            # Not `+=`, which drops zeros: what was looked for and not found is known.
            self.gone.update(gone(self.connection, facts, {(r.sequence, r.kind) for r in rows}))

    def _content(
        self, row: sa.Row[Any], both: tuple[bytes, bytes] | None, commitments: dict[str, Any]
    ) -> None:
        kind = verify.shown(row.kind)
        if both is None:
            self._tamper(row.sequence, f"the stored {kind} does not open")
        elif not verify.opens(commitments.get(row.kind), *both):
            self._tamper(row.sequence, f"the stored {kind} is not what the entry committed to")
        else:
            self.opened += 1

    def _tamper(self, sequence: int | None, words: str) -> None:
        self.result.tampered.add(sequence, words)


def _where(row: sa.Row[Any]) -> str:
    return f"the checkpoint of {row.size} entries"


def _node(tile: list[bytes]) -> bytes:
    """The hash over a full tile."""
    while len(tile) > 1:
        pairs = range(0, len(tile), 2)
        tile = [verify.node_hash(tile[at], tile[at + 1]) for at in pairs]
    return tile[0]


def _copy_problems(row: sa.Row[Any], facts: dict[str, Any]) -> Iterator[str]:
    for column, fact in _COPIES.items():
        if facts.get(fact) != getattr(row, column):
            yield f"the column {column} differs from the entry"
    if _moment(facts.get("time")) != _moment(row.time) or _moment(row.time) is None:
        yield "the column time differs from the entry"


def _moment(value: Any) -> datetime | None:
    """A time as either database gives it; SQLite's text is in UTC and does not say so."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bytes(value: Any) -> bytes:
    """SQLite lets anything stand in any column; whoever edits one may have changed its type."""
    return value if isinstance(value, bytes) else str(value).encode()
