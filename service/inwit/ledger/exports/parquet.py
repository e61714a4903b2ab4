"""The form for analysis: Parquet files by day and tenant, with views and queries for DuckDB."""

import hashlib
import string
from datetime import datetime
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from inwit.errors import SetupError
from inwit.ledger.exports.columns import COLUMNS, Kind, flat
from inwit.ledger.exports.leaves import Leaf, Standing
from inwit.ledger.exports.parts import File
from inwit.ledger.exports.places import Place

FOLDER = "parquet"
NOBODY = "__HIVE_DEFAULT_PARTITION__"  # what readers of such folders take for no value

_WAITING = 2_000  # rows that wait before they are packed as they will be written
_LONGEST = 200
# Some file systems do not tell capital letters from small ones.
_PLAIN = frozenset(string.ascii_lowercase + string.digits + "_-")


class ParquetPart:
    """A file for each day and tenant of a batch, written at its end: none is open meanwhile."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.rows = 0
        self._name = name
        self._scratch = scratch
        self._table = require_pyarrow("pyarrow").Table
        self._waiting: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._packed: dict[tuple[str, str], list[Any]] = {}

    def add(self, leaf: Leaf) -> None:
        """Take an entry that is intact; others have nothing to be analysed."""
        if leaf.standing is not Standing.INTACT:
            return
        row = flat(leaf)
        day = row["time"].date().isoformat() if isinstance(row["time"], datetime) else NOBODY
        self._waiting.setdefault((day, row["tenant_name"]), []).append(row)
        self.rows += 1
        if self.rows % _WAITING == 0:
            self._pack()

    def files(self) -> list[File]:
        """See `Part.files`."""
        self._pack()
        arrow, write = require_pyarrow("pyarrow"), require_pyarrow("pyarrow.parquet").write_table
        made: list[File] = []
        for (day, tenant), tables in self._packed.items():
            path = self._scratch / f"{len(made)}.parquet"
            write(arrow.concat_tables(tables), path, compression="zstd")
            folder = f"day={day}/tenant={tenant_folder(tenant)}"
            made.append(File(f"{FOLDER}/{folder}/{self._name}.parquet", path))
        return made

    def close(self) -> None:
        """See `Part.close`."""

    def _pack(self) -> None:
        for partition, rows in self._waiting.items():
            table = self._table.from_pylist(rows, schema=schema())
            self._packed.setdefault(partition, []).append(table)
        self._waiting = {}


def schema() -> Any:
    """The Arrow schema of the files. `day` and `tenant` stand in their names."""
    made = require_pyarrow("pyarrow")
    types = {
        Kind.INTEGER: made.int64(),
        Kind.NUMBER: made.float64(),
        Kind.TEXT: made.string(),
        Kind.TEXTS: made.list_(made.string()),
        Kind.FLAG: made.bool_(),
        Kind.TIME: made.timestamp("us", tz="UTC"),
    }
    return made.schema([(column.name, types[column.kind]) for column in COLUMNS])


def require_pyarrow(module: str = "pyarrow.parquet") -> Any:
    """A module of pyarrow, or what to install where it is missing.

    Raises:
        SetupError: it is.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise SetupError(
            "Parquet needs what is not installed: pip install 'inwit[export]'."
        ) from error


def tenant_folder(tenant: str) -> str:
    """A tenant as a part of a path: safe, short enough, and another for each tenant."""
    if not tenant:
        return NOBODY
    encoded = "".join(
        each if each in _PLAIN else "".join(f"%{byte:02X}" for byte in _utf8(each))
        for each in tenant
    )
    if len(encoded) <= _LONGEST:
        return encoded
    digest = hashlib.sha256(_utf8(tenant)).hexdigest()[:32]
    return f"{encoded[: _LONGEST - len(digest)].rpartition('%')[0] or encoded[:100]}~{digest}"


def put_views(place: Place) -> None:
    """Write the views and queries beside the files, for DuckDB."""
    root = f"{place.root}{FOLDER}/" if place.root else ""
    views = _VIEWS.format(root=root.replace("'", "''"))
    wanted = {f"{FOLDER}/views.sql": views.encode()}
    for query in queries():
        wanted[f"{FOLDER}/queries/{query}"] = query_text(query).encode()
    for name, content in wanted.items():
        if place.get(name) != content:
            place.put(name, content)


def queries() -> list[str]:
    """The names of the ready queries."""
    folder = files("inwit.ledger.exports") / "queries"
    return sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))


def query_text(name: str) -> str:
    """One of them."""
    return (files("inwit.ledger.exports") / "queries" / name).read_text("utf-8")


def _utf8(words: str) -> bytes:
    return words.encode("utf-8", "surrogatepass")


# `tenant` of the path is encoded; the entry's own has no name in common with it.
_VIEWS = """\
-- Start DuckDB in this folder, and read this first: duckdb -init views.sql
CREATE OR REPLACE VIEW entries AS
SELECT * EXCLUDE (tenant, tenant_name), tenant_name AS tenant
FROM (
    SELECT * FROM read_parquet(
        '{root}day=*/tenant=*/part-*.parquet',
        hive_partitioning = true,
        hive_types = {{'day': DATE}},
        union_by_name = true
    )
    -- Columns that the parts of earlier versions do not have.
    UNION ALL BY NAME SELECT NULL::BIGINT AS sent_length, NULL::BOOLEAN AS retracted WHERE false
);

-- What was decided on: one row for each response that came to a decision.
CREATE OR REPLACE VIEW decisions AS
SELECT * FROM entries WHERE type IN ('decision', 'check');

-- Cases and how they ended; those with a known answer left out.
CREATE OR REPLACE VIEW cases AS
SELECT
    held.case_id,
    held.response_id,
    held.tenant,
    held.policy,
    held.policy_version,
    held.severity,
    held.language,
    held.categories,
    held.time AS opened,
    ended.time AS closed,
    ended.ending,
    ended.ruling_kind,
    ended.released
FROM (SELECT * FROM entries WHERE type = 'decision' AND case_id IS NOT NULL) AS held
LEFT JOIN (SELECT * FROM entries WHERE type = 'outcome' AND NOT golden) AS ended
    ON ended.case_id = held.case_id;
"""
