"""Writes a bundle: a folder that a stranger checks with `verify.py`, which lies in it.

README.txt          what this is, and the command
verify.py           the verifier, one file
manifest.json       format, origin (the log's name), size, when it was made
checkpoint          the newest signed checkpoint
checkpoints.jsonl   all signed checkpoints, the smallest first: size, time, note
entries/*.jsonl     the entries' exact bytes, a line each, 65,536 to a file; a file is named by
                    the index of its first; of a pruned entry there is {"pruned": "<its hash>"}
anchored.json       what each anchor has confirmed
openings.jsonl      only with content: sequence, kind, salt, content (base64)
"""

import base64
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.errors import SetupError
from inwit.ledger import verify
from inwit.ledger.as_stored import checkpoint_rows, content_rows, entry_rows, one_snapshot
from inwit.ledger.transaction import Transaction

FORMAT = "inwit-ledger-bundle/1"
_FILE = 1 << 16  # entries

# Opens rows of the contents: salt and content of each, or None where one does not open.
OpenRows = Callable[[sa.Connection, Sequence[sa.Row[Any]]], Sequence[tuple[bytes, bytes] | None]]

_README = """This is a bundle of the ledger {origin}: every entry up to number {size}.

Check it, on any machine with Python 3.9 or newer and nothing else:

    python3 verify.py . --key KEY

KEY is the log's public key. Ask the operator for it, and not this folder. Where you kept a
checkpoint of this log, or an anchor has one, add: --previous FILE. `python3 verify.py --help`
says more. A verifier that came with the evidence may lie: take verify.py from Inwit's own
release where it matters.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What a bundle holds. `shut` counts pieces of content that did not open."""

    origin: str
    size: int
    checkpoint: int
    openings: int
    shut: int


def write_bundle(
    connection: sa.Connection, folder: Path, now: datetime, open_rows: OpenRows | None = None
) -> Written:
    """Write it by reading only, as of one moment; the folder is there when all of it is.

    With `open_rows` the content goes into it too. Give a connection that has read nothing yet.

    Raises:
        SetupError: the folder is there already, or cannot be written.
    """
    if folder.exists():
        raise SetupError(f"{folder} is there already; name a new folder.")
    ready = folder.absolute().with_name(f".{folder.name}.{secrets.token_hex(4)}")
    one_snapshot(connection)
    try:
        (ready / "entries").mkdir(parents=True)
        if open_rows is not None:
            ready.chmod(0o700)
        written = _fill(connection, ready, now, open_rows)
        ready.replace(folder)
    except OSError as error:
        raise SetupError(f"{folder} cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(ready, ignore_errors=True)
    return written


def note_bundle(transaction: Transaction, written: Written, by: str) -> None:
    """Record that it was taken out."""
    facts = {"what": "bundle", "rows": written.size, "with_content": written.openings > 0}
    transaction.add(ActRecord(ActKind.EXPORTED, transaction.now, "", by, facts, {}))


def _fill(
    connection: sa.Connection, folder: Path, now: datetime, open_rows: OpenRows | None
) -> Written:
    newest = None
    with (folder / "checkpoints.jsonl").open("wb") as out:
        for row in checkpoint_rows(connection):
            if row.note is not None:
                newest = row
                line = {"size": row.size, "time": _time(row.time), "note": row.note}
                out.write(_line(line))
    if newest is not None:
        (folder / "checkpoint").write_bytes(str(newest.note).encode())
    size = _write_entries(connection, folder / "entries")
    openings, shut = 0, 0
    if open_rows is not None:
        openings, shut = _write_openings(connection, folder / "openings.jsonl", size, open_rows)
    origin = str(newest.note).partition("\n")[0] if newest is not None else ""
    manifest = {"format": FORMAT, "origin": origin, "size": size, "made": now.isoformat()}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    (folder / "anchored.json").write_text(json.dumps(_anchored(connection), indent=1) + "\n")
    (folder / "README.txt").write_text(_README.format(origin=origin or "(no key)", size=size))
    (folder / "verify.py").write_bytes(Path(verify.__file__).read_bytes())
    return Written(origin, size, newest.size if newest is not None else 0, openings, shut)


def _write_entries(connection: sa.Connection, folder: Path) -> int:
    """The number of entries."""
    count = 0
    out: BinaryIO | None = None
    try:
        for rows in entry_rows(connection):
            for row in rows:
                if count % _FILE == 0:
                    if out is not None:
                        out.close()
                    out = (folder / f"{count:012}.jsonl").open("wb")
                assert out is not None  # noqa: S101  # opened at the first entry
                out.write(_entry(row))
                count += 1
    finally:
        if out is not None:
            out.close()
    return count


def _entry(row: sa.Row[Any]) -> bytes:
    if row.type == "pruned" and row.body == b"" and isinstance(row.hash, bytes):
        return b'{"pruned":"%s"}\n' % row.hash.hex().encode()
    body = row.body if isinstance(row.body, bytes) else str(row.body).encode()
    return body + b"\n"


def _write_openings(
    connection: sa.Connection, file: Path, size: int, open_rows: OpenRows
) -> tuple[int, int]:
    """How many pieces of content were written, and how many did not open."""
    written = shut = 0
    with file.open("wb") as out:
        for rows in _pages(connection, size):
            opened = zip(rows, open_rows(connection, rows), strict=True)
            for row, both in sorted(opened, key=lambda each: (each[0].sequence, each[0].kind)):
                line = _opening(row, both) if both is not None else None
                out.write(line or b"")
                written, shut = written + (line is not None), shut + (line is None)
    return written, shut


def _opening(row: sa.Row[Any], both: Any) -> bytes | None:
    """SQLite lets anything stand in any column; what is no bytes opens nothing."""
    if not all(isinstance(each, bytes) for each in both):
        return None
    salt, content = both[0].hex(), base64.b64encode(both[1]).decode()
    return _line({"sequence": row.sequence, "kind": row.kind, "salt": salt, "content": content})


def _pages(connection: sa.Connection, size: int) -> Iterator[Sequence[sa.Row[Any]]]:
    step = 200  # entries: content may be large
    for first in range(1, size + 1, step):
        rows = content_rows(connection, first, min(first + step - 1, size))
        if rows:
            yield rows


def _anchored(connection: sa.Connection) -> list[dict[str, Any]]:
    query = sa.text("SELECT anchor, size, time FROM anchored ORDER BY anchor")
    rows: Iterable[sa.Row[Any]] = connection.execute(query)
    return [{"anchor": row.anchor, "size": row.size, "time": _time(row.time)} for row in rows]


def _time(value: Any) -> str:
    """As either database gives it: SQLite's text is in UTC and does not say so."""
    return value.isoformat() if isinstance(value, datetime) else f"{value}+00:00"


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
