"""A ledger in memory with checkpoints, rotated keys, rulings, erasure, pruning; and its bundle."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, RulingKind
from inwit.decisions import AcceptedRecord, Asked, FailedRecord
from inwit.ledger.bundle import write_bundle
from inwit.ledger.chain import entry_body, leaf_hash
from inwit.ledger.merkle import Tree
from inwit.ledger.notes import Checkpoint, SigningKey, new_key, signed_note
from inwit.ledger.opened import open_rows
from inwit.ledger.tables import CHECKPOINTS, CONTENTS, ENTRIES, NODES
from tests.ledger.case_world import REVIEWERS, World
from tests.ledger.test_store import ORIGIN, RECORD

NAME = "log.example/inwit"
MADE = datetime(2026, 11, 24, 13, tzinfo=UTC)


class SignedWorld(World):
    """A life of a ledger: each step writes entries; `sign` puts a checkpoint over all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = [new_key(NAME)]
        self.responses = 0

    @property
    def vkey(self) -> str:
        """Of the first key: the one that a verifier was given long ago."""
        return self.keys[0].vkey

    def accepted(self, response: str) -> None:
        origin = replace(ORIGIN, response_id=response)
        self.do(lambda each: each.add(AcceptedRecord(origin, self.now, Asked.RESPONSE)))

    def answered(self, count: int = 1) -> None:
        for _ in range(count):
            self.responses += 1
            response = f"resp_a{self.responses}"
            self.accepted(response)
            record = replace(RECORD, origin=replace(ORIGIN, response_id=response), time=self.now)
            self.do(lambda each, record=record: each.add(record))
            self.later(1)

    def failed(self) -> None:
        self.responses += 1
        origin = replace(ORIGIN, response_id=f"resp_f{self.responses}")
        self.accepted(origin.response_id)
        self.do(lambda each: each.add(FailedRecord(origin, self.now, "upstream_timeout")))

    def ruled(self) -> None:
        self.accepted(f"resp_{self.made + 1:032x}")
        case = self.held()
        self.claim(case, REVIEWERS[0], f"token-{case}")
        self.rule(case, REVIEWERS[0], f"token-{case}", RulingKind.APPROVE)
        self.sweep()

    def act(self, kind: ActKind, facts: dict[str, Any]) -> None:
        self.do(lambda each: each.add(ActRecord(kind, self.now, "", None, facts, {})))

    def rotate(self, keys: list[SigningKey]) -> None:
        """Sign by these from now on, and say so before."""
        before, after = ([key.vkey for key in each] for each in (self.keys, keys))
        facts = {
            "vkeys": after,
            "added": [each for each in after if each not in before],
            "removed": [each for each in before if each not in after],
        }
        self.act(ActKind.SIGNING_KEYS, facts)
        self.signing = keys

    signing: list[SigningKey] | None = None

    def sign(self) -> str:
        """The note of a checkpoint over all entries."""
        tree, nodes = Tree(), list[Any]()
        for leaf in self.read(lambda db: db.execute(_LEAVES).scalars().all()):
            nodes += tree.append(leaf)
        keys = self.signing or self.keys
        note = signed_note(Checkpoint(NAME, tree.size, tree.root()), keys)
        row = {"size": tree.size, "root": tree.root(), "time": self.now, "note": note}
        with self.engine.begin() as connection:
            connection.execute(sa.delete(NODES))
            if nodes:
                connection.execute(sa.insert(NODES), [asdict(node) for node in nodes])
            connection.execute(sa.insert(CHECKPOINTS), row)
        return note

    def prune(self, places: Sequence[int]) -> None:
        with self.engine.begin() as connection:
            place = ENTRIES.c.sequence.in_(places)
            connection.execute(sa.delete(CONTENTS).where(CONTENTS.c.sequence.in_(places)))
            connection.execute(
                sa.update(ENTRIES)
                .where(place)
                .values(type="pruned", tenant="", response_id="", body=b"")
            )
        facts = {"rule": "decisions after 30 days", "count": len(places)}
        self.act(ActKind.PRUNED, {**facts, "first": places[0], "last": places[-1]})

    def live(self) -> None:
        """A bit of everything, under eight checkpoints and three sets of keys."""
        self.act(ActKind.SIGNING_KEYS, {"vkeys": [self.vkey], "added": [self.vkey], "removed": []})
        self.answered(3)
        self.sign()
        self.ruled()
        self.failed()
        self.sign()
        second = new_key(NAME)
        self.rotate([*self.keys, second])
        self.answered(4)
        self.sign()
        self.answered(2)
        self.sign()
        self.rotate([second])
        self.answered(2)
        self.sign()
        self.ruled()
        self.act(ActKind.ERASED, {"scope": "end_user", "responses": 2})
        self.sign()
        self.prune([3, 5, 6])
        self.accepted("resp_open")
        self.sign()
        self.answered()
        self.sign()

    def bundle(self, folder: Path) -> Path:
        """Everything, with content."""
        with self.engine.connect() as connection:
            write_bundle(connection, folder, MADE, open_rows)
        return folder


_LEAVES = sa.select(ENTRIES.c.hash).order_by(ENTRIES.c.sequence)


def entries_in(folder: Path) -> list[bytes]:
    """The lines of a bundle's entries."""
    files = sorted((folder / "entries").iterdir())
    return b"".join(file.read_bytes() for file in files).splitlines()


def put_entries(folder: Path, lines: Sequence[bytes], width: int = 1 << 16) -> None:
    """Other lines; the manifest says as many."""
    shutil.rmtree(folder / "entries")
    (folder / "entries").mkdir()
    for at in range(0, len(lines), width):
        text = b"".join(line + b"\n" for line in lines[at : at + width])
        (folder / "entries" / f"{at:012}.jsonl").write_bytes(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "size": len(lines)}))


def notes_in(folder: Path) -> list[dict[str, Any]]:
    """The lines of a bundle's checkpoints."""
    return [json.loads(each) for each in (folder / "checkpoints.jsonl").read_text().splitlines()]


def put_notes(folder: Path, notes: Sequence[dict[str, Any]]) -> None:
    """Other checkpoints, the last of them the newest."""
    lines = [json.dumps(each) + "\n" for each in notes]
    (folder / "checkpoints.jsonl").write_text("".join(lines))
    (folder / "checkpoint").write_text(notes[-1]["note"])


def cut_to(folder: Path, count: int) -> None:
    """The log as it was under its first `count` checkpoints."""
    notes = notes_in(folder)[:count]
    size = notes[-1]["size"]
    put_notes(folder, notes)
    put_entries(folder, entries_in(folder)[:size])
    path = folder / "openings.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if json.loads(line)["sequence"] <= size))


def written_anew(
    folder: Path,
    keys: Sequence[SigningKey],
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> None:
    """As whoever has the keys could: other entries, linked and signed as if they were the first.

    Entries that were pruned are left out before.
    """
    facts = [json.loads(line) for line in entries_in(folder) if not line.startswith(b'{"pruned"')]
    facts = change([each for each in facts if each["type"] not in ("pruned", "signing_keys")])
    tree, previous, lines = Tree(), bytes(32), list[bytes]()
    for sequence, each in enumerate(facts, 1):
        body = entry_body(each, sequence, previous)
        previous = leaf_hash(body)
        tree.append(previous)
        lines.append(body)
    put_entries(folder, lines)
    note = signed_note(Checkpoint(NAME, tree.size, tree.root()), keys)
    put_notes(folder, [{"size": tree.size, "time": MADE.isoformat(), "note": note}])
    (folder / "openings.jsonl").unlink(missing_ok=True)
