"""The scores file: raw risks that the model has given, so that no sample is asked about twice.

JSON lines. The first says what the scores hold for; each other one is a sample's id, digest and
label with a raw risk or a fault. It never holds text of a sample.
"""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inwit.errors import SetupError
from inwit.evaluation.samples import Label, Sample
from inwit.policy.calibration import Fingerprint
from inwit.policy.policy import ReviewSpec
from inwit.types import Fault, Framing, Verdict

# These may be otherwise next time; the other faults follow from the sample and the model.
_PASSING = frozenset({Fault.TIMEOUT, Fault.UPSTREAM, Fault.BUSY, Fault.BREAKER_OPEN})

_OTHER = "is not a scores file. Name another --scores file."


@dataclass(frozen=True, slots=True)
class Score:
    """What the model said of one sample: a raw risk in [0, 1], or why there is none."""

    raw: float | None
    fault: Fault | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Head(_Strict):
    scores: Literal[1] = 1
    model: str
    framing: Framing
    question_digest: str
    label_mass_floor: float


class _Line(_Strict):
    id: str
    digest: str
    label: Label
    raw_risk: Annotated[float | None, Field(ge=0, le=1)] = None
    fault: Fault | None = None

    @model_validator(mode="after")
    def one_outcome(self) -> Self:
        if (self.raw_risk is None) == (self.fault is None):
            raise ValueError("either raw_risk or fault must be there")
        return self


class Scores:
    """Scores by the digest of their sample, written to the file as they come in."""

    def __init__(
        self, fingerprint: Fingerprint, known: dict[str, Score], out: TextIO | None
    ) -> None:
        self.fingerprint = fingerprint
        self._known = known
        self._out = out

    def get(self, sample: Sample) -> Score | None:
        """What is known of the sample."""
        return self._known.get(sample.digest)

    def is_settled(self, sample: Sample) -> bool:
        """Whether asking again would tell nothing new."""
        known = self.get(sample)
        return known is not None and known.fault not in _PASSING

    def add(self, sample: Sample, verdict: Verdict) -> None:
        """Keep what the model said; the line is in the file when this returns."""
        raw = verdict.risk if verdict.raw_risk is None else verdict.raw_risk
        score = Score(None if verdict.fault else raw, verdict.fault)
        self._known[sample.digest] = score
        if self._out is None:
            return
        line = _Line(
            id=sample.id,
            digest=sample.digest,
            label=sample.label,
            raw_risk=score.raw,
            fault=score.fault,
        )
        self._out.write(line.model_dump_json(exclude_none=True) + "\n")
        self._out.flush()


def scored_model(file: Path | None) -> str | None:
    """The model that a scores file is about; `None` where there is no file yet.

    Raises:
        SetupError: the file is not a scores file.
    """
    if file is None or not file.exists():
        return None
    lines = _complete_lines(file)
    return _head(lines[0], file).model if lines else None


@contextmanager
def open_scores(file: Path | None, model: str, review: ReviewSpec) -> Generator[Scores]:
    """Read the scores that are there, and add to them while the block runs; `None`: keep no file.

    Raises:
        SetupError: the file cannot be used, is no scores file, or holds another model's scores.
    """
    fingerprint = Fingerprint(model, review.framing, review.question_digest)
    if file is None:
        yield Scores(fingerprint, {}, None)
        return
    head = _Head(
        model=model,
        framing=review.framing,
        question_digest=review.question_digest,
        label_mass_floor=review.label_mass_floor,
    )
    with _alone(file) as out:
        lines = _complete_lines(file)
        known = _known(lines, head, file)
        # A line that was cut off while it was written goes.
        out.truncate(sum(len(line) for line in lines))
        if not lines:
            out.write(head.model_dump_json() + "\n")
        yield Scores(fingerprint, known, out)


def _alone(file: Path) -> TextIO:
    """Open the file for adding. The lock goes with the process."""
    try:
        out = file.open("a", encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --scores must be writable.") from error
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        out.close()
        raise SetupError(
            f"{file}: another `inwit calibrate` is writing it. Let it end, or name another file."
        ) from error
    return out


def _known(lines: list[bytes], head: _Head, file: Path) -> dict[str, Score]:
    if not lines:
        return {}
    found = _head(lines[0], file)
    differing = [name for name, value in head if getattr(found, name) != value]
    if differing:
        raise SetupError(
            f"{file} holds scores under another {differing[0].replace('_', ' ')}. "
            "Name another --scores file."
        )
    known: dict[str, Score] = {}
    for number, raw in enumerate(lines[1:], start=2):
        try:
            line = _Line.model_validate_json(raw)
        except ValidationError:
            raise SetupError(f"{file}:{number}: not a score. Remove this line.") from None
        known[line.digest] = Score(line.raw_risk, line.fault)
    return known


def _head(line: bytes, file: Path) -> _Head:
    try:
        return _Head.model_validate_json(line)
    except ValidationError:
        raise SetupError(f"{file} {_OTHER}") from None


def _complete_lines(file: Path) -> list[bytes]:
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. --scores must be readable.") from error
    complete = [line for line in lines if line.endswith(b"\n")]
    if lines and not complete:
        raise SetupError(f"{file} {_OTHER}")
    return complete
