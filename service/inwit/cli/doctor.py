"""`inwit doctor`."""

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inwit.config import load_settings
from inwit.doctor.examine import examine
from inwit.doctor.finding import Finding, Grade, ok, wrong
from inwit.errors import SetupError

_STYLES = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.WRONG: "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the settings and all that the gateway leans on; exit 1 where something is wrong."""
    found = _found()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
    else:
        _print(found)
    if any(each.grade is Grade.WRONG for each in found):
        raise SystemExit(1)


def _found() -> list[Finding]:
    try:
        settings = load_settings()
    except SetupError as error:
        return [wrong("settings", str(error), "See docs/settings.md.")]
    before = structlog.get_config()
    # What clients log of a failure is said in the findings.
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    try:
        return [ok("settings", "Each has a value that fits."), *asyncio.run(examine(settings))]
    finally:
        structlog.configure(**before)


def _print(found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("check", "is", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for each in found:
        grade = f"[{_STYLES[each.grade]}]{each.grade.value}[/]"
        table.add_row(escape(each.check), grade, escape(each.words), escape(each.remedy))
    console = Console(highlight=False)
    console.print(table)
    counts = Counter(each.grade for each in found)
    console.print("\n" + ", ".join(f"{counts[grade]} {grade.value}" for grade in Grade))
