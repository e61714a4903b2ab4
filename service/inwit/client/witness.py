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
from collections.abc import Callable
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
PROOF_S = 5.0  # the longest that a call waits for a proof, once it has its answer
_SIZES = 128

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


class Witness:
    """Keeps the newest checkpoint that was proven, and notices where another log is shown.

    The first checkpoint is believed; later ones must continue it. The same size with another root,
    or another origin, is seen at once. A larger checkpoint counts once the gateway has proven that
    the kept one is its beginning; a smaller one may come from a gateway that lags, and is asked
    about in the same way. Signatures are kept and not checked here, which takes the log's key:
    `inwit ledger verify` checks a kept note.

    `file`: where the newest proven note is kept, so that a restart does not forget it; several
    processes may share it. `every`: seconds between two questions for proofs, at least. Threads and
    clients of the same log may share one witness.

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
        self._seen: OrderedDict[int, Checkpoint] = OrderedDict()
        self._sound: set[int] = set()  # of the sizes in `_seen` those that were proven
        self._ahead: Checkpoint | None = None
        self._behind: Checkpoint | None = None
        self._ahead_since = 0.0
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
        """Seconds for which newer checkpoints were shown without any proof; 0 where all is proven.

        A gateway that gives no proofs fails no call. Watch this where that matters to you.
        """
        with self._lock:
            return 0.0 if self._ahead is None else self._clock() - self._ahead_since

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

    def due(self) -> list[Question]:
        """What to ask the gateway for now; nothing where that was done a short time ago."""
        with self._lock:
            now = self._clock()
            if self._asked is not None and now - self._asked < self._every:
                return []
            found = self._questions()
            if found:
                self._asked = now
            return found

    def questions(self) -> list[Question]:
        """What has not been proven yet, whenever that was asked for last."""
        with self._lock:
            return self._questions()

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
        for known in (proven, self._seen.get(shown.size)):
            if known is not None and known.size == shown.size and known.root != shown.root:
                detail = f"The gateway shows another log of {shown.size} entries."
                self._alarm(detail, known, shown)
        self._seen.setdefault(shown.size, shown)
        self._seen.move_to_end(shown.size)
        if len(self._seen) > _SIZES:
            self._sound.discard(self._seen.popitem(last=False)[0])
        if shown.size == proven.size:
            self._sound.add(shown.size)
        elif shown.size not in self._sound:
            self._wait(shown, proven)

    def _wait(self, shown: Checkpoint, proven: Checkpoint) -> None:
        """Let it be asked about; of several the one that was shown last."""
        if shown.size < proven.size:
            self._behind = shown
            return
        if self._ahead is None:
            self._ahead_since = self._clock()
        self._ahead = shown

    def _questions(self) -> list[Question]:
        kept = self._proven
        waiting = [each for each in (self._ahead, self._behind) if each is not None]
        return [] if kept is None else [Question(kept, shown) for shown in waiting]

    def _conclude(self, question: Question, holds: bool) -> Checkpoint | None:
        """Change the state as an answer says; the checkpoint that is the newest proven one by it.

        Raises:
            Forked: the proof does not hold.
        """
        kept, shown = question.kept, question.shown
        if self._ahead == shown:
            self._ahead = None
        if self._behind == shown:
            self._behind = None
        if not holds:
            # Where it is shown again, it is asked about again.
            self._seen.pop(shown.size, None)
            self._alarm(
                f"The gateway cannot prove that its log of {question.new.size} entries begins "
                f"with that of {question.old.size}.",
                kept,
                shown,
            )
        if shown.size > kept.size and self._proven is not kept:
            return None  # another thread was faster; shown again, it is compared with that one
        if shown.size in self._seen:
            self._sound.add(shown.size)
        if shown.size < kept.size:
            return None
        self._proven, self._ahead_since = shown, self._clock()
        if self._ahead is not None and self._ahead.size <= shown.size:
            self._ahead, self._behind = None, self._ahead
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
