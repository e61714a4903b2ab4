"""Writes and reads what a run leaves behind: report.html, report.json and samples.jsonl."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from inwit.errors import SetupError
from inwit.evaluation.report.page import render
from inwit.evaluation.results import Report, SampleScore

_T = TypeVar("_T", bound=BaseModel)

PAGE, REPORT, SAMPLES = "report.html", "report.json", "samples.jsonl"


def report_json(report: Report) -> str:
    """One text for one report: keys in order, and a line for each.

    Raises:
        ValueError: a figure is not a number, which JSON cannot say.
    """
    told = report.model_dump(mode="json", by_alias=True)
    return json.dumps(told, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def samples_jsonl(scores: Iterable[SampleScore]) -> str:
    """A line for each, in the order of set, sample, variant and judge.

    Raises:
        ValueError: a risk is not a number.
    """
    lines = sorted(scores, key=lambda each: (each.dataset, each.id, each.variant, each.judge))
    return "".join(
        json.dumps(each.model_dump(), sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        for each in lines
    )


def write_report(folder: Path, report: Report, scores: Iterable[SampleScore]) -> None:
    """All three files, or none that reads as a report.

    Everything is written beside its place first. report.json goes before anything is put there and
    comes last: where it is, the others are of the same run.

    Raises:
        SetupError: the folder cannot be written to.
        ValueError: a figure is not a number.
    """
    texts = {SAMPLES: samples_jsonl(scores), PAGE: render(report), REPORT: report_json(report)}
    partials = {name: folder / f"{name}.partial" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(partials[name], text)
        (folder / REPORT).unlink(missing_ok=True)
        for name in texts:
            partials[name].replace(folder / name)
    except OSError as error:
        raise SetupError(f"{folder}: {error.strerror}. A report needs a folder.") from error
    finally:
        _remove(partials.values())


def read_report(folder: Path) -> tuple[Report, tuple[SampleScore, ...]]:
    """What `write_report` wrote; of what is wrong, the place is told and not the content.

    Raises:
        SetupError: a file is not there, or is not what it should be.
    """
    report = _parsed(Report, _read(folder / REPORT), str(folder / REPORT))
    lines = _read(folder / SAMPLES).splitlines()
    return report, tuple(
        _parsed(SampleScore, line, f"{folder / SAMPLES}:{number}")
        for number, line in enumerate(lines, start=1)
    )


def _parsed(kind: type[_T], text: bytes, where: str) -> _T:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        at = ".".join(str(part) for part in error.errors()[0]["loc"])
        problem = f"{where}: not written by this version of Inwit (at {at or 'its start'})."
        raise SetupError(problem) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. Name the folder of a finished run.") from error


def _write(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError:
            continue  # there was no folder to write to
