"""`inwit ledger key`: the keys that sign checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from inwit.checkpointing import held_keys, ledger_key_file
from inwit.config import load_settings
from inwit.errors import SetupError
from inwit.ledger.notes import NoteError, SigningKey, first_key, new_key, read_keys, write_keys

app = typer.Typer(no_args_is_help=True, help="The keys that sign checkpoints of the ledger.")

_File = Annotated[
    Path | None,
    typer.Option(help="File of keys.", show_default="INWIT_LEDGER_KEY_FILE, or ledger.key in data"),
]


@app.command("new")
def new_signing_key(
    file: _File = None,
    name: Annotated[
        str | None,
        typer.Option(help="The log's name, such as log.example.com/inwit.", show_default="drawn"),
    ] = None,
    printed: Annotated[
        bool, typer.Option("--print", help="Print the key itself, for a Secret, and keep no file.")
    ] = False,
) -> None:
    """Add a key to the file, which is made where it is not there, and print its public part.

    Where there are keys already this begins a rotation: gateways that are started again sign with
    all of them (docs/ledger.md). Where INWIT_LEDGER_KEY has the keys there is no file: --print.
    """
    if printed:
        key = _key(name)
        typer.echo(key.vkey, err=True)
        typer.echo(key.line())
        return
    place = _place(file, writes=True)
    there = read_keys(place) if place.exists() else ()
    if there and name not in (None, there[0].name):
        raise typer.BadParameter(f"the keys in {place} are for {there[0].name}")
    key = _key(there[0].name if there else name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if there:
            write_keys(place, [*there, key])
        else:
            first_key(place, key)
    except OSError as error:
        raise SetupError(f"{place} cannot be written ({error.strerror}).") from error
    typer.echo(key.vkey)


@app.command("show")
def show_signing_keys(file: _File = None) -> None:
    """Print the public keys, the newest last: what a verifier is given."""
    held = held_keys(load_settings()) if file is None else ()
    for key in held or read_keys(_place(file)):
        typer.echo(key.vkey)


@app.command("drop")
def drop_signing_key(
    key: Annotated[str, typer.Argument(help="Its public part, or the 8 digits of its id.")],
    file: _File = None,
) -> None:
    """Take a key off the file: the end of a rotation, or a key that others may have."""
    place = _place(file, writes=True)
    keys = read_keys(place)
    left = [each for each in keys if not _is(each, key)]
    if len(left) != len(keys) - 1:
        raise typer.BadParameter(f"{place} has no such key")
    if not left:
        raise typer.BadParameter("it is the only one; add another with `inwit ledger key new`")
    write_keys(place, left)
    typer.echo("\n".join(each.vkey for each in left))


def _key(name: str | None) -> SigningKey:
    try:
        return new_key(name)
    except NoteError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from error


def _is(key: SigningKey, named: str) -> bool:
    return named in (key.vkey, key.id)


def _place(file: Path | None, *, writes: bool = False) -> Path:
    """The file that is meant; none is written where gateways do not read it."""
    if file is not None:
        return file
    settings = load_settings()
    if writes and settings.ledger_key is not None:
        name = held_keys(settings)[0].name
        raise SetupError(
            "INWIT_LEDGER_KEY has the keys here, and no file is read: nothing was written. "
            f"`inwit ledger key new --print --name {name}` prints another one for it; "
            "change what it is set from, or name a file with --file."
        )
    return ledger_key_file(settings)
