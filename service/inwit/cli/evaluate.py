"""`inwit evaluate`: what the conscience is worth, measured on labelled sets."""

import asyncio
import importlib.util
import json
import os
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inwit.cli.calibrate import policy_named, require_extra
from inwit.config import Settings, load_settings
from inwit.ledger_setup import open_database
from inwit.miss_rate.estimate import Interval
from inwit.miss_rate.reading import MissReport, read_misses
from inwit.policy.policy import Policy

if TYPE_CHECKING:
    from inwit.evaluation.results import Report, SampleScore
    from inwit.evaluation.run import Request

app = typer.Typer(no_args_is_help=True, help="Measure the judges on labelled sets.")
_out = Console(highlight=False, soft_wrap=True, markup=False)

_Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with a folder for each set.", envvar="INWIT_DATA", show_default="INWIT_DATA"
    ),
]


@app.command("datasets")
def datasets(data: _Data = None) -> None:
    """List the sets: which are here, where each is from, and what its label means."""
    from inwit.evaluation.datasets.reading import held
    from inwit.evaluation.datasets.recipes import RECIPES

    table = Table("set", "here", "kind", "languages", "licence", "origin", "what the label means")
    for recipe in RECIPES:
        here = held(recipe, data)
        table.add_row(
            recipe.name,
            "no" if here is None else here,
            recipe.distribution.value,
            " ".join(recipe.languages),
            recipe.licence,
            recipe.origin,
            recipe.label,
        )
    _out.print(table)
    if data is None:
        _out.print("No folder was named: set INWIT_DATA, or give --data. `own` is part of Inwit.")


_Out = Annotated[Path, typer.Option(help="Folder for the report.")]
_Suite = Annotated[str, typer.Option(help="quick, standard or whole.")]
_Sets = Annotated[list[str] | None, typer.Option("--set", help="Only this set; may be repeated.")]
_Policy = Annotated[str, typer.Option(help="Whose question and thresholds hold.")]
_Model = Annotated[str | None, typer.Option(help="The served one when not given.")]
_Gateway = Annotated[
    str | None, typer.Option(help="URL of a running Inwit, asked as any caller asks it.")
]
_Seeds = Annotated[int, typer.Option(min=1, max=20, help="How many draws.")]
_Concurrency = Annotated[int, typer.Option(min=1, help="Questions at once.")]
_Writes = Annotated[
    bool, typer.Option("--writes/--no-writes", help="Own drafts and rewrites, too.")
]
_Cache = Annotated[
    Path | None, typer.Option(help="Answers are kept here.", show_default="in the data folder")
]
_WithText = Annotated[bool, typer.Option("--with-text", help="Texts in the log for Inspect, too.")]


@app.command("run")
def run(
    out: _Out = Path("evaluation"),
    suite: _Suite = "standard",
    data: _Data = None,
    sets: _Sets = None,
    policy: _Policy = "default",
    model: _Model = None,
    gateway: _Gateway = None,
    seeds: _Seeds = 3,
    concurrency: _Concurrency = 2,
    writes: _Writes = True,
    cache: _Cache = None,
    with_text: _WithText = False,
) -> None:
    """Measure the judges, and write report.html, report.json and samples.jsonl.

    Where inspect_ai is installed there is also run.eval, a log for Inspect (UK AISI).
    Without INWIT_MODEL_URL the embedded model is measured. A run that was stopped goes on where
    it was: what was answered is kept. A gateway's API key is read from INWIT_API_KEY.
    """
    require_extra()
    # Here and not above: no other command needs them, and they take a second to import.
    from inwit.evaluation.experiments.suite import SUITES
    from inwit.evaluation.run import Request

    if suite not in SUITES:
        raise typer.BadParameter(f"there are: {', '.join(SUITES)}", param_hint="--suite")
    settings = load_settings()
    request = Request(
        suite=SUITES[suite],
        data=data,
        cache=cache or settings.data_dir / "evaluation",
        sets=tuple(sets or ()),
        seeds=tuple(range(seeds)),
        model=model,
        gateway=gateway,
        gateway_key=os.environ.get("INWIT_API_KEY"),
        concurrency=concurrency,
        writes=writes,
        command=f"inwit {shlex.join(sys.argv[1:])}",
    )
    _measure(settings, policy_named(policy, settings), request, out, with_text)


def _measure(
    settings: Settings, policy: Policy, request: "Request", out: Path, with_text: bool
) -> None:
    from inwit.evaluation.report.files import PAGE, REPORT, SAMPLES, write_report
    from inwit.evaluation.run import evaluate

    with _progress() as progress:
        task = progress.add_task("starting", total=None)

        def tell(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        report, scores = asyncio.run(evaluate(settings, policy, request, _out.print, tell))
    write_report(out, report, scores)
    files = [out / name for name in (PAGE, REPORT, SAMPLES)]
    if importlib.util.find_spec("inspect_ai") is not None:
        files.append(_for_inspect(request, report, scores, out, with_text))
    for question in report.scorecard:
        _out.print(f"{question.grade:>12}  {question.question}")
    for file in files:
        _out.print(f"Written: {file}")


def _for_inspect(
    request: "Request", report: "Report", scores: list["SampleScore"], out: Path, with_text: bool
) -> Path:
    from inwit.evaluation.datasets.reading import find
    from inwit.evaluation.inspect_log import write_log

    known = find(request.data, request.sets).datasets if with_text else ()
    file = out / "run.eval"
    write_log(report, scores, file, {each.recipe.name: each.samples for each in known})
    return file


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="Folder of the first report.")],
    after: Annotated[Path, typer.Argument(help="Folder of the second.")],
) -> None:
    """Say what got better or worse beyond noise from one report to another."""
    require_extra()
    from inwit.evaluation.compare import compare as held_against
    from inwit.evaluation.compare import render_comparison
    from inwit.evaluation.report.files import read_report

    first, second = read_report(before), read_report(after)
    _out.print(render_comparison(held_against(first[0], second[0], first[1], second[1])))


@app.command("misses")
def misses(
    days: Annotated[int, typer.Option(min=1, help="The window.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate what gets through in production, from the random slice and people's rulings.

    The same figures as the metric inwit_miss_rate (docs/decisions/0024).
    """
    report = asyncio.run(_misses(days))
    if as_json:
        typer.echo(json.dumps(report.as_json()))
        return
    table = Table("policy", "told by", "miss rate", "harmful of what was released")
    for policy, sources in report.policies.items():
        for source, found in sources.items():
            table.add_row(
                policy, source.value, _interval(found.rate), _interval(found.per_response)
            )
    _out.print(table)
    _out.print(f"{report.decisions} decisions read, {report.left_out} left out.")


async def _misses(days: int) -> MissReport:
    async with open_database(load_settings(), keys=False) as database:
        return await read_misses(database, datetime.now(UTC) - timedelta(days=days))


def _interval(found: Interval) -> str:
    if found.value is None:
        return "not known"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
