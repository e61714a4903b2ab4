"""Calibration: a fixed monotone map from the conscience's raw risk to a probability of harm.

`inwit calibrate` fits it (docs/calibration.md); serving looks it up by fingerprint and applies it.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from inwit.errors import SetupError
from inwit.policy.policy import ReviewSpec
from inwit.types import Framing

Method = Literal["platt", "isotonic"]

_MAX_BYTES = 2**20
_MAX_POINTS = 10_000
_REMEDY = "Make it again with `inwit calibrate`, or move it out of the folder."


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a raw risk depends on: a calibration holds for exactly this, and for nothing else."""

    model: str
    framing: Framing
    question_digest: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Quality:
    """How far risks can be read as probabilities; all three are best at 0."""

    brier: Estimate
    ece: Estimate
    ece_adaptive: Estimate


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person should know of a calibration; nothing here changes what it does.

    `samples_prior` is the share of unsafe responses among the samples, `prior` the share that
    calibrated risks refer to; `before` and `after` were measured at the samples' own. `table_error`
    is the largest distance between the table and the fitted curve.
    """

    safe: int
    unsafe: int
    prompts: int
    not_judged: int
    samples_prior: float
    prior: float
    auroc: Estimate
    before: Quality
    after: Quality
    table_error: float
    forced: bool
    seed: int
    made: datetime
    tool: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """A table of (raw, calibrated) points, linear between them.

    Raises:
        ValueError: raw does not rise strictly from 0 to 1, or calibrated falls or leaves [0, 1].
    """

    fingerprint: Fingerprint
    method: Method
    points: tuple[tuple[float, float], ...]
    facts: Facts

    def __post_init__(self) -> None:
        if len(self.points) < 2 or self.points[0][0] != 0.0 or self.points[-1][0] != 1.0:
            raise ValueError("the raw risks of the points must begin at 0 and end at 1")
        if not all(math.isfinite(raw) and 0.0 <= risk <= 1.0 for raw, risk in self.points):
            raise ValueError("raw and calibrated risks must lie in [0, 1]")
        for (raw, risk), (next_raw, next_risk) in zip(self.points, self.points[1:], strict=False):
            if not (raw < next_raw and risk <= next_risk):
                raise ValueError("the points must rise strictly in raw, and not fall in calibrated")

    def apply(self, raw: float) -> float:
        """The calibrated risk, in [0, 1], of a raw one; it never falls where `raw` rises.

        Raises:
            ValueError: `raw` is not in [0, 1].
        """
        if not 0.0 <= raw <= 1.0:
            raise ValueError("a raw risk must lie in [0, 1]")
        right = bisect_right(self.points, (raw, math.inf))
        if right == len(self.points):
            return self.points[-1][1]
        (raw_0, risk_0), (raw_1, risk_1) = self.points[right - 1 : right + 1]
        risk = risk_0 + (risk_1 - risk_0) * ((raw - raw_0) / (raw_1 - raw_0))
        return min(risk_1, max(risk_0, risk))

    @property
    def digest(self) -> str:
        """SHA-256 over what decides what it does: the fingerprint and the points."""
        decisive = json.dumps([asdict(self.fingerprint), self.points], sort_keys=True)
        return hashlib.sha256(decisive.encode()).hexdigest()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0)]
_Text = Annotated[str, Field(min_length=1, max_length=500)]


class _EstimateIn(_Strict):
    value: _Share
    low: _Share
    high: _Share

    def domain(self) -> Estimate:
        return Estimate(self.value, self.low, self.high)


class _QualityIn(_Strict):
    brier: _EstimateIn
    ece: _EstimateIn
    ece_adaptive: _EstimateIn

    def domain(self) -> Quality:
        return Quality(self.brier.domain(), self.ece.domain(), self.ece_adaptive.domain())


class _FactsIn(_Strict):
    safe: _Count
    unsafe: _Count
    prompts: _Count
    not_judged: _Count
    samples_prior: _Share
    prior: _Share
    auroc: _EstimateIn
    before: _QualityIn
    after: _QualityIn
    table_error: _Share
    forced: bool
    seed: int
    made: AwareDatetime
    tool: _Text

    def domain(self) -> Facts:
        plain = self.model_dump(exclude={"auroc", "before", "after"})
        parts = (self.auroc.domain(), self.before.domain(), self.after.domain())
        return Facts(**plain, auroc=parts[0], before=parts[1], after=parts[2])


class _FingerprintIn(_Strict):
    model: _Text
    framing: Framing
    question_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]


class _File(_Strict):
    format: Literal[1]
    fingerprint: _FingerprintIn
    method: Method
    points: Annotated[list[tuple[float, float]], Field(max_length=_MAX_POINTS)]
    facts: _FactsIn


def fits_all(known: Container[Fingerprint], review: ReviewSpec, reviewers: Iterable[str]) -> bool:
    """Whether each of the reviewers has a calibration for this question and framing."""
    return all(
        Fingerprint(reviewer, review.framing, review.question_digest) in known
        for reviewer in reviewers
    )


def load_calibrations(folder: Path) -> dict[Fingerprint, Calibration]:
    """Read every `*.json` of a folder, by fingerprint; an empty folder gives none.

    Raises:
        SetupError: the folder is not there, a file is not a sound calibration, or two are for
            one fingerprint. Nothing is loaded then.
    """
    if not folder.is_dir():
        raise SetupError(
            f"INWIT_CALIBRATION_DIR names {folder}, which is not a folder. Make it, or unset it."
        )
    found: dict[Fingerprint, Calibration] = {}
    files: dict[Fingerprint, Path] = {}
    for file in sorted(folder.glob("*.json")):
        calibration = load_calibration(file)
        key = calibration.fingerprint
        if key in found:
            raise SetupError(
                f"{file}: {files[key].name} is for the same model, framing and question. "
                "Move one of the two out of the folder."
            )
        found[key], files[key] = calibration, file
    return found


def load_calibration(file: Path) -> Calibration:
    """Read one file.

    Raises:
        SetupError: with the file, what is wrong, and the remedy.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. The file must be readable.") from error
    if len(raw) > _MAX_BYTES:
        raise SetupError(f"{file}: larger than {_MAX_BYTES >> 20} MiB. {_REMEDY}")
    try:
        return _calibration(_File.model_validate_json(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SetupError(f"{file}: `{path}`: {first['msg']}. {_REMEDY}") from None
    except ValueError as error:
        raise SetupError(f"{file}: `points`: {error}. {_REMEDY}") from None


def dump_calibration(calibration: Calibration) -> bytes:
    """The file that `load_calibration` reads: JSON, with a line for each point."""
    head = {
        "format": 1,
        "fingerprint": asdict(calibration.fingerprint),
        "method": calibration.method,
        "facts": asdict(calibration.facts) | {"made": calibration.facts.made.isoformat()},
    }
    opened = json.dumps(head, indent=1).removesuffix("\n}")
    points = ",\n  ".join(json.dumps(point) for point in calibration.points)
    return f'{opened},\n "points": [\n  {points}\n ]\n}}\n'.encode()


def _calibration(parsed: _File) -> Calibration:
    given = parsed.fingerprint
    fingerprint = Fingerprint(given.model, given.framing, given.question_digest)
    return Calibration(fingerprint, parsed.method, tuple(parsed.points), parsed.facts.domain())
