"""The caller as a witness of the ledger's log: it may only grow, and never change.

Each answer of the gateway carries a checkpoint. A `Witness` keeps the last one, and compares: see
"Your client is a witness" in docs/client.md. The requests for proofs are made by `connection`.
"""

import logging
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inwit.client.checkpoints import (
    LONGEST_NOTE,
    Checkpoint,
    only_grew,
    read_hashes,
    read_header,
    read_note,
)
from inwit.client.errors import BadAnswer, Forked
from inwit.client.parsing import Fields

CHECKPOINT = "x-inwit-checkpoint"
PROOF_S = 5.0  # the longest that a call waits for proofs, once it has its answer
AT_ONCE = 8  # proofs that one call asks for; the next calls ask for the others
_PROVEN = 128  # sizes that are remembered once they were proven
_OPEN = 1024  # checkpoints that wait for their proof; of 16 KiB each at most

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """Whether two checkpoints are of one log: `kept`, which was proven, and `shown`."""

    kept: Checkpoint
    shown: Checkpoint

    @property
    def old(self) -> Checkpoint:
        """The smaller one."""
        return min(self.kept, self.shown, key=lambda each: each.size)

    @property
    def new(self) -> Checkpoint:
        """The larger one."""
        return max(self.shown, self.kept, key=lambda each: each.size)


@dataclass(slots=True)
class _Open:
    """A checkpoint that was not proven yet: since when, and how often its proof was not given."""

    shown: Checkpoint
    since: float
    failures: int = 0


