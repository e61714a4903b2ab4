"""Logs made of nothing, for what a witness sees: trees, signed notes, proofs, answers with them."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from inwit.ledger.merkle import Tree, consistency, inclusion
from inwit.ledger.notes import Checkpoint, SigningKey, signed_note
from tests.client.server import ID, Handler, answer, replies

KEY = SigningKey("log.example", bytes(range(32)))


@dataclass
class Clock:
    """One that goes when the test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Log:
    """A log whose entries from `fork` on are other ones where its name is another."""

    name: str = "right"
    fork: int = 0
    key: SigningKey = KEY
    leaves: list[bytes] = field(default_factory=list[bytes])
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def entry(self, index: int) -> bytes:
        """The bytes of an entry; all are of one response."""
        log = self.name if index >= self.fork else "right"
        facts = {"id": f"ent_{index}", "log": log, "response": ID, "sequence": index + 1}
        return json.dumps(facts, separators=(",", ":")).encode()

    def note(self, size: int, keys: Sequence[SigningKey] = ()) -> str:
        """The checkpoint over the first entries."""
        return signed_note(Checkpoint(self.key.name, size, self._root(size)), keys or [self.key])

    def header(self, size: int) -> str:
        """The same as answers carry it."""
        return as_header(self.note(size))

    def proof(self, old: int, new: int) -> dict[str, Any]:
        """What `/v1/ledger/consistency` answers."""
        leaves = self._first(new)
        hashes = consistency(old, new, _hashes(leaves))
        return {"old": old, "new": new, "proof": _told(hashes)}

    def receipt(self, index: int, size: int) -> dict[str, Any]:
        """What `/v1/receipts/{id}` answers, for an entry's own id or the response's."""
        hashes = inclusion(index, size, _hashes(self._first(size)))
        return {
            "origin": self.key.name,
            "entry": self.entry(index).decode(),
            "index": index,
            "proof": _told(hashes),
            "checkpoint": self.note(size),
        }

    def answers(self, size: int) -> Handler:
        """An answer that carries the checkpoint."""
        return replies(answer(), x_inwit_checkpoint=self.header(size))

    async def proves(self, request: web.Request) -> web.StreamResponse:
        """Answers the question for a proof."""
        assert request.path == "/v1/ledger/consistency"
        old, new = int(request.query["old"]), int(request.query["new"])
        return web.json_response(self.proof(old, new))

    def _root(self, size: int) -> bytes:
        if size not in self.roots:
            tree = Tree()
            for leaf in self._first(size):
                tree.append(leaf)
            self.roots[size] = tree.root()
        return self.roots[size]

    def _first(self, size: int) -> list[bytes]:
        for index in range(len(self.leaves), size):
            self.leaves.append(hashlib.sha256(b"\x00" + self.entry(index)).digest())
        return self.leaves[:size]


def as_header(note: str) -> str:
    """A note in base64."""
    return base64.b64encode(note.encode()).decode()


def _hashes(leaves: list[bytes]) -> Callable[[int, int, int], Sequence[bytes]]:
    """Hashes of the tree's tiles, worked out anew."""

    def of(level: int, start: int, end: int) -> Sequence[bytes]:
        if level == 0:
            return leaves[start:end]
        tree, found = Tree(), dict[int, bytes]()
        for leaf in leaves:
            found |= {n.place: n.hash for n in tree.append(leaf) if n.level == level}
        return [found[place] for place in range(start, end)]

    return of


def _told(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]
