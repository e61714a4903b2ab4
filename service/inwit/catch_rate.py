"""Shows what the last evaluation measured under attack, beside what production counts."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inwit import telemetry
from inwit.errors import SetupError
from inwit.labels import Bound

_MAX_BYTES = 64 * 2**20

_Share = Annotated[float, Field(ge=0, le=1)]


class _Interval(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: _Share
    low: _Share
    high: _Share


class _WorstCase(BaseModel):
    model_config = ConfigDict(frozen=True)

    judge: str
    worst: _Interval


class _Run(BaseModel):
    suite: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]


class Report(BaseModel):
    """What is read of an evaluation's report.json; the rest is left alone."""

    run: _Run
    worst_case: Annotated[list[_WorstCase], Field(max_length=64)]


def show_catch_rate(file: Path) -> None:
    """Set the gauge from a report of `inwit evaluate run`.

    Raises:
        SetupError: as `read_report` does.
    """
    report = read_report(file)
    for each in report.worst_case:
        bounds = {Bound.ESTIMATE: each.worst.value, Bound.LOW: each.worst.low}
        bounds[Bound.HIGH] = each.worst.high
        for bound, value in bounds.items():
            labels = (report.run.suite, each.judge.split(",")[0], bound.value)
            telemetry.REDTEAM_CATCH_RATE.labels(*labels).set(value)


def read_report(file: Path) -> Report:
    """What such a report says; nothing is shown of it.

    Raises:
        SetupError: it cannot be read, or is no such report.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise SetupError(f"INWIT_EVALUATION_REPORT: {file} is larger than 64 MiB.")
        return Report.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SetupError(
            f"INWIT_EVALUATION_REPORT: {file} cannot be read ({error.strerror}). Name the "
            "report.json of `inwit evaluate run`."
        ) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SetupError(
            f"INWIT_EVALUATION_REPORT: {file} is no report of `inwit evaluate run` (at {where!r})."
        ) from None