class Witness:
    """Keeps the newest checkpoint that was proven, and notices where another log is shown.

    The first checkpoint is believed; later ones must continue it. The same size with another root,
    or another origin, is seen at once. A larger checkpoint counts once the gateway has proven that
    the kept one is its beginning; a smaller one may come from a gateway that lags, and is asked
    about in the same way. None is forgotten before it was proven. Signatures are kept and not
    checked here, which takes the log's key: `inwit ledger verify` checks a kept note.

    `file`: where the newest proven note is kept, so that a restart does not forget it; several
    processes may share it. `every`: seconds between two rounds of questions for proofs, at least; a
    round asks about all that is not proven then, a few with each call, and ends where one proof
    cannot be had. Threads and clients of the same log may share one witness.

    Raises:
        ValueError: the file holds something else, or its folder is not there.
        OSError: it cannot be read.
    """

    def __init__(
        self,
        file: Path | None = None,
        every: float = 60.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not every >= 0:
            raise ValueError("every must be a number of seconds, 0 or more")
        self._every, self._clock = every, clock
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._file = file
        self._filed = self._proven = None if file is None else _read(file)
        self._sound: OrderedDict[int, Checkpoint] = OrderedDict()
        self._open: dict[int, _Open] = {}  # by size; the one that was shown first is the first
        self._lost_since: float | None = None
        self._round: list[int] = []  # sizes still to ask about, the last one next
        self._asked: float | None = None

    def __repr__(self) -> str:
        proven = self._proven
        return f"Witness({'nothing yet' if proven is None else f'{proven.origin} {proven.size}'})"

    @property
    def newest(self) -> str | None:
        """The newest proven checkpoint, a signed note; None where no answer had one yet."""
        proven = self._proven
        return None if proven is None else proven.note

    @property
    def unproven_s(self) -> float:
        """Seconds since the oldest checkpoint was shown that is still unproven; 0 where all are.

        A gateway that gives no proofs fails no call. Watch this where that matters to you: some
        time past `every` is usual. More than 1,024 that wait are too many to keep: from then on it
        counts for as long as the witness lives.
        """
        with self._lock:
            waiting = [each.since for each in self._open.values()]
            lost = [] if self._lost_since is None else [self._lost_since]
            return self._clock() - min(waiting + lost) if waiting or lost else 0.0

    def observe(self, header: str | None) -> None:
        """Take the header of an answer. None, as from an older gateway, says nothing.

        Raises:
            BadAnswer: it is not a signed note of a checkpoint.
            Forked: it is that of another log.
        """
        if header is not None:
            self.observe_note(read_header(header))

    def observe_note(self, shown: Checkpoint) -> None:
        """Take a checkpoint that came in another way.

        Raises:
            Forked: it is that of another log.
        """
        with self._lock:
            first = self._proven is None
            if self._proven is None:
                self._proven = shown
            self._compare(shown, self._proven)
        if first:
            self._keep()

    def due(self) -> Iterator[Question]:
        """What to ask the gateway for now, one after another, each by what is proven by then.

        Nothing where a round is over that began a short time ago. A few at once: the next call
        goes on with the others.
        """
        for number in range(AT_ONCE):
            with self._lock:
                if number == 0:
                    self._begin()
                question = self._next(self._round)
            if question is None:
                return
            yield question

    def questions(self) -> Iterator[Question]:
        """All that has not been proven yet, each once, whenever that was asked for last."""
        with self._lock:
            waiting = self._waiting()
        while True:
            with self._lock:
                question = self._next(waiting)
            if question is None:
                return
            yield question

    def about(self, shown: Checkpoint) -> Iterator[Question]:
        """What to ask until this checkpoint, which was observed, is proven; nothing where it is."""
        while True:
            with self._lock:
                kept = self._proven
                if kept is None or shown in (kept, self._sound.get(shown.size)):
                    return
            yield Question(kept, shown)

    def put_off(self, question: Question) -> None:
        """Its proof cannot be had: ask for no more before the next round, and then for it last."""
        with self._lock:
            self._round.clear()
            waiting = self._open.get(question.shown.size)
            if waiting is not None:
                waiting.failures += 1

    def settle(self, question: Question, answer: Fields) -> None:
        """Take the gateway's answer to a question.

        Raises:
            BadAnswer: it is no proof at all.
            Forked: it is one, and does not hold.
        """
        sizes = (answer.number("old"), answer.number("new"))
        proof = read_hashes(answer.texts("proof"))
        if sizes != (question.old.size, question.new.size) or answer.data.get("proof") is None:
            raise BadAnswer("The gateway's answer is not the proof that it was asked for.")
        holds = only_grew(question.old, question.new, proof)
        with self._lock:
            proven = self._conclude(question, holds)
        if proven is not None:
            self._keep()

    def _compare(self, shown: Checkpoint, proven: Checkpoint) -> None:
        if shown.origin != proven.origin:
            self._alarm(f"The gateway shows the log {shown.origin!r}.", proven, shown)
        waiting = self._open.get(shown.size)
        for known in (proven, self._sound.get(shown.size), waiting and waiting.shown):
            if known is not None and known.size == shown.size and known.root != shown.root:
                detail = f"The gateway shows another log of {shown.size} entries."
                self._alarm(detail, known, shown)
        if shown.size == proven.size or shown.size in self._sound:
            self._remember(shown)
        elif waiting is None:
            self._wait(shown)

    def _remember(self, shown: Checkpoint) -> None:
        """As proven, and so with nothing left to ask."""
        self._open.pop(shown.size, None)
        self._sound.setdefault(shown.size, shown)
        self._sound.move_to_end(shown.size)
        if len(self._sound) > _PROVEN:
            self._sound.popitem(last=False)

    def _wait(self, shown: Checkpoint) -> None:
        """Let it be asked about. Of too many the last but one gives way, and counts as unproven:
        what was shown first is evidence, and the newest one says where the log is."""
        if len(self._open) >= _OPEN:
            lost = self._open.popitem()[1]
            if self._lost_since is None:
                self._lost_since = lost.since
                log.warning("more than %d checkpoints wait for proofs; some are not kept", _OPEN)
        self._open[shown.size] = _Open(shown, self._clock())

    def _begin(self) -> None:
        """Begin a round, where the last one is over and was long enough ago."""
        now = self._clock()
        soon = self._asked is not None and now - self._asked < self._every
        if self._open and not self._round and not soon:
            self._asked, self._round = now, self._waiting()

    def _waiting(self) -> list[int]:
        """The sizes of all that is open. Last, and so asked about first, is what was shown last;
        before it stands what could not be proven so far, so that it keeps nothing else waiting."""
        return sorted(self._open, key=lambda size: -self._open[size].failures)

    def _next(self, sizes: list[int]) -> Question | None:
        """Take the last of the sizes that is still open."""
        while sizes:
            waiting = self._open.get(sizes.pop())
            if waiting is not None and self._proven is not None:
                return Question(self._proven, waiting.shown)
        return None

    def _conclude(self, question: Question, holds: bool) -> Checkpoint | None:
        """Change the state as an answer says; the checkpoint that is the newest proven one by it.

        Raises:
            Forked: the proof does not hold.
        """
        kept, shown = question.kept, question.shown
        if not holds:
            # Where it is shown again, it is asked about again.
            self._open.pop(shown.size, None)
            self._alarm(
                f"The gateway cannot prove that its log of {question.new.size} entries begins "
                f"with that of {question.old.size}.",
                kept,
                shown,
            )
        if shown.size > kept.size and self._proven is not kept:
            return None  # another thread was faster; it is compared with that one in its turn
        self._remember(shown)
        if shown.size < kept.size:
            return None
        self._proven = shown
        return shown

    def _keep(self) -> None:
        """Put the newest proven checkpoint in the file, unless another process has a newer one."""
        if self._file is None:
            return
        with self._writing:
            try:
                there = _read(self._file)
                if there is not None and there != self._filed:
                    self.observe_note(there)
                proven = self._proven
                if proven is not None and (there is None or there.size < proven.size):
                    _write(self._file, proven.note)
                    self._filed = proven
            except (OSError, ValueError) as error:
                # The call that brought the proof is none the worse for it.
                log.warning("%s could not be kept (%s)", self._file, type(error).__name__)

    def _alarm(self, detail: str, kept: Checkpoint, shown: Checkpoint) -> None:
        """Raise, and let the next answer be looked at at once.

        Raises:
            Forked: always.
        """
        self._asked = None
        self._round.clear()
        raise Forked(
            f"{detail} It is not the log that was seen before: keep `kept` and `shown` of this "
            "error, and stop.",
            kept=kept.note,
            shown=shown.note,
        )


def _read(file: Path) -> Checkpoint | None:
    try:
        with file.open("rb") as opened:
            note = opened.read(4 * LONGEST_NOTE)
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise ValueError(f"{file.parent} is no folder to keep a checkpoint in") from None
        return None
    try:
        return read_note(note.decode())
    except (BadAnswer, UnicodeDecodeError):
        raise ValueError(f"{file} holds something else than a checkpoint") from None


def _write(file: Path, note: str) -> None:
    """Put it in the place of what is there, at once and on the disk."""
    ready = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with ready.open("xb") as out:
            out.write(note.encode())
            out.flush()
            os.fsync(out.fileno())
        ready.replace(file)
    except OSError:
        ready.unlink(missing_ok=True)
        raise
