"""The forms of an export, and the part that each one writes."""

from enum import StrEnum
from pathlib import Path

from inwit.errors import SetupError
from inwit.ledger.exports import jsonl, ocsf, otel, statements
from inwit.ledger.exports.parquet import ParquetPart, require_pyarrow
from inwit.ledger.exports.parts import LinesPart, Part, part_name
from inwit.ledger.exports.statements import Grounds


class Form(StrEnum):
    """What is written of each entry."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    OCSF = "ocsf"
    OTEL = "otel"
    DSA = "dsa"


def check(form: Form, grounds: Grounds | None) -> None:
    """Say what a form lacks, before anything is written.

    Raises:
        SetupError: something is not installed, or not told.
    """
    if form is Form.PARQUET:
        require_pyarrow()
    if form is Form.DSA and grounds is None:
        raise SetupError(
            "Statements of reasons need the ground in your own words: --dsa FILE "
            "(docs/exports.md has an example)."
        )


def open_part(form: Form, grounds: Grounds | None, first: int, last: int, scratch: Path) -> Part:
    """A part for the places `first` to `last`, both included, in files of the folder `scratch`."""
    check(form, grounds)
    name = part_name(first, last)
    match form:
        case Form.PARQUET:
            return ParquetPart(name, scratch)
        case Form.JSONL:
            return LinesPart(f"{form.value}/{name}", scratch, jsonl.line_of)
        case Form.OCSF:
            return LinesPart(f"{form.value}/{name}", scratch, ocsf.line_of)
        case Form.OTEL:
            return LinesPart(f"{form.value}/{name}", scratch, otel.line_of)
        case Form.DSA:
            assert grounds is not None  # noqa: S101  # checked above
            return LinesPart(f"{form.value}/{name}", scratch, statements.lines_of(grounds))
