"""Exports one form to one place, batch by batch, each entry exactly once by its sequence."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import sqlalchemy as sa

from inwit.errors import SetupError
from inwit.ledger.exports.forms import Form, check, open_part
from inwit.ledger.exports.leaves import (
    PAGE,
    Leaf,
    Selection,
    Standing,
    full_at,
    hash_at,
    last_sequence,
    page,
)
from inwit.ledger.exports.parquet import put_views
from inwit.ledger.exports.parts import File
from inwit.ledger.exports.places import Place
from inwit.ledger.exports.progress import Claim, Progress, State, ranges
from inwit.ledger.exports.statements import Grounds

T = TypeVar("T")

ROWS = 50_000

_ELSEWHERE = "Run `inwit ledger verify`, and export to another place."
_TOLD = 20  # sequences of changed entries that are named


@dataclass
class Told:
    """What one run has done: rows written, by what was left of entries, and some of the bad."""

    rows: int = 0
    batches: int = 0
    pruned: int = 0
    changed: int = 0
    missing: int = 0
    some: list[int] = field(default_factory=list[int])

    @property
    def bad(self) -> int:
        """Entries that are not what they were, and not on purpose."""
        return self.changed + self.missing

    def note(self, leaf: Leaf) -> None:
        """Count an entry that is not intact."""
        match leaf.standing:
            case Standing.INTACT:
                return
            case Standing.PRUNED:
                self.pruned += 1
                return
            case Standing.CHANGED:
                self.changed += 1
            case Standing.MISSING:
                self.missing += 1
        if len(self.some) < _TOLD:
            self.some.append(leaf.sequence)


class Database(Protocol):
    """What is read."""

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on a connection."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported: a form, which entries, and at most how many in a batch."""

    form: Form
    selection: Selection = field(default_factory=Selection)
    grounds: Grounds | None = None
    rows: int = ROWS


