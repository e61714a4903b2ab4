"""`inwit policy`: compile, show, compare and reload policies."""

from pathlib import Path
from typing import Annotated

import typer

from inwit.cli.reload import reload_policies
from inwit.config import load_settings
from inwit.errors import PolicyError, SetupError
from inwit.policy.loader import PACKAGED, json_schema, load_policies, load_policy
from inwit.policy.policy import Policy
from inwit.policy.summary import difference, shown

app = typer.Typer(no_args_is_help=True, help="Compile, show, compare and reload policies.")
app.command("reload")(reload_policies)

_Which = Annotated[str, typer.Argument(help="A policy's name, or a file.")]


@app.command("check")
def check_policies(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of policies.")],
) -> None:
    """Compile policies; every error has file, line, column and remedy. Exit 1 where one has any."""
    failed = False
    for file in files:
        try:
            policies = load_policies(file).values() if file.is_dir() else [load_policy(file)]
        except PolicyError as error:
            failed = True
            for problem in error.problems:
                typer.echo(str(problem))
        else:
            for policy in policies:
                typer.echo(f"{policy.name} {policy.ref.version} {policy.ref.digest}: sound")
                _note_classifiers(policy)
    if failed:
        raise SystemExit(1)


@app.command("show")
def show_policy(which: _Which) -> None:
    """Print all that a policy does, with what the taxonomy and the defaults add."""
    typer.echo(shown(_find(which)))


@app.command("diff")
def diff_policies(before: _Which, after: _Which) -> None:
    """Print what the second policy does otherwise; exit 1 where it does."""
    found = difference(_find(before), _find(after))
    if found:
        typer.echo(found)
        raise SystemExit(1)
    typer.echo("They do the same.")


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    typer.echo(json_schema(), nl=False)


def _find(which: str) -> Policy:
    """A file where there is one of that name, else the policy of that name in the folder."""
    file = Path(which)
    if file.is_file():
        return load_policy(file)
    folder = load_settings().policy_dir or PACKAGED
    policies = load_policies(folder)
    if which not in policies:
        known = ", ".join(sorted(policies))
        raise SetupError(f"There is no file and no policy {which!r}; {folder} has: {known}.")
    return policies[which]


def _note_classifiers(policy: Policy) -> None:
    known = {"embedded", *load_settings().classifiers}
    for name in sorted(policy.classifiers() - known):
        typer.echo(
            f"  note: the classifier {name!r} is not in INWIT_CLASSIFIERS here; a gateway "
            "without it will not start."
        )
