"""What a training run did, as it is kept beside the adapter: training.json."""

import hashlib
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from math import nan
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from inwit import __version__
from inwit.errors import SetupError
from inwit.training.conduct import Conduct

FILE = "training.json"


def _measured(value: object) -> object:
    return nan if value is None else value


# JSON has no NaN: what could not be measured is null there, and is read back as NaN.
Measured = Annotated[float, BeforeValidator(_measured)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetTaught(_Part):
    """A set, its copy's digest, and how many of its samples were learnt from and stopped by."""

    name: str
    origin: str
    licence: str
    digest: str
    unsafe: int
    safe: int
    validation: int
    weight: float


class SeedTrained(_Part):
    """One seed: AUROC by set on the validation samples, the steps done, the seconds taken.

    Where it was stopped and gone on with, the seconds are those of the last go. The loss of one
    that diverged is NaN.
    """

    seed: int
    auroc: dict[str, Measured]
    loss: Measured
    steps: int
    seconds: float


class _Run(_Part):
    """What is known of any run; see `run_on`."""

    format: Literal[1] = 1
    base: str
    base_digest: str
    tool: str
    made: str
    machine: str
    versions: dict[str, str]


class Facts(_Run):
    """How a conscience was taught. `chosen` is the seed whose adapter was kept."""

    adapter: str
    policy: str
    questions: list[str]
    plan: dict[str, float]
    passes: int
    share: float
    disguises: list[str]
    datasets: list[SetTaught]
    missing: list[str]
    seeds: list[SeedTrained]
    chosen: int


class AlignFacts(_Run):
    """How a model was aligned. `losses`: fine-tuning and alignment, at the first and last step."""

    answers: int
    answers_digest: str
    pairs: int
    online: bool
    conscience_digest: str
    policy: str
    question_digest: str
    plan: dict[str, float]
    losses: tuple[tuple[float, float], tuple[float, float]]
    before: Conduct | None
    after: Conduct | None


def run_on(base: Path, libraries: Iterable[str]) -> dict[str, Any]:
    """What is known of any run that works on `base` here and now."""
    return {
        "base": base.name,
        "base_digest": weights_digest(base),
        "tool": f"inwit {__version__}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {library: version(library) for library in libraries},
    }


def weights_digest(folder: Path) -> str:
    """SHA-256 over the digests of a model's or an adapter's weights."""
    found = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()


def read_facts(folder: Path) -> Facts:
    """The facts of the run that wrote to `folder`.

    Raises:
        SetupError: no run ended there, or the file is another version's.
    """
    file = folder / FILE
    try:
        return Facts.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. `inwit train conscience` writes it.") from None
    except ValidationError as error:
        raise SetupError(f"{file} is not what this version writes. Train again.") from error