class Exporter:
    """One form on its way to one place. `open` it, then `step` until there is nothing left."""

    def __init__(self, database: Database, place: Place, wanted: Wanted) -> None:
        self._database = database
        self._place = place
        self._wanted = wanted
        self._progress = Progress(place, wanted.form.value)
        self._state = State("", wanted.selection.as_json())
        self._ranges: dict[int, int] = {}
        self.told = Told()
        self.begun = False  # whether something was exported here before

    @property
    def form(self) -> Form:
        """Which form it writes."""
        return self._wanted.form

    @property
    def done(self) -> int:
        """The last place that is exported."""
        return self._state.done

    async def open(self) -> None:
        """Find out how far an earlier run has come.

        Raises:
            SetupError: the place holds another export, or cannot be used.
        """
        check(self._wanted.form, self._wanted.grounds)
        ledger = await self._hash(1)
        present = self._progress.names()
        self._ranges = ranges(present)
        state = self._progress.read()
        self.begun = state is not None or bool(present)
        if state is None:
            end = await self._head() if self._wanted.selection.ranged else None
            state = State(ledger, self._wanted.selection.as_json(), end=end)
        self._state = self._checked(state, ledger)
        next_one = self._progress.claim_of(self.done + 1)
        seen = max([*self._ranges.values(), next_one.last if next_one else 0])
        _reaches(seen, await self._same_log())
        if self._wanted.form is Form.PARQUET:
            put_views(self._place)

    async def head(self) -> int:
        """The last place that there is to export now.

        Raises:
            SetupError: the log is no longer the one that was exported.
            LedgerError: the database fails.
        """
        head = await self._same_log()
        return head if self._state.end is None else min(head, self._state.end)

    async def step(self) -> bool:
        """Export the next batch; False where nothing is left.

        Raises:
            SetupError: the place fails, or the log is no longer the one that was exported.
            LedgerError: the database does.
        """
        first, head = self._state.done + 1, await self.head()
        if first > head:
            return False
        claim = await self._claim(first, head)
        if claim.last > head:  # another exporter has seen more: it may be here by now
            _reaches(claim.last, await self._head())
        files, leaf = claim.files, await self._hash(claim.last)
        if files is None:  # they were there when it was noted, wherever they are by now
            files = await self._write(first, claim.last)
            self._progress.complete(first, claim.last, files, leaf)
        elif claim.leaf and claim.leaf != leaf:
            raise _parted(claim.last)
        self._state = replace(self._state, done=claim.last, last=first, files=files, leaf=leaf)
        self._progress.write(self._state)
        self.told.batches += 1
        return True

    async def _head(self) -> int:
        return await self._database.read(last_sequence)

    async def _hash(self, sequence: int) -> str:
        found = await self._database.read(lambda connection: hash_at(connection, sequence))
        return found or ""

    async def _same_log(self) -> int:
        """The ledger's last place, where its log goes on from what is exported.

        It is asked at every look, also where there is nothing to do: a ledger that was restored
        would look like one that stands still. So it is one reading, of two rows by their places.

        Raises:
            SetupError: it only begins like it, or not even that.
        """
        done, leaf = self._state.done, self._state.leaf
        head, there = await self._database.read(
            lambda connection: (last_sequence(connection), leaf and hash_at(connection, done))
        )
        _reaches(done, head)
        if leaf != (there or ""):
            raise _parted(done)
        return head

    def _checked(self, state: State, ledger: str) -> State:
        """The state, where this export may go on from it.

        Raises:
            SetupError: it may not.
        """
        if state.ledger and ledger and state.ledger != ledger:
            raise SetupError("This place holds the export of another ledger. Take another one.")
        if dict(state.selection) != self._wanted.selection.as_json():
            raise SetupError(
                "This place holds an export of other times or tenants. Take another one."
            )
        if any(first <= state.done < last for first, last in self._ranges.items()):
            raise SetupError(
                f"A part goes beyond {self._progress.state_name}, which is not of this export. "
                "Take that file away: what is there already is found by its names."
            )
        return replace(state, ledger=state.ledger or ledger)

    async def _claim(self, first: int, head: int) -> Claim:
        claim = self._progress.claim_of(first)
        if claim is not None:
            return claim
        last = self._ranges.get(first)
        if last is None:
            selection, rows = self._wanted.selection, self._wanted.rows
            last = await self._database.read(
                lambda connection: full_at(connection, selection, first, head, rows)
            )
            later = [each for each in self._ranges if each > first]
            last = min([last, *(each - 1 for each in later)])
        return self._progress.claim(first, last)

    async def _write(self, first: int, last: int) -> tuple[str, ...]:
        """Write the files of a batch, over what an earlier run may have left of the same batch."""
        wanted = self._wanted
        with self._place.scratch() as scratch:
            part = open_part(wanted.form, wanted.grounds, first, last, scratch)
            with contextlib.closing(part):
                async for leaf in self._leaves(first, last):
                    part.add(leaf)
                    self.told.note(leaf)
                files: list[File] = part.files()
            for file in files:
                self._place.put_file(file.name, file.path)
        self.told.rows += part.rows
        return tuple(file.name for file in files)

    async def _leaves(self, first: int, last: int) -> AsyncIterator[Leaf]:
        selection, after = self._wanted.selection, first - 1
        while after < last:
            found = await self._database.read(
                lambda connection, start=after + 1: page(connection, selection, start, last)
            )
            for leaf in found:
                yield leaf
            if not found or (len(found) < PAGE and not selection.whole):
                return
            after = found[-1].sequence


def _reaches(seen: int, head: int) -> None:
    """See that the ledger has what an export to this place has seen of it.

    Raises:
        SetupError: it ends before that. Nobody can tell an old copy from one that will catch up.
    """
    if head < seen:
        raise SetupError(
            f"Exports to this place have seen entries up to {seen}, and the ledger ends at {head}: "
            f"it is not the one that was exported, or an old copy of it. {_ELSEWHERE} (If it is a "
            "replica that is behind, run this again when it has caught up, or on the primary.)"
        )


def _parted(sequence: int) -> SetupError:
    return SetupError(
        f"The ledger's entry {sequence} is not the one that was exported to this place: the two "
        f"logs have parted. {_ELSEWHERE}"
    )
