"""Checks a ledger of Inwit from outside. It needs this one file and Python 3.9 or newer.

    python3 verify.py BUNDLE --key KEY [--key KEY] [--previous FILE] [--anchored FILE] [--json]
    python3 verify.py receipt FILE --key KEY [--text FILE] [--json]

KEY is the log's public key as its operator published it: NAME+ID+BASE64. FILE of --previous and of
--anchored is a checkpoint that you kept, or that an anchor has: the signed note, or the value of
the header x-inwit-checkpoint, or a folder of files *.checkpoint.

Exit codes: 0 intact, 1 tampered with, 2 incomplete or not anchored, 3 cannot be used so.

It shares no code with what writes the ledger. Everything that it reads may have been written by
somebody who wants it to lie or to fail. The formats: the tree is that of RFC 9162, checkpoints are
those of C2SP (tlog-checkpoint, signed-note), signatures are Ed25519 (RFC 8032).
"""

# ruff: noqa: B905, UP017  # Python 3.9 has neither zip(strict=) nor datetime.UTC

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import sys
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from datetime import datetime, timezone
from functools import lru_cache
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

INTACT, TAMPERED, INCOMPLETE, MISUSE = range(4)

PART = 1 << 16  # entries in a file
_LONGEST_BODY = 65_535
_LONGEST_LINE = 64 << 20
_SHOWN = 20
_OPEN = 10  # responses without an outcome that a person is shown
_PRUNINGS = 200  # entries about pruning, likewise
_GRACE_S = 60.0  # in which an entry may wait for its checkpoint
_MOST_KEYS = 1_000
_SIGNATURES = 20_000  # are looked at one by one; of more, so many spread over all

EMPTY = hashlib.sha256(b"").digest()
GENESIS = "00" * 32

_sha256 = hashlib.sha256


class Misuse(Exception):
    """What was asked for cannot be done: a file or a key is not what it should be."""


class Malformed(Exception):
    """Text that is not what it should be: a note, a checkpoint, a key."""


# Ed25519


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_D2 = 2 * _D % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_ZERO = (0, 1, 1, 0)
_BASE_Y = 4 * pow(5, _P - 2, _P) % _P


