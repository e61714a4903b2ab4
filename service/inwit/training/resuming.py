"""Lets a training that was stopped go on, and only as the same training: `run.json` beside it."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from inwit import durable
from inwit.errors import SetupError
from inwit.training.facts import SeedTrained

CHECKPOINTS = "checkpoints"
STATE = "trainer_state.json"  # the last file that a `Trainer` writes to a checkpoint
_FILE = "run.json"


class _Run(BaseModel):
    """The digest of what is taught and how; with `trained`, it has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    trained: SeedTrained | None = None


def digest_of(settings: Mapping[str, Any]) -> str:
    """Of all that makes a training what it is."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def begin(folder: Path, digest: str, *, resume: bool) -> SeedTrained | None:
    """Make ready to train in a folder; give what came of it where it has ended already.

    Without `resume` all that is left of an earlier training there is removed.

    Raises:
        SetupError: another training is to be gone on with.
    """
    if resume and (folder / CHECKPOINTS).is_dir():
        return _same(folder, digest).trained
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _write(folder, _Run(digest=digest))
    return None


def end(folder: Path, digest: str, trained: SeedTrained) -> None:
    """Record that it has ended."""
    _write(folder, _Run(digest=digest, trained=trained))


def last_checkpoint(folder: Path) -> Path | None:
    """The last one that was written to its end, if there is any."""
    found = (file.parent for file in (folder / CHECKPOINTS).glob(f"checkpoint-*/{STATE}"))
    return max(found, key=lambda each: int(each.name.rpartition("-")[2]), default=None)


def _same(folder: Path, digest: str) -> _Run:
    try:
        run = _Run.model_validate_json((folder / _FILE).read_bytes())
    except (OSError, ValidationError):
        run = None
    if run is None or run.digest != digest:
        raise SetupError(
            f"{folder} holds another training: other samples, settings, policies or another base. "
            "Give what it was begun with, another --out, or leave out --resume."
        )
    return run


def _write(folder: Path, run: _Run) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    durable.replace(folder / _FILE, run.model_dump_json(indent=1) + "\n", mode=0o644)
