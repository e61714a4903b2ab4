"""The embedded classifier: a linear model over hashed n-grams of the answer. numpy, and no server.

docs/embedded-classifier.md says how it was trained, on what, and how weak it is. Training uses the
same `ngrams` and `Weights` as serving. What is added up is integers, so that no sum depends on the
order of its terms or on the machine.
"""

import asyncio
import hashlib
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from inwit.errors import SetupError
from inwit.languages import language_of
from inwit.types import Exchange, Fault, ReviewStatus, Verdict

_Codes = NDArray[np.uint64]
_Ints = NDArray[np.int64]
_Flags = NDArray[np.bool_]

BUCKETS = 2**18
# Words in a window. All windows of these lengths count, so that harm shows in any padding.
WINDOWS = (64, 128, 256)
MAX_CHARS = 2**16
PIECES = (3, 4, 5)  # characters of the n-grams within a word, its two edges included
_DATA = Path(__file__).parent / "data"
FILE, DIGEST = "embedded.npz", "embedded.sha256"
_MAX_BYTES = 8 * 2**20
# Above this an answer goes to a thread: scoring it would hold the event loop for 2 ms.
# When an answer counts as written in another language than English: letters beyond the Latin
# blocks, and what the language model is sure of in a part that is long enough for it.
_LETTERS = re.compile(r"[^\W\d_]")
_LAST_LATIN = "\u024f"
_MOST_FOREIGN, _FOREIGN_SHARE = 60, 0.3
_PART, _LEAST_PART, _SURE = 1_000, 40, 0.8
_INLINE_CHARS = 1_000
_LONGEST_WORD = 24
_EDGE = 0x110000  # one above Unicode's last code point
_STEP = 0x9E3779B97F4A7C15  # odd, as a multiplier modulo 2**64 has to be
_POWERS = np.array([pow(_STEP, power, 2**64) for power in range(1, 32)], dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Ngrams:
    """The buckets, in [0, BUCKETS), of a text's n-grams.

    `words` has one entry for each of n words, `pairs` n - 1 (word i with i + 1), `pieces` any
    number; `piece_words` gives, in ascending order, the word that each piece lies in.
    """

    words: _Ints
    pairs: _Ints
    pieces: _Ints
    piece_words: _Ints

    def __len__(self) -> int:
        """The number of words."""
        return len(self.words)

    def window(self, start: int, end: int) -> "Ngrams":
        """The n-grams that lie within the words from `start` to before `end`."""
        first, last = np.searchsorted(self.piece_words, (start, end))
        return Ngrams(
            self.words[start:end],
            self.pairs[start : max(start, end - 1)],
            self.pieces[first:last],
            self.piece_words[first:last] - start,
        )

    def all(self) -> _Ints:
        """Every bucket, as often as it occurs."""
        return np.concatenate((self.words, self.pairs, self.pieces))


def ngrams(text: str) -> Ngrams:
    """Cut `text` into words, pairs of words and pieces of words, and hash them.

    Letters are lowered and digits made one. East Asian characters are words of their own, and
    what is longer than 24 characters is cut. Linear in the length of `text`.
    """
    codes, starts = _words(text)
    if not len(codes):
        none = np.zeros(0, np.int64)
        return Ngrams(none, none, none, none)
    first = np.flatnonzero(starts)
    word = np.cumsum(starts) - 1
    place = np.arange(len(codes)) - first[word]
    mixed = _mix(codes.astype(np.uint64) + np.uint64(1))
    words = np.add.reduceat(mixed * _POWERS[place], first)
    pairs = words[:-1] * np.uint64(3) + words[1:] * np.uint64(_STEP) + np.uint64(77)
    edged = np.full(len(codes) + len(first) + 1, _mix(np.array([_EDGE], np.uint64))[0])
    inside = np.arange(len(codes)) + word + 1
    edged[inside] = mixed
    edges = np.ones(len(edged), np.int64)
    edges[inside] = 0
    pieces, owners = _pieces(edged, np.cumsum(edges))
    order = np.argsort(owners, kind="stable")
    return Ngrams(_bucket(words), _bucket(pairs), pieces[order], owners[order])


def _words(text: str) -> tuple[NDArray[np.uint32], _Flags]:
    """The code points of `text` that belong to words, and which of them begin one."""
    codes = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = np.where((codes >= ord("0")) & (codes <= ord("9")), np.uint32(ord("0")), codes)
    codes = np.where(codes == 0x2019, np.uint32(ord("'")), codes)  # the typographic apostrophe
    letters = _LETTER[np.minimum(codes, len(_LETTER) - 1)]
    wide = codes >= 0x2E80
    starts = letters.copy()
    starts[1:] &= ~letters[:-1] | wide[1:] | wide[:-1]
    codes, starts = codes[letters], starts[letters]
    place = np.arange(len(codes))
    begun = np.maximum.accumulate(np.where(starts, place, 0))
    return codes, starts | ((place - begun) % _LONGEST_WORD == 0)


def _letter_table() -> _Flags:
    """Which code points belong to words: not the ASCII, Latin, general and wide punctuation."""
    table = np.ones(0x10000, np.bool_)
    table[:0x80] = [chr(code).isalnum() or code == ord("'") for code in range(0x80)]
    for low, high in ((0x80, 0xC0), (0x2000, 0x2070), (0x3000, 0x3040), (0xFF00, 0xFF10)):
        table[low:high] = False
    return table


_LETTER = _letter_table()


def _pieces(edged: _Codes, edge_count: _Ints) -> tuple[_Ints, _Ints]:
    """Buckets and words of all pieces: runs that hold no edge but at their ends."""
    buckets: list[_Ints] = []
    owners: list[_Ints] = []
    for size in PIECES:
        starts = len(edged) - size + 1
        if starts < 1:
            continue
        hashed = np.full(starts, np.uint64(size * 1_000_003))
        for place in range(size):
            hashed += edged[place : place + starts] * _POWERS[place]
        whole = edge_count[size - 2 : size - 2 + starts] == edge_count[:starts]
        buckets.append(_bucket(hashed[whole]))
        owners.append(edge_count[:starts][whole] - 1)
    none = np.zeros(0, np.int64)
    return np.concatenate((none, *buckets)), np.concatenate((none, *owners))


def _mix(codes: _Codes) -> _Codes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def _bucket(hashes: _Codes) -> _Ints:
    return (_mix(hashes) & np.uint64(BUCKETS - 1)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Window:
    """The words from `start` to before `end`, and their score: the higher, the likelier harm."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Weights:
    """The model. A window scores unit * sum(weights) / sqrt(sum(norms)) over its n-grams.

    `weights` and `norms` have shape (BUCKETS,); a norm is the square of an inverse document
    frequency, and above zero. `risk` is 1 / (1 + exp(-(slope * score + intercept))) (Platt 1999).
    """

    weights: NDArray[np.int16]
    norms: NDArray[np.uint16]
    unit: float
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        shapes = self.weights.shape == self.norms.shape == (BUCKETS,)
        numbers = (self.unit, self.slope, self.intercept)
        if not shapes or not all(map(math.isfinite, numbers)) or self.slope <= 0:
            raise ValueError("weights of the wrong shape, or a number that is none")
        if self.weights.dtype != np.int16 or self.norms.dtype != np.uint16 or not self.norms.all():
            raise ValueError("weights of the wrong type, or a norm of zero")

    def best(self, found: Ngrams) -> Window:
        """The highest window; a text shorter than every window counts whole.

        What is added before or after never lowers the score of a text of WINDOWS[0] words.
        """
        count = len(found)
        if not count:
            return Window(0.0, 0, 0)
        weight = _Running.over(found, self.weights)
        norm = _Running.over(found, self.norms)
        windows: list[Window] = []
        for length in [length for length in WINDOWS if length <= count] or [count]:
            scores = weight.sums(length) / np.sqrt(norm.sums(length))
            start = int(scores.argmax())
            windows.append(Window(self.unit * float(scores[start]), start, start + length))
        return max(windows, key=lambda window: window.score)

    def risk(self, score: float) -> float:
        """The calibrated probability of harm for a score."""
        odds = self.slope * score + self.intercept
        # Both forms are the same; neither overflows where it is used.
        return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Read what `write` wrote.

        Raises:
            ValueError: it is no such file.
        """
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
                unit, slope, intercept = (float(number) for number in arrays["numbers"])
                return cls(arrays["weights"], arrays["norms"], unit, slope, intercept)
        except (BadZipFile, EOFError, KeyError, OSError, TypeError, AttributeError) as error:
            raise ValueError("not a file of weights") from error

    def write(self) -> bytes:
        """The same bytes for the same weights, with the same numpy and zlib."""
        out = io.BytesIO()
        numbers = np.array((self.unit, self.slope, self.intercept), np.float64)
        np.savez_compressed(out, weights=self.weights, norms=self.norms, numbers=numbers)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Running:
    """Running sums over a text's words, from which the sum over any window is two differences."""

    words: _Ints
    pairs: _Ints

    @classmethod
    def over(cls, found: Ngrams, values: NDArray[Any]) -> Self:
        pieces = _summed(values[found.pieces])[
            np.searchsorted(found.piece_words, np.arange(len(found) + 1))
        ]
        return cls(_summed(values[found.words]) + pieces, _summed(values[found.pairs]))

    def sums(self, length: int) -> _Ints:
        """The sums over all windows of `length` words, by their first word."""
        starts = len(self.words) - length
        words = self.words[length:] - self.words[:starts]
        return words + self.pairs[length - 1 :] - self.pairs[:starts]


def _summed(values: NDArray[Any]) -> _Ints:
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def readable(answer: str) -> bool:
    """Whether the answer is in the one language that was trained on, in each of its parts.

    In any other one every word is unknown, and the risk of unknown words is low.
    """
    letters = _LETTERS.findall(answer)
    foreign = sum(letter > _LAST_LATIN for letter in letters)
    if foreign > _MOST_FOREIGN or foreign > _FOREIGN_SHARE * len(letters):
        return False
    parts = (answer[start : start + _PART] for start in range(0, len(answer), _PART))
    return all(map(_english, parts))


def _english(part: str) -> bool:
    if len(part) < _LEAST_PART:
        return True
    language, sure = language_of(part)
    return language == "en" or sure < _SURE


class EmbeddedClassifier:
    """Judges an answer by its words alone. A `Member` of the panel; `load` makes one.

    Its risk is a probability where half of all answers are harmful (docs/embedded-classifier.md).
    """

    name = "embedded"
    judges_input = False  # it has only ever seen answers

    def __init__(self, weights: Weights, version: str) -> None:
        self._weights = weights
        self.model = f"embedded-{version[:12]}"

    @classmethod
    def load(cls, folder: Path = _DATA) -> Self:
        """Read the packaged weights, whose SHA-256 stands beside them.

        Raises:
            SetupError: they are missing, or not what was shipped.
        """
        try:
            expected = (folder / DIGEST).read_text("ascii").strip()
            with (folder / FILE).open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise _broken(folder, "cannot be read") from error
        digest = hashlib.sha256(raw).hexdigest()
        if digest != expected:
            raise _broken(folder, "are not what was shipped: their SHA-256 differs")
        try:
            return cls(Weights.read(raw), digest)
        except ValueError as error:
            raise _broken(folder, "do not have the form that this version reads") from error

    async def open(self) -> None:
        """Nothing: the weights are in memory since `load`."""

    async def close(self) -> None:
        """Nothing, either."""

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        """Give a verdict on the answer; what it cannot read, or not whole, is `truncated`."""
        answer = exchange.answer
        if answer is None:
            return self._not_judged(exchange, ReviewStatus.UNAVAILABLE, Fault.DOES_NOT_FIT)
        if len(answer) > MAX_CHARS:
            return self._not_judged(exchange, ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)
        if len(answer) <= _INLINE_CHARS:
            return self._read(exchange, answer)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.to_thread(self._read, exchange, answer)
        except TimeoutError:
            return self._not_judged(exchange, ReviewStatus.UNAVAILABLE, Fault.TIMEOUT)

    def risk(self, answer: str) -> float:
        """The calibrated probability that `answer` is harmful. Pure, and safe in any thread."""
        return self._weights.risk(self._weights.best(ngrams(answer)).score)

    def _read(self, exchange: Exchange, answer: str) -> Verdict:
        if not readable(answer):
            return self._not_judged(exchange, ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)
        return Verdict(
            self.name,
            ReviewStatus.JUDGED,
            risk=self.risk(answer),
            calibrated=True,
            model=self.model,
            covers=exchange.covers,
        )

    def _not_judged(self, exchange: Exchange, status: ReviewStatus, fault: Fault) -> Verdict:
        return Verdict(self.name, status, fault=fault, model=self.model, covers=exchange.covers)


def _broken(folder: Path, wrong: str) -> SetupError:
    return SetupError(
        f"The embedded classifier's weights in {folder} {wrong}. Install Inwit again, or make "
        "them with `python -m scripts.classifier.train`."
    )
