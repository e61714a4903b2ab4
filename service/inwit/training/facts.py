"""What a training run did, as it is kept beside the adapter: training.json."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from inwit.errors import SetupError

FILE = "training.json"


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
    """One seed: AUROC by set on the validation samples, the steps done, the seconds taken."""

    seed: int
    auroc: dict[str, float]
    loss: float
    steps: int
    seconds: float


class Facts(_Part):
    """A whole run. `chosen` is the seed whose adapter was kept, by its validation samples."""

    format: Literal[1] = 1
    adapter: str
    base: str
    base_digest: str
    tool: str
    made: str
    machine: str
    versions: dict[str, str]
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