class Multiples:
    """A point's multiples, so that each product is a few additions. X, Y, Z, T with T = XY / Z."""

    def __init__(self, point: tuple[int, int, int, int], bits: int) -> None:
        self.bits = bits
        self._rows: list[list[tuple[int, int, int, int]]] = []
        for _ in range(-(-256 // bits)):
            step, row, at = _ready(point), [_ready(_ZERO)], _ZERO
            for _ in range((1 << bits) - 1):
                at = _added(at, step)
                row.append(_ready(at))
            self._rows.append(row)
            point = _added(at, step)

    def add(self, to: tuple[int, int, int, int], times: int) -> tuple[int, int, int, int]:
        """`to` and `times` the point."""
        mask = (1 << self.bits) - 1
        for row in self._rows:
            if times & mask:
                to = _added(to, row[times & mask])
            times >>= self.bits
        return to


def _ready(point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x, y, z, t = point
    return (y - x) % _P, (y + x) % _P, 2 * z % _P, t * _D2 % _P


def _added(
    one: tuple[int, int, int, int], ready: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    x, y, z, t = one
    minus, plus, z2, t2 = ready
    a, b, c, d = (y - x) * minus % _P, (y + x) * plus % _P, t * t2 % _P, z * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point(data: bytes) -> tuple[int, int, int, int] | None:
    """The point that 32 bytes stand for, where they are the only ones that do."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if len(data) != 32 or y >= _P:
        return None
    over, under = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = over * pow(under, 3, _P) * pow(over * pow(under, 7, _P), (_P - 5) // 8, _P) % _P
    if (under * x * x - over) % _P:
        x = x * _ROOT % _P
    if (under * x * x - over) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


@lru_cache(maxsize=8)
def _multiples(public: bytes, bits: int) -> Multiples | None:
    """Of minus the public key. None for a key that is no point, or one of the eight weak ones."""
    point = _point(public)
    if point is None:
        return None
    times8 = point
    for _ in range(3):
        times8 = _added(times8, _ready(times8))
    if times8[0] == 0:
        return None
    x, y, z, t = point
    return Multiples((-x % _P, y, z, -t % _P), bits)


@lru_cache(maxsize=2)
def _base(bits: int) -> Multiples:
    return Multiples(
        cast("tuple[int, int, int, int]", _point(_BASE_Y.to_bytes(32, "little"))), bits
    )


def signed(public: bytes, message: bytes, signature: bytes, bits: int = 4) -> bool:
    """Whether the signature is the key's under the message. `bits` of 8 are faster for many."""
    multiples = _multiples(public, bits)
    if multiples is None or len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    x, y, z, _ = multiples.add(_base(bits).add(_ZERO, scalar), challenge)
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# Signed notes and checkpoints

_DASH = "\N{EM DASH} "
_NAME = re.compile(r"[!-*,-~]{1,128}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class Key(NamedTuple):
    """A public key; `id` are the first bytes of a hash over it, in hexadecimal."""

    name: str
    id: str
    public: bytes


class Note(NamedTuple):
    """A checkpoint with its signatures: the keys' names and ids, and 64 bytes each."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, str, bytes], ...]


def key_of(vkey: str) -> Key:
    """A public key from its text.

    Raises:
        Malformed: it is not one.
    """
    name, _, rest = vkey.partition("+")
    key_id, _, text = rest.partition("+")
    data = _decoded(text)
    if not _NAME.fullmatch(name) or len(data) != 33 or data[0] != 1:
        raise Malformed("not a key of a log: NAME+ID+BASE64")
    if _sha256(name.encode() + b"\n" + data).hexdigest()[:8] != key_id:
        raise Malformed("the key's id is not that of its name and bytes")
    if _point(data[1:]) is None:
        raise Malformed("the key is no point of Ed25519's curve")
    return Key(name, key_id, data[1:])


def note_of(text: str) -> Note:
    """A checkpoint from the text of its note; signatures are taken apart, not checked.

    Raises:
        Malformed: it is not one.
    """
    said, blank, below = text.rpartition("\n\n")
    lines = said.split("\n")
    if not blank or not below.endswith("\n") or len(text) > _LONGEST_BODY or len(lines) < 3:
        raise Malformed("not a signed checkpoint")
    if not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise Malformed("not a checkpoint: origin, size and root are wanted")
    root = _decoded(lines[2])
    if len(root) != 32:
        raise Malformed("not a checkpoint: its root has not 32 bytes")
    signatures = tuple(_signature(line) for line in below[:-1].split("\n")[:17])
    if len(signatures) > 16:
        raise Malformed("a note with more than 16 signatures")
    try:
        return Note(lines[0], int(lines[1]), root, f"{said}\n".encode(), signatures)
    except UnicodeEncodeError as error:
        raise Malformed("not UTF-8") from error


def _signature(line: str) -> tuple[str, str, bytes]:
    name, blank, text = line[len(_DASH) :].partition(" ")
    data = _decoded(text)
    if not line.startswith(_DASH) or not blank or not _NAME.fullmatch(name) or len(data) <= 4:
        raise Malformed("a signature that cannot be read")
    return name, data[:4].hex(), data[4:]


def _decoded(text: str) -> bytes:
    """Base64 in the one form that stands for these bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed("not base64 as it is written")
    return data


def signers(note: Note, keys: Iterable[Key], bits: int = 4) -> frozenset[Key]:
    """Those of the keys that signed the note."""
    found: list[Key] = []
    for key in keys:
        mine = [data for name, id_, data in note.signatures if (name, id_) == (key.name, key.id)]
        if len(mine) == 1 and signed(key.public, note.text, mine[0], bits):
            found.append(key)
    return frozenset(found)


class Named(NamedTuple):
    """An entry that says which keys sign from here on."""

    sequence: int
    keys: tuple[Key, ...]
    removed: tuple[Key, ...]


class Trust:
    """Which keys may sign. Ask about checkpoints in the order of their sizes.

    A key that was not given is trusted from the first checkpoint that a trusted key signed, that
    it signed itself, and that covers an entry which names it.
    """

    def __init__(self, given: Iterable[Key], named: Iterable[Named]) -> None:
        self.trusted = set(given)
        self.keys = set(self.trusted)  # all that were trusted at some time
        self._waiting = deque(sorted(named))
        self._named: set[Key] = set()

    def holds(self, size: int, by: frozenset[Key]) -> bool:
        """Whether a checkpoint of that size, signed by those, is signed by one that may."""
        if not by & self.trusted:
            return False
        removed: set[Key] = set()
        while self._waiting and self._waiting[0].sequence <= size:
            named = self._waiting.popleft()
            self._named = self._named.union(named.keys).difference(named.removed)
            removed = removed.union(named.removed).difference(named.keys)
        self.trusted |= by & self._named
        if (by & self.trusted) - removed:
            self.trusted -= removed
        self.keys |= self.trusted
        return True


# The tree


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return _sha256(b"\x01" + left + right).digest()


def leaf_hash(body: bytes) -> bytes:
    """The hash of one entry's exact bytes."""
    return _sha256(b"\x00" + body).digest()


def folded(peaks: list[bytes], last: bytes) -> bytes:
    """The root over perfect subtrees, the largest first, and what stands to their right."""
    for peak in reversed(peaks):
        last = _sha256(b"\x01" + peak + last).digest()
    return last


def grown(peaks: list[bytes], count: int, digest: bytes) -> None:
    """Add the `count`-th subtree (counted from 0), as large as those before."""
    while count & 1:
        digest = _sha256(b"\x01" + peaks.pop() + digest).digest()
        count >>= 1
    peaks.append(digest)


def included(leaf: bytes, index: int, size: int, proof: Iterable[bytes], root: bytes) -> bool:
    """Whether the proof shows the leaf at that place (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last = index, size - 1
    for each in proof:
        if last == 0 or len(each) != 32:
            return False
        if at & 1 or at == last:
            leaf = node_hash(each, leaf)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            leaf = node_hash(leaf, each)
        at, last = at >> 1, last >> 1
    return last == 0 and leaf == root


def consistent(old: int, size: int, proof: list[bytes], old_root: bytes, root: bytes) -> bool:
    """Whether the proof shows that one tree begins with the other (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= size or any(len(each) != 32 for each in proof):
        return False
    if old in (0, size):
        return not proof and (old_root == root if old else old_root == EMPTY)
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(each, first), node_hash(each, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, each)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == root


# What is found


class Places:
    """What was found, and where: all of it counted, the first kept. A place is a sequence."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int | None, str]] = []

    def add(self, sequence: int | None, words: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append((sequence, words))

    def extend(self, other: Places) -> None:
        """All that another one found."""
        self.first += other.first[: _SHOWN - len(self.first)]
        self.count += other.count

    def lines(self) -> list[str]:
        """For a person."""
        lines = [
            f"entry {sequence}: {words}" if sequence is not None else words
            for sequence, words in self.first
        ]
        rest = self.count - len(self.first)
        return [*lines, f"and {rest} more"] if rest else lines


def shown(text: object, longest: int = 80) -> str:
    """Text of others, safe for any terminal."""
    if isinstance(text, str):
        said = ascii(text[: 2 * longest])[1:-1]
    elif text is None or isinstance(text, (int, float)):
        said = repr(text)
    else:
        said = f"a {type(text).__name__}"
    return said if len(said) <= longest else f"{said[:longest]}..."


def moment(text: object) -> datetime | None:
    """A time as entries write it."""
    try:
        found = datetime.fromisoformat(cast("str", text))
        return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(since: object, until: datetime | None) -> float | None:
    start = moment(since)
    try:
        return (until - start).total_seconds() if start and until else None
    except (OverflowError, ValueError):
        return None


def age(seconds: float | None) -> str:
    """Some seconds, for a person."""
    if seconds is None:
        return "an unknown time"
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


# Entries


def _no_constant(word: str) -> float:
    raise ValueError(word)


# `json.loads` without its looks at type and encoding, which take a third of its time.
_scan: Callable[[str, int], tuple[Any, int]] = cast(
    "Any", json.JSONDecoder(parse_constant=_no_constant)
).scan_once


def facts_of(body: bytes) -> dict[str, Any] | None:
    """What an entry says; None where it is no JSON object in ASCII."""
    try:
        text = body.decode("ascii")
        facts, end = _scan(text, 0)
    except (ValueError, RecursionError, StopIteration):
        return None
    if end != len(text) or not isinstance(facts, dict):
        return None
    return cast("dict[str, Any]", facts)


def object_of(value: object) -> dict[str, Any]:
    """The value where it is a JSON object; an entry that was edited may hold anything."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The same of a JSON list."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int:
    """A number that counts something; -1 for anything else."""
    return value if type(value) is int and 0 <= value < 1 << 62 else -1


# The types of entries that end a response, with what they may say of its outcome.
_ENDS = {
    "decision": ("released", "blocked", "held"),
    "check": ("checked",),
    "cut": ("failed",),
    "failed": ("failed",),
}


class Open(NamedTuple):
    """A response without an outcome: where and when it was accepted, whether a person has it."""

    sequence: int
    time: str
    held: bool


class Event(NamedTuple):
    """A step of a response that was accepted in an earlier part. `step` is held, end or ruled."""

    sequence: int
    response: str
    step: str
    schema: int


class Pruning(NamedTuple):
    """An entry that says which others were pruned; -1 where it does not say it."""

    sequence: int
    entries: int
    first: int
    last: int
    time: str
    rule: str


class Part:
    """Up to 65,536 entries in a row, of which the first has the index `first`.

    `sizes` are sizes of the log, in order, at which the root is wanted; `roots` has that of this
    part alone. `after` has the time of the entry that follows each size in `marks`. Made in one
    process, and handed to another.
    """

    def __init__(
        self, first: int, sizes: Iterable[int] = (), marks: frozenset[int] = frozenset()
    ) -> None:
        self.first, self.count, self._marks = first, 0, marks
        self.after: dict[int, str] = {}
        self.begins: str | None = None  # the hash before it, as its first entry says
        self.head: str | None = None
        self.peaks: list[bytes] = []
        self.roots: dict[int, bytes] = {}
        self._sizes = deque(sizes)
        self.tampered, self.gaps = Places(), Places()
        self.open: dict[str, Open] = {}
        self.ended: dict[str, None] = {}  # accepted here, and ended here
        self.events: list[Event] = []
        self.named: list[Named] = []
        self.pruned = array("q")  # first and last sequence of each run of hashes
        self.prunings: list[Pruning] = []
        self.accepted = array("Q")  # of each response that is accepted here, 64 bits of a hash
        self.accepted_at = array("q")  # and the sequence at which it is
        self.erasures = self.erased_responses = self.commitments = self.old = 0
        self.first_new = 0  # the first entry of schema 5
        self.old_held: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.time = ""  # of the last entry

    def take(self, body: bytes) -> tuple[bytes, dict[str, Any] | None]:
        """The next entry. Its hash, and what it says."""
        sequence = self.first + self.count + 1
        digest = _sha256(b"\x00" + body).digest()
        facts = facts_of(body)
        if facts is None:
            self.tampered.add(sequence, "is no JSON object in ASCII")
        else:
            said = facts.get("sequence")
            if type(said) is not int or said != sequence:
                self.tampered.add(sequence, f"says that it is entry {shown(said, 20)}")
            previous = facts.get("previous")
            if self.count == 0:
                self.begins = previous if isinstance(previous, str) else "nothing"
            elif previous != self.head:
                self.tampered.add(sequence, "does not continue the entry before it")
            self._read(sequence, facts)
        self._grow(digest)
        return digest, facts

    def take_pruned(self, digest: bytes) -> None:
        """The next entry, of which only the hash is left."""
        sequence = self.first + self.count + 1
        if self.pruned and self.pruned[-1] == sequence - 1:
            self.pruned[-1] = sequence
        else:
            self.pruned.extend((sequence, sequence))
        self._grow(digest)

    def _grow(self, digest: bytes) -> None:
        self.head = digest.hex()
        grown(self.peaks, self.count, digest)
        self.count += 1
        size = self.first + self.count
        while self._sizes and self._sizes[0] == size:
            self.roots[self._sizes.popleft()] = folded(self.peaks[:-1], self.peaks[-1])

    def _read(self, sequence: int, facts: dict[str, Any]) -> None:
        self.time = _text(facts.get("time"))[:40]
        if sequence - 1 in self._marks:
            self.after[sequence - 1] = self.time
        commitments = facts.get("commitments")
        if commitments:
            self.commitments += len(object_of(commitments))
        kind, schema = facts.get("type"), facts.get("schema")
        if type(schema) is not int:
            self.tampered.add(sequence, "does not say by which schema it is written")
        elif kind == "accepted":
            self._accept(sequence, facts)
        elif isinstance(kind, str) and kind in _ENDS:
            self._end(sequence, facts, kind, schema)
        elif kind == "outcome":
            self._rule(sequence, facts, schema)
        elif kind == "signing_keys":
            self._name(sequence, object_of(facts.get("facts")))
        elif kind == "pruned":
            said = object_of(facts.get("facts"))
            count, first, last = (_whole(said.get(each)) for each in ("count", "first", "last"))
            rule = _text(said.get("rule"))[:80]
            self.prunings.append(Pruning(sequence, count, first, last, self.time, rule))
        elif kind == "erased":
            self.erasures += 1
            self.erased_responses += max(0, _whole(object_of(facts.get("facts")).get("responses")))

    def _accept(self, sequence: int, facts: dict[str, Any]) -> None:
        self.first_new = self.first_new or sequence
        response = self._response(sequence, facts)
        if response in self.open or response in self.ended:
            self.gaps.add(sequence, f"response {shown(response)} is accepted for a second time")
        elif response:
            self.open[response] = Open(sequence, self.time, held=False)
            self.accepted.append(int.from_bytes(_sha256(response.encode()).digest()[:8], "big"))
            self.accepted_at.append(sequence)

    def _end(self, sequence: int, facts: dict[str, Any], kind: str, schema: int) -> None:
        response = self._response(sequence, facts)
        if not response:
            return
        if schema < 5:
            self.old += 1
            if facts.get("hold"):
                self.old_held.append(response)
            return
        self.first_new = self.first_new or sequence
        outcome = facts.get("outcome")
        if outcome not in _ENDS[kind]:
            self.gaps.add(sequence, f"a {kind} does not say what became of its response")
            return
        step = "held" if outcome == "held" else "end"
        if outcome != "held":
            self.outcomes[str(outcome)] += 1
        found = self.open.get(response)
        if found is None or found.held:
            self._elsewhere(Event(sequence, response, step, schema))
        elif step == "held":
            self.open[response] = found._replace(held=True)
        else:
            self._close(response)

    def _rule(self, sequence: int, facts: dict[str, Any], schema: int) -> None:
        if facts.get("response") == "":  # of a test case: no response has it
            return
        response = self._response(sequence, facts)
        said = object_of(facts.get("facts"))
        if said.get("ending") not in ("ruled", "nobody_ruled"):
            self.gaps.add(sequence, "an outcome does not say how the case ended")
            return
        if not response:
            return
        ruled = "released" if said.get("released") is True else "blocked"
        self.outcomes[ruled if said["ending"] == "ruled" else "expired"] += 1
        found = self.open.get(response)
        if found is None or not found.held:
            self._elsewhere(Event(sequence, response, "ruled", schema))
        else:
            self._close(response)

    def _close(self, response: str) -> None:
        del self.open[response]
        self.ended[response] = None

    def _elsewhere(self, event: Event) -> None:
        """It may fit a response that an earlier part accepted."""
        if event.response in self.open or event.response in self.ended:
            self.gaps.add(event.sequence, _unfit(event))
        else:
            self.events.append(event)

    def _response(self, sequence: int, facts: dict[str, Any]) -> str:
        response = facts.get("response")
        if isinstance(response, str) and 0 < len(response) <= 64 and response.isascii():
            return response
        self.gaps.add(sequence, "does not say which response it is about")
        return ""

    def _name(self, sequence: int, said: dict[str, Any]) -> None:
        try:
            added = [*list_of(said.get("vkeys"))[:64], *list_of(said.get("added"))[:64]]
            keys = tuple(dict.fromkeys(key_of(_text(each)) for each in added))
            gone = tuple(key_of(_text(each)) for each in list_of(said.get("removed"))[:64])
        except Malformed as error:
            self.tampered.add(sequence, f"names keys that cannot be used ({error})")
        else:
            if len(self.named) < _MOST_KEYS:
                self.named.append(Named(sequence, keys, gone))


def _unfit(event: Event) -> str:
    response = shown(event.response)
    if event.step == "ruled":
        return f"an outcome of response {response}, which no person had to rule on at that time"
    return f"an outcome of response {response}, which was not open: not accepted, or ended before"


class Log:
    """Puts parts together, in their order."""

    def __init__(self) -> None:
        self.size = self._full = 0
        self.broken = False
        self.head: str = GENESIS
        self._peaks: list[bytes] = []
        self.tampered, self.gaps = Places(), Places()
        self.open: dict[str, Open] = {}
        self._old_held: set[str] = set()
        self.named: list[Named] = []
        self.pruned = array("q")
        self.prunings: list[Pruning] = []
        self._accepted: list[tuple[array[int], array[int]]] = []  # of each part, in order
        self.erasures = self.erased_responses = self.commitments = self.old = self.unknown = 0
        self.first_new = 0
        self.outcomes: Counter[str] = Counter()
        self.time = ""
        self.after: dict[int, str] = {}

    def add(self, part: Part) -> dict[int, bytes]:
        """The next part; the roots at the sizes that were wanted of it."""
        if part.first != self.size or (self.size % PART and not self.broken):
            words = f"entries are missing between {self.size} and {part.first + 1}"
            self.tampered.add(part.first + 1, words)
            self.broken = True
        elif part.begins is not None and part.begins != self.head:
            self.tampered.add(part.first + 1, "does not continue the entry before it")
        self.tampered.extend(part.tampered)
        self.gaps.extend(part.gaps)
        self._follow(part)
        for name in ("erasures", "erased_responses", "commitments", "old"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.named += part.named[: max(0, _MOST_KEYS - len(self.named))]
        self.prunings += part.prunings
        order = sorted(range(len(part.accepted)), key=part.accepted.__getitem__)
        both = part.accepted, part.accepted_at
        self._accepted.append(
            (
                array("Q", map(both[0].__getitem__, order)),
                array("q", map(both[1].__getitem__, order)),
            )
        )
        self.outcomes.update(part.outcomes)
        self.first_new = self.first_new or part.first_new
        self.time = part.time or self.time
        self.after.update(part.after)
        self.size, self.head = part.first + part.count, part.head or self.head
        if self.broken:
            return {}
        roots = {size: folded(self._peaks, root) for size, root in part.roots.items()}
        if part.count == PART:
            grown(self._peaks, self._full, part.peaks[0])
            self._full += 1
        return roots

    def _follow(self, part: Part) -> None:
        """What its entries say of responses that were accepted before it."""
        self.pruned.extend(part.pruned)
        self._old_held.update(part.old_held)
        for event in part.events:
            found = self.open.get(event.response)
            if found is None or found.held != (event.step == "ruled"):
                self._unfit(event)
            elif event.step == "held":
                self.open[event.response] = found._replace(held=True)
            else:
                del self.open[event.response]
        self.open.update(part.open)

    def _unfit(self, event: Event) -> None:
        if event.step == "ruled" and (event.response in self._old_held or event.schema < 5):
            self._old_held.discard(event.response)
        elif self.pruned and self.pruned[0] < event.sequence:
            self.unknown += 1
        else:
            self.gaps.add(event.sequence, _unfit(event))

    @property
    def pruned_entries(self) -> int:
        """How many entries have only their hash left."""
        return sum(self.pruned[1::2]) - sum(self.pruned[::2]) + len(self.pruned) // 2

    def account(self) -> None:
        """What only all parts together can tell."""
        self._account_for_accepted()
        self._account_for_pruned()

    def _account_for_accepted(self) -> None:
        """No response may be accepted in two parts, however far from each other."""
        before = (-1, 0)
        for each in merge(*(zip(*both) for both in self._accepted)):
            if each[0] == before[0]:
                words = f"its response is accepted for a second time: entry {before[1]} did it"
                self.gaps.add(each[1], words)
            before = each

    def _account_for_pruned(self) -> None:
        """Each hash without an entry must be named by a later entry that says it was pruned."""
        spans = [each for each in self.prunings if each[1] > 0 and each[2] <= each[3] < each[0]]
        spans = sorted(spans, key=lambda each: (each[2], -each[3]))
        at, end = 0, 0
        for first, last in zip(self.pruned[::2], self.pruned[1::2]):
            while at < len(spans) and spans[at][2] <= max(first, end + 1):
                end = max(end, spans[at][3])
                at += 1
            if last > end:
                self.tampered.add(
                    first, "only a hash is left, and no entry says that it was pruned"
                )
        if self.pruned_entries > sum(each[1] for each in spans):
            self.tampered.add(None, "more entries are left out than were pruned")


# A bundle


class Checkpoint(NamedTuple):
    """A checkpoint that must fit the log, and where it was read."""

    size: int
    root: bytes
    where: str
    note: Note


def _read(path: Path, longest: int = 1 << 20) -> str:
    """A small text file.

    Raises:
        Misuse: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise Misuse(f"{shown(str(path))} is no file")
    try:
        with path.open("rb") as file:
            data = file.read(longest + 1)
        if len(data) > longest:
            raise Misuse(f"{shown(str(path))} is larger than {longest} bytes")
        return data.decode()
    except OSError as error:
        raise Misuse(f"{shown(str(path))} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misuse(f"{shown(str(path))} is no text in UTF-8") from error


def _lines(path: Path, longest: int) -> Iterator[bytes | None]:
    """A file's lines without their ends; None, and no more, where one is too long or has no end.

    Raises:
        OSError: it cannot be read. What is no file, such as a pipe, is not waited for.
    """
    if not path.is_file():
        raise FileNotFoundError(2, f"{path.name} is no file")
    with path.open("rb") as file:
        while line := file.readline(longest + 2):
            if not line.endswith(b"\n"):
                yield None
                return
            yield line[:-1]


def _loaded(text: str | bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_PRUNED = re.compile(rb'\{"pruned":"([0-9a-f]{64})"\}')


def read_part(path: str, first: int, sizes: list[int], marks: frozenset[int]) -> Part:
    """One file of entries."""
    part = Part(first, sizes, marks)
    try:
        for line in _lines(Path(path), _LONGEST_BODY):
            if line is None or part.count == PART:
                part.tampered.add(first + part.count + 1, "the file goes on as none should")
                break
            pruned = _PRUNED.fullmatch(line) if line.startswith(b'{"pruned":') else None
            if pruned is None:
                part.take(line)
            else:
                part.take_pruned(bytes.fromhex(pruned[1].decode()))
    except OSError as error:
        part.tampered.add(first + 1, f"its file cannot be read: {error.strerror}")
    return part


class Bundle:
    """A folder as `inwit ledger bundle` writes it.

    Raises:
        Misuse: it is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = object_of(_loaded(_read(folder / "manifest.json")))
        if manifest.get("format") != "inwit-ledger-bundle/1":
            raise Misuse(f"{shown(str(folder))} is no bundle of Inwit's ledger")
        self.origin, self.size = _text(manifest.get("origin")), _whole(manifest.get("size"))
        self.made = moment(manifest.get("made"))
        self.tampered = Places()
        self.checkpoints = 0
        self.listed = -1  # the size of the last checkpoint in the list
        self.newest = self._newest()

    def _newest(self) -> Checkpoint | None:
        if not (self.folder / "checkpoint").exists():
            return None
        try:
            note = note_of(_read(self.folder / "checkpoint"))
        except (Malformed, Misuse) as error:
            self.tampered.add(None, f"checkpoint: {error}")
            return None
        return Checkpoint(note.size, note.root, "the newest checkpoint", note)

    def parts(self, tampered: Places) -> Iterator[tuple[Path, int]]:
        """Its files of entries, with the index that each begins with."""
        folder = self.folder / "entries"
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        for name in names:
            if re.fullmatch(r"[0-9]{12}\.jsonl", name) and int(name[:12]) % PART == 0:
                yield folder / name, int(name[:12])
            else:
                tampered.add(None, f"entries/{shown(name)} has no place in a bundle")

    def signed(self, tampered: Places) -> Iterator[Checkpoint]:
        """All checkpoints, in the order of their sizes. What is none goes to `tampered`."""
        path, last = self.folder / "checkpoints.jsonl", -1
        for number, line in enumerate(_lines(path, 4 * _LONGEST_BODY) if path.exists() else (), 1):
            said = object_of(_loaded(line)) if line is not None else {}
            try:
                note = note_of(_text(said.get("note")))
            except Malformed as error:
                tampered.add(None, f"checkpoints.jsonl, line {number}: {error}")
                continue
            if note.size != said.get("size") or note.size <= last:
                words = "its size is not that of its note, or not larger than the one before"
                tampered.add(None, f"checkpoints.jsonl, line {number}: {words}")
                continue
            last = note.size
            yield Checkpoint(note.size, note.root, f"the checkpoint of {note.size} entries", note)

    def anchored(self) -> list[Anchor]:
        """What the bundle says of where its checkpoints were anchored."""
        if not (self.folder / "anchored.json").exists():
            return []
        try:
            return anchors_of(_read(self.folder / "anchored.json"))
        except (Malformed, Misuse) as error:
            self.tampered.add(None, f"anchored.json: {error}")
            return []


def anchors_of(text: str) -> list[Anchor]:
    """A list of anchors, each with the size that it has confirmed.

    Raises:
        Malformed: it is none.
    """
    said = _loaded(text)
    found = (
        [object_of(each) for each in cast("list[Any]", said)] if isinstance(said, list) else None
    )
    if found is None or any(_whole(each.get("size")) < 0 for each in found):
        raise Malformed("not a list of anchors")
    return [
        Anchor(f"anchor {shown(_text(each.get('anchor')))}", _whole(each.get("size")), known=False)
        for each in found[:100]
    ]


class Anchor(NamedTuple):
    """Something outside the log that vouches for its beginning. `known` by whoever checks."""

    words: str
    size: int
    known: bool


class Result:
    """All that is told at the end."""

    def __init__(self) -> None:
        self.origin = ""
        self.log = Log()
        self.tampered, self.gaps = Places(), Places()
        self.newest: Checkpoint | None = None
        self.checkpoints = self.signatures = 0
        self.keys: list[Key] | None = None  # None: nobody asks who signed, or whether it is
        self.anchors: list[Anchor] = []
        self.openings: int | None = None  # None: there is no content here
        self.sealed = 0  # pieces of content by keys that are not here
        self.gone: dict[str, int] | None = None  # missing pieces, by why: None is not known
        self.until: datetime | None = None  # ages are told as of then

    @property
    def code(self) -> int:
        """The exit code."""
        if self.tampered.count:
            return TAMPERED
        return INCOMPLETE if self.gaps.count else INTACT

    @property
    def marks(self) -> set[int]:
        """Sizes after which it matters when the next entry was written."""
        newest = {self.newest.size} if self.newest else {0}
        return {0} | newest | {each.size for each in self.anchors}

    @property
    def outside(self) -> int:
        """The size up to which something that the verifier was given vouches for the entries."""
        return max([each.size for each in self.anchors if each.known] or [0])


def verify_bundle(
    folder: Path, keys: list[Key], kept: list[Note], processes: int | None = None
) -> Result:
    """Check a bundle against keys and checkpoints that were kept elsewhere.

    Raises:
        Misuse: it is no bundle.
    """
    bundle, result = Bundle(folder), Result()
    result.keys = keys
    result.origin, result.newest = bundle.origin, bundle.newest
    claims = kept_ones(kept)
    result.anchors = bundle.anchored() + [Anchor(each.where, each.size, True) for each in claims]
    try:
        with Workers(processes or _cores(folder)) as workers:
            _walk(bundle, result, claims, workers)
            _check_signatures(bundle, result, keys, claims, workers)
    except BrokenExecutor as error:
        raise Misuse("a process that read the entries was ended by the system") from error
    _check_openings(bundle, result)
    result.log.account()
    if result.log.size != bundle.size:
        words = f"{result.log.size} entries are here; the manifest says {bundle.size}"
        result.tampered.add(None, words)
    result.checkpoints = bundle.checkpoints
    result.tampered.extend(bundle.tampered)
    conclude(result, bundle.made)
    if not result.outside:
        result.gaps.add(None, "nothing outside this bundle vouches for it: give --previous")
    return result


def conclude(result: Result, until: datetime | None) -> None:
    """What can be said once all was read."""
    result.tampered.extend(result.log.tampered)
    result.gaps.extend(result.log.gaps)
    last = moment(result.log.time)
    result.until = max((each for each in (until, last) if each), default=None)
    for anchor in result.anchors:
        if anchor.size > result.log.size:
            words = f"{anchor.words}: {anchor.size} entries; the log was rolled back or cut"
            result.tampered.add(None, words)
    if result.keys is not None and not result.keys:
        words = "no key of the log is here, so no signature was looked at: give --key"
        result.gaps.add(None, words)
    if result.newest is None:
        if result.keys is not None and result.log.size:
            result.gaps.add(None, "there is no checkpoint, so nothing vouches for the entries")
        return
    beyond = result.log.size - result.newest.size
    if beyond > 0:
        seconds = _seconds(result.log.after.get(result.newest.size), result.until)
        if seconds is None or seconds > _GRACE_S:
            words = f"{beyond} entries are under no checkpoint, since {age(seconds)}"
            result.gaps.add(result.newest.size + 1, words)


def kept_ones(notes: Iterable[Note]) -> list[Checkpoint]:
    """Checkpoints that somebody kept, the smallest first."""
    ordered = sorted(notes, key=lambda each: each.size)
    words = "the checkpoint of {} entries that you kept"
    return [Checkpoint(each.size, each.root, words.format(each.size), each) for each in ordered]


class Workers:
    """Processes that read parts, or this one alone."""

    def __init__(self, count: int) -> None:
        self._pool: Executor | None = None
        try:
            self._pool = ProcessPoolExecutor(count) if count > 1 else None
        except (ImportError, NotImplementedError, OSError):  # where a system has no semaphores
            count = 1
        self.ahead = 2 * count if count > 1 else 1

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def start(self, work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Begin; what is given back waits for the end."""
        if self._pool is None:
            done = work(*arguments)
            return lambda: done
        future: Future[Any] = self._pool.submit(work, *arguments)
        return future.result


def _cores(folder: Path) -> int:
    """More than one process only where there is enough to do."""
    entries = folder / "entries"
    files = len(os.listdir(entries)) if entries.is_dir() else 0
    return min(os.cpu_count() or 1, 16) if files > 2 else 1


def _walk(bundle: Bundle, result: Result, kept: list[Checkpoint], workers: Workers) -> None:
    """All entries once; every checkpoint must be the root at its size."""
    claims = merge(_counted(bundle), kept, key=lambda each: each.size)
    waiting: deque[tuple[list[Checkpoint], Callable[[], Part]]] = deque()
    claim = next(claims, None)
    marks = frozenset(result.marks)
    while claim is not None and claim.size == 0:
        compare(claim, EMPTY, result)
        claim = next(claims, None)
    for path, first in bundle.parts(bundle.tampered):
        mine: list[Checkpoint] = []
        while claim is not None and claim.size <= first + PART:
            mine.append(claim)
            claim = next(claims, None)
        sizes = sorted({each.size for each in mine})
        waiting.append((mine, workers.start(read_part, str(path), first, sizes, marks)))
        while len(waiting) >= workers.ahead:
            _put(waiting.popleft(), result)
    while waiting:
        _put(waiting.popleft(), result)
    while claim is not None:
        compare(claim, None, result)
        claim = next(claims, None)


def _counted(bundle: Bundle) -> Iterator[Checkpoint]:
    last = None
    for last in bundle.signed(bundle.tampered):
        bundle.checkpoints += 1
        bundle.listed = last.size
        yield last
    newest = bundle.newest
    if newest is None:
        if last is not None:
            bundle.tampered.add(None, "there are checkpoints, but not the newest one")
    elif last is None or newest.size > last.size:
        bundle.checkpoints += 1
        yield newest
    elif newest.note != last.note:
        words = f"an old checkpoint, of {newest.size} entries, stands in the newest one's place"
        bundle.tampered.add(None, words)


def _put(waiting: tuple[list[Checkpoint], Callable[[], Part]], result: Result) -> None:
    claims, part = waiting
    roots = result.log.add(part())
    for claim in claims:
        compare(claim, roots.get(claim.size), result)


def compare(claim: Checkpoint, root: bytes | None, result: Result) -> None:
    """Hold a checkpoint against the root of the entries; None where there is none."""
    if root is None and claim.size > result.log.size:
        here = f"here are {result.log.size}"
        result.tampered.add(None, f"{claim.where}: {here}, the log was rolled back or cut")
    elif root is None:
        result.tampered.add(None, f"{claim.where}: entries are missing, so it cannot be checked")
    elif root != claim.root:
        words = "the entries here are others than those it was made for"
        result.tampered.add(None, f"{claim.where}: {words}")


# Signatures


def _check_signatures(
    bundle: Bundle, result: Result, keys: list[Key], kept: list[Checkpoint], workers: Workers
) -> None:
    bits = 8 if bundle.checkpoints > 200 else 4
    known = known_keys(keys, result.log)
    some = sample(bundle.signed(Places()), bundle.checkpoints)
    newest = bundle.newest
    some = chain(some, [newest] if newest and newest.size != bundle.listed else [])
    judge(result, keys, kept, _signers(some, known, bits, workers))


def known_keys(keys: Iterable[Key], log: Log) -> list[Key]:
    """The keys that were given, and those that the log names."""
    return list(dict.fromkeys([*keys, *(key for each in log.named for key in each.keys)]))


def judge(
    result: Result,
    keys: list[Key],
    kept: list[Checkpoint],
    signed_by: Iterable[tuple[Checkpoint, frozenset[Key]]],
) -> None:
    """Whether each checkpoint, the smallest first, is signed by a key that may."""
    named, origin = result.log.named, result.origin
    if result.newest is not None and all(key.name != origin for key in keys):
        words = f"this is the log {shown(origin)}; the key is not of it"
        result.tampered.add(None, words)
    trust, best = Trust(keys, named), 0
    strange: list[tuple[Checkpoint, frozenset[Key]]] = []
    for checkpoint, by in signed_by:
        result.signatures += 1
        if checkpoint.note.origin != origin:
            words = f"it is of another log, {shown(checkpoint.note.origin)}"
            result.tampered.add(None, f"{checkpoint.where}: {words}")
        elif _forged(checkpoint.note, by):
            words = "a signature in the log's name is not by a key that the log names"
            result.tampered.add(None, f"{checkpoint.where}: {words}")
        elif trust.holds(checkpoint.size, by):
            best = checkpoint.size
        else:
            strange.append((checkpoint, by))
    # A key of before, where only today's is given: the entries under today's signature name it.
    before = {key for each in named if each.sequence <= best for key in each.keys}
    for checkpoint, by in strange:
        if checkpoint.size >= best or not by & before:
            words = "it is not signed by a key that you gave, or by one that took its place"
            result.tampered.add(None, f"{checkpoint.where}: {words}")
    _judge_kept(result, trust.keys | before, kept)


def _judge_kept(result: Result, keys: set[Key], kept: list[Checkpoint]) -> None:
    for each in kept:
        by_log = bool(signers(each.note, keys))
        if by_log and result.newest is None:
            words = "it was signed, and there is no checkpoint here any more"
            result.tampered.add(None, f"{each.where}: {words}")
        elif not by_log or each.note.origin != result.origin:
            words = "it is not signed by a key of this log: one of the two is of another log"
            result.tampered.add(None, f"{each.where}: {words}")


def _forged(note: Note, by: frozenset[Key]) -> bool:
    """Whether it carries a signature in the log's name that no known key made."""
    good = {(key.name, key.id) for key in by}
    return any(
        name == note.origin and (name, key_id) not in good for name, key_id, _ in note.signatures
    )


def _signers(
    checkpoints: Iterable[Checkpoint], keys: list[Key], bits: int, workers: Workers
) -> Iterator[tuple[Checkpoint, frozenset[Key]]]:
    """Checkpoints in order, each with those who signed it."""
    waiting: deque[tuple[list[Checkpoint], Callable[[], list[frozenset[Key]]]]] = deque()
    for some in _batches(checkpoints):
        notes = [each.note for each in some]
        waiting.append((some, workers.start(_all_signers, notes, keys, bits)))
        if len(waiting) >= workers.ahead:
            done, by = waiting.popleft()
            yield from zip(done, by())
    for done, by in waiting:
        yield from zip(done, by())


def _all_signers(notes: list[Note], keys: list[Key], bits: int) -> list[frozenset[Key]]:
    return [signers(note, keys, bits) for note in notes]


def sample(checkpoints: Iterable[Checkpoint], count: int) -> Iterator[Checkpoint]:
    """All of `count`, or so many; the last, and each with other signers than the one before."""
    stride = count // _SIGNATURES + 1
    before, last = None, None
    for number, each in enumerate(checkpoints):
        by = [signature[:2] for signature in each.note.signatures]
        last = None if number % stride == 0 or by != before else each
        if last is None:
            yield each
        before = by
    if last is not None:
        yield last


def _batches(all_: Iterable[Checkpoint]) -> Iterator[list[Checkpoint]]:
    some: list[Checkpoint] = []
    for each in all_:
        some.append(each)
        if len(some) == 256:
            yield some
            some = []
    if some:
        yield some


# Content


def opens(commitment: object, salt: bytes, content: bytes) -> bool:
    """Whether this is the content that an entry committed to."""
    found = hmac.new(salt, content, hashlib.sha256).hexdigest()
    return (
        isinstance(commitment, str)
        and commitment.isascii()
        and hmac.compare_digest(found, commitment)
    )


def _salt(text: str) -> bytes:
    """Hexadecimal in the one form that stands for these bytes."""
    try:
        salt = bytes.fromhex(text)
    except ValueError as error:
        raise Malformed("its salt cannot be read") from error
    if salt.hex() != text:
        raise Malformed("its salt is not written as it should be")
    return salt


def _check_openings(bundle: Bundle, result: Result) -> None:
    """The content in a bundle, against the entries; both in the order of the sequence."""
    path = bundle.folder / "openings.jsonl"
    if not path.exists():
        return
    result.openings = 0
    bodies, at, facts = _bodies(bundle), 0, dict[str, Any]()
    last: tuple[int, str] = (0, "")
    for number, line in enumerate(_lines(path, _LONGEST_LINE), 1):
        said = object_of(_loaded(line)) if line is not None else {}
        wanted, kind = _whole(said.get("sequence")), _text(said.get("kind"))
        if (wanted, kind) <= last:
            words = "not an opening, or not in order"
            result.tampered.add(None, f"openings.jsonl, line {number}: {words}")
            continue
        last = wanted, kind
        while at < wanted:
            at, body = next(bodies, (1 << 62, b""))
            facts = (facts_of(body) or {}) if at == wanted else {}
        try:
            salt, content = _salt(_text(said.get("salt"))), _decoded(_text(said.get("content")))
        except Malformed as error:
            result.tampered.add(wanted, f"its {shown(kind)}: {error}")
            continue
        if at != wanted or not opens(object_of(facts.get("commitments")).get(kind), salt, content):
            result.tampered.add(wanted, f"its {shown(kind)} is not what it committed to")
        else:
            result.openings += 1


def _bodies(bundle: Bundle) -> Iterator[tuple[int, bytes]]:
    for path, first in bundle.parts(Places()):
        try:
            for number, line in enumerate(_lines(path, _LONGEST_BODY), first + 1):
                yield number, line or b""
        except OSError:
            return


# One receipt


class Receipt:
    """One entry with the proof that it is in the log, as `GET /v1/receipts/ID` gives it."""

    def __init__(self, text: str, keys: list[Key], released: bytes | None) -> None:
        self.tampered = Places()
        said = object_of(_loaded(text))
        entry, proof, index = said.get("entry"), said.get("proof"), _whole(said.get("index"))
        if not isinstance(entry, str) or not isinstance(proof, list) or index < 0:
            raise Misuse("this is no receipt: entry, index, proof and checkpoint are wanted")
        body = entry.encode(errors="replace")
        self.facts = facts_of(body) or {}
        if not self.facts:
            self.tampered.add(None, "the entry is no JSON object in ASCII")
        if self.facts.get("sequence") != index + 1:
            self.tampered.add(None, "the entry has another place than the receipt says")
        self.size = 0
        try:
            self._check(said, leaf_hash(body), index, keys)
        except Malformed as error:
            self.tampered.add(None, f"proof or checkpoint: {error}")
        self.opened: list[str] = []
        for kind, opening in sorted(object_of(said.get("openings")).items()):
            self._open(kind, object_of(opening), released if kind == "released" else None)
        if released is not None and "released" not in self.opened:
            self.tampered.add(None, "the text is not shown to be the released one")

    def _check(self, said: dict[str, Any], leaf: bytes, index: int, keys: list[Key]) -> None:
        note = note_of(_text(said.get("checkpoint")))
        proof = [_decoded(_text(each)) for each in list_of(said.get("proof"))[:64]]
        self.size = note.size
        if not signers(note, [key for key in keys if key.name == note.origin]):
            self.tampered.add(None, "the checkpoint is not signed by a key that you gave")
        if said.get("origin") not in (None, note.origin):
            self.tampered.add(None, "the checkpoint is of another log than the receipt says")
        if not included(leaf, index, note.size, proof, note.root):
            self.tampered.add(None, "the proof does not lead from the entry to the checkpoint")

    def _open(self, kind: str, opening: dict[str, Any], text: bytes | None) -> None:
        commitment = object_of(self.facts.get("commitments")).get(kind)
        try:
            salt = _salt(_text(opening.get("salt")))
            told = opening.get("content")
            content = text if told is None else _decoded(_text(told))
        except Malformed as error:
            self.tampered.add(None, f"{shown(kind)}: {error}")
            return
        if content is None:
            return
        if not opens(commitment, salt, content):
            self.tampered.add(None, f"{shown(kind)} is not what the entry committed to")
        elif text is not None and text not in (content, _said(content)):
            self.tampered.add(None, f"{shown(kind)} is another text")
        else:
            self.opened.append(kind)

    @property
    def code(self) -> int:
        """The exit code."""
        return TAMPERED if self.tampered.count else INTACT

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        names = ("type", "response", "time", "outcome", "action")
        told = {each: shown(self.facts.get(each)) for each in names if each in self.facts}
        found = {"result": _RESULTS[self.code], "problems": self.tampered.lines()}
        return {**found, "entry": told, "checkpoint_size": self.size, "opened": self.opened}

    def words(self) -> list[str]:
        """For a person."""
        said = self.as_json()
        told = ", ".join(f"{name} {value}" for name, value in said["entry"].items())
        lines = [f"{_HEADLINES[self.code]}", f"The entry: {told}."]
        lines += [f"  {shown(each, 300)}" for each in self.tampered.lines()]
        if self.code == INTACT:
            lines.append(f"It is one of the {self.size} entries under the signed checkpoint.")
            lines += [f"What it committed to as {shown(each)} is here." for each in self.opened]
        return [
            *lines,
            "Not proven by this: that what the entry says is true, and what other",
            _ONE,
        ]


_ONE = "entries there are. Another checkpoint of the same log may contradict this one."


def _said(content: bytes) -> bytes | None:
    """The text in a released answer."""
    text = object_of(_loaded(content)).get("text")
    return text.encode(errors="replace") if isinstance(text, str) else None


# Words

_RESULTS = ("intact", "tampered", "incomplete", "misuse")
_HEADLINES = (
    "INTACT: nothing was found wrong.",
    "TAMPERED WITH: this is not what was signed.",
    "INCOMPLETE OR NOT ANCHORED: nothing was found changed, but not all can be shown.",
)


def not_proven(result: Result) -> list[str]:
    """What a person might believe and this did not show."""
    log, outside = result.log, result.outside
    since = log.after.get(outside)
    tail = f"that the last {log.size - outside} entries"
    tail += f" (since {shown(since)})" if since else ""
    lines = [
        "that what the entries say is true: only that it was not changed afterwards;",
        "that everything was logged: what was never written cannot be missed;",
        f"{tail} were not cut or replaced before anybody outside kept a checkpoint of them;",
        "what was erased: only that entries said something about it, and what they said;",
        "who holds the key: whoever has it can sign another log. Ask its owner for it directly.",
    ]
    if log.size <= outside:
        lines[2] = "that nothing was written after these entries;"
    if any(not each.known for each in result.anchors):
        lines.append("that the anchors say what is said of them here: ask them.")
    return lines


def as_json(result: Result) -> dict[str, Any]:
    """All of it, for a program."""
    log, newest = result.log, result.newest
    opened = sorted(log.open.items(), key=lambda each: each[1].sequence)
    return {
        "result": _RESULTS[result.code],
        "origin": shown(result.origin),
        "entries": log.size,
        "head": log.head,
        "checkpoint": {"size": newest.size, "root": newest.root.hex()} if newest else None,
        "checkpoints": result.checkpoints,
        "signatures": result.signatures,
        "keys": [f"{key.name}+{key.id}" for key in result.keys or ()],
        "not_checked": not_checked(result),
        "tampered": {"count": result.tampered.count, "first": result.tampered.lines()},
        "incomplete": {"count": result.gaps.count, "first": result.gaps.lines()},
        "outcomes": dict(log.outcomes),
        "open": {
            "count": len(opened),
            "oldest": [_open(name, each, result.until) for name, each in opened[:_SHOWN]],
        },
        "before_schema_5": log.old,
        "erased": {"entries": log.erasures, "responses": log.erased_responses},
        "content": _content(result),
        "pruned": {
            "entries": log.pruned_entries,
            "outcomes_unknown": log.unknown,
            "by": [_pruning(each) for each in log.prunings],
        },
        "anchors": [
            {"what": each.words, "size": each.size, "yours": each.known} for each in result.anchors
        ],
        "not_proven": not_proven(result),
    }


def _content(result: Result) -> dict[str, int | None]:
    """Pieces of content, by what became of them. None: this cannot tell."""
    opened, gone = result.openings, result.gone or {}
    missing = result.log.commitments - (opened or 0) - result.sealed
    missing = missing if result.gone is None else sum(gone.values())
    return {
        "committed": result.log.commitments,
        "opened": opened,
        "sealed": result.sealed,
        "missing": missing,
        "erased": gone.get("erased"),
        "expired": gone.get("expired"),
        "unexplained": gone.get("unexplained"),
    }


def _pruning(each: Pruning) -> dict[str, Any]:
    told = {"entry": each.sequence, "time": shown(each.time), "rule": shown(each.rule)}
    return {**told, "count": each.entries, "first": each.first, "last": each.last}


def not_checked(result: Result) -> list[str]:
    """What was not looked at this time, and could be."""
    lines: list[str] = []
    if not result.keys:
        lines.append("who signed the checkpoints: there is no key to check it with")
    elif result.newest is None:
        lines.append("who signed: there is no checkpoint")
    elif result.signatures < result.checkpoints:
        rest = result.checkpoints - result.signatures
        lines.append(f"the signatures of {rest} checkpoints; their roots were compared")
    if not result.outside:
        lines.append("that this is the log which others saw: no checkpoint that was kept was given")
    if result.openings is None:
        lines.append("content: none is here")
    if result.sealed:
        lines.append(f"{result.sealed} pieces of content, sealed by keys that are not here")
    return lines


def _open(name: str, each: Open, until: datetime | None) -> dict[str, Any]:
    seconds = _seconds(each.time, until)
    return {"response": shown(name), "entry": each.sequence, "held": each.held, "age_s": seconds}


def words(result: Result) -> list[str]:
    """All of it, for a person."""
    said, log = as_json(result), result.log
    lines = [_HEADLINES[result.code]]
    for found in (result.tampered, result.gaps):
        lines += [f"  {shown(each, 300)}" for each in found.lines()]
    lines += ["", f"Log {said['origin']}: {log.size} entries, the head is {log.head[:16]}."]
    if result.newest:
        root = result.newest.root.hex()[:16]
        lines.append(f"Newest checkpoint: {result.newest.size} entries, root {root}.")
    told = f"Checkpoints: {result.checkpoints}, signatures checked: {result.signatures}"
    rest = result.checkpoints - result.signatures
    lines.append(f"{told}{'; the roots of all were compared' if rest > 0 else ''}.")
    if result.keys is not None:
        lines += [f"Not checked: {each}." for each in not_checked(result)]
    known = [each for each in result.anchors if each.known]
    if known:
        more = f" and {len(known) - 1} smaller ones" if known[1:] else ""
        lines.append(f"Vouched for by {known[-1].words}{more}.")
    lines += [
        f"Said to be anchored: {each.words}, {each.size} entries."
        for each in result.anchors
        if not each.known
    ]
    told = ", ".join(f"{count} {name}" for name, count in sorted(log.outcomes.items()))
    lines.append(f"Responses: {told or 'none ended'}, {len(log.open)} open.")
    for each in said["open"]["oldest"][:_OPEN]:
        where = "waits for a person" if each["held"] else "no outcome yet"
        if log.pruned and log.pruned[-1] > each["entry"]:
            where = "no outcome is here: it may have been pruned"
        since = age(each["age_s"])
        lines.append(f"  open for {since}: {each['response']} (entry {each['entry']}), {where}")
    if len(log.open) > _OPEN:
        lines.append(f"  and {len(log.open) - _OPEN} more")
    lines += _kept_and_gone(result)
    return [*lines, "", "Not proven by this:", *(f"- {each}" for each in not_proven(result))]


def _kept_and_gone(result: Result) -> list[str]:
    log, lines = result.log, list[str]()
    if log.old:
        lines.append(f"Before schema 5: {log.old} responses, of which completeness is not known.")
    lines += _content_words(result)
    if log.erasures:
        told = f"{log.erasures} erasures, {log.erased_responses} responses"
        lines.append(f"Erased on request: {told}. The entries stand, and their proofs hold.")
    if log.pruned_entries:
        told = f"{log.pruned_entries} entries, of which the hash is left"
        lines.append(f"Pruned: {told}. The outcome of {log.unknown} responses went with them.")
    if log.prunings:
        lines.append("Said to be pruned; hold it against the retention that was set:")
    for each in log.prunings[:_PRUNINGS]:
        rule = f"{each.entries} of the entries {each.first} to {each.last}, by {shown(each.rule)}"
        lines.append(f"  entry {each.sequence}, {shown(each.time)}: {rule}")
    if len(log.prunings) > _PRUNINGS:
        lines.append(f"  and {len(log.prunings) - _PRUNINGS} more: --json has all of them")
    return lines


def _content_words(result: Result) -> list[str]:
    told = _content(result)
    committed, missing = told["committed"], told["missing"]
    if result.openings is None:
        return [f"Content: {committed} pieces were committed to; none of it is here."]
    lines = [f"Content: {committed} pieces were committed to, {result.openings} are here and fit."]
    if result.sealed:
        lines.append(f"  {result.sealed} are sealed by keys that are not here.")
    if missing and result.gone is None:
        why = "erased, deleted when their time was over, left out, or taken away"
        lines.append(f"  {missing} are not here: {why}; this cannot tell which.")
    elif missing:
        said = f"{told['erased']} erased on request, {told['expired']} deleted when their time was"
        lines.append(f"  {missing} are not here. The database says of them: {said} over;")
        lines.append(f"  of {told['unexplained']} nothing says why they are gone.")
    return lines


# The command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Misuse(message)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="verify.py",
        description=(__doc__ or "").split("\n\n")[0],
        epilog=(__doc__ or "").split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    receipt = argv[:1] == ["receipt"]
    parser.add_argument("path", type=Path, help="a receipt" if receipt else "a bundle's folder")
    parser.add_argument("--key", action="append", default=[], help="the log's public key")
    parser.add_argument("--json", action="store_true", help="one JSON object, for a program")
    if receipt:
        parser.add_argument("--text", type=Path, help="a file with the text that you got")
    else:
        parser.add_argument("--previous", type=Path, action="append", default=[])
        parser.add_argument("--anchored", type=Path, action="append", default=[])
    found = parser.parse_args(argv[1:] if receipt else argv)
    found.receipt = receipt
    return found


def keys_of(texts: Iterable[str]) -> list[Key]:
    """Public keys as they were given.

    Raises:
        Misuse: one cannot be used.
    """
    try:
        return [key_of(each.strip()) for each in texts]
    except Malformed as error:
        raise Misuse(f"--key: {error}") from error


def kept_notes(path: Path) -> list[Note]:
    """The checkpoint in a file, as it is or in base64 as a header has it; or all in a folder.

    Raises:
        Misuse: there is none, or something that is none.
    """
    if path.is_dir():
        found = [kept_notes(each)[0] for each in sorted(path.glob("*.checkpoint"))]
        if not found:
            raise Misuse(f"{shown(str(path))} has no file *.checkpoint")
        return found
    text = _read(path)
    try:
        if "\n" not in text.strip():
            text = _decoded(text.strip()).decode()
        return [note_of(text)]
    except (Malformed, UnicodeDecodeError) as error:
        raise Misuse(f"{shown(str(path))} is no checkpoint") from error


def run(argv: list[str]) -> tuple[int, list[str]]:
    """Do what the arguments say: the exit code, and lines to print.

    Raises:
        Misuse: it cannot be done.
    """
    asked = _arguments(argv)
    keys = keys_of(asked.key)
    if not keys:
        raise Misuse("give the log's public key: --key NAME+ID+BASE64")
    if asked.receipt:
        text = _read(asked.text, _LONGEST_LINE).encode() if asked.text else None
        receipt = Receipt(_read(asked.path, _LONGEST_LINE), keys, text)
        return receipt.code, [_dumped(receipt.as_json())] if asked.json else receipt.words()
    kept = [note for path in [*asked.previous, *asked.anchored] for note in kept_notes(path)]
    result = verify_bundle(asked.path, keys, kept)
    return result.code, [_dumped(as_json(result))] if asked.json else words(result)


def _dumped(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1)


def main(argv: list[str] | None = None) -> int:
    """The command: its exit code."""
    try:
        code, lines = run(sys.argv[1:] if argv is None else argv)
    except Misuse as error:
        sys.stderr.write(f"{shown(str(error), 500)}\n")
        return MISUSE
    except OSError as error:
        sys.stderr.write(f"a file cannot be read: {shown(str(error.strerror))}\n")
        return MISUSE
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
