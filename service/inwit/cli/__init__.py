"""The command line: `inwit --help`."""

import sys

import typer
from rich.console import Console

from inwit import __version__
from inwit.cli import (
    erasure,
    evaluate,
    keys,
    ledger,
    ledger_export,
    ledger_keys,
    policy,
    queue,
    reviewers,
    run,
    train,
)
from inwit.cli.calibrate import calibrate
from inwit.cli.doctor import doctor
from inwit.errors import InwitError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.command()(run.up)
app.command()(run.serve)
app.command()(doctor)
app.command()(calibrate)
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
ledger.app.add_typer(ledger_keys.app, name="key")
erasure.add_to(ledger.app)
ledger.app.command("export")(ledger_export.export)
app.add_typer(ledger.app, name="ledger")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(queue.app, name="queue")
app.add_typer(reviewers.app, name="reviewers")
app.add_typer(train.app, name="train")


@app.callback()
def root() -> None:
    """Inwit: a guardrail gateway for LLM products."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run a command; what is wrong with the set-up is one sentence and exit code 2."""
    try:
        app()
    except InwitError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"inwit: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
