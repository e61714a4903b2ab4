"""A request ends once, and a cut or a failure ends only what was accepted."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from inwit.decisions import AnyRecord, CutRecord, FailedRecord, Record
from inwit.errors import Conflict
from inwit.ledger.tables import ENTRIES

ACCEPTED = "accepted"

# The types of the entries of which each request that was accepted gets one.
ENDS = ("decision", "check", "cut", "failed")

_THEIRS = sa.select(ENTRIES.c.response_id, ENTRIES.c.type).where(
    ENTRIES.c.response_id.in_(sa.bindparam("names", expanding=True)),
    ENTRIES.c.type.in_((ACCEPTED, *ENDS)),
)


class Ends:
    """What the ledger has of the requests that one commit ends, asked for once for all of them.

    Nobody else appends meanwhile; what the commit itself appends is told by `add`.
    """

    def __init__(self, connection: sa.Connection, records: Iterable[AnyRecord]) -> None:
        self._connection = connection
        self._asked = {each.origin.response_id for each in records if _ends(each)}
        self._found: dict[str, set[str]] | None = None

    def check(self, record: AnyRecord) -> None:
        """Refuse what may not be appended.

        Its decision may be durable though its caller was not told in time, its acceptance may not
        be where the caller went at once, and another gateway may have given it up.

        Raises:
            Conflict: the request has ended, or was never accepted.
        """
        if not _ends(record):
            return
        known = self._known().get(record.origin.response_id, set())
        # Of a stream that is cut something had left, so that it was accepted for sure.
        if known - {ACCEPTED} or (isinstance(record, FailedRecord) and not known):
            raise Conflict("This request is not open.", retry_after=0)

    def add(self, record: AnyRecord, kind: str) -> None:
        """An entry of this type was appended."""
        if kind == ACCEPTED or kind in ENDS:
            self._known().setdefault(record.origin.response_id, set()).add(kind)

    def _known(self) -> dict[str, set[str]]:
        if self._found is None:
            self._found = _found(self._connection, self._asked)
        return self._found


def _ends(record: AnyRecord) -> bool:
    return isinstance(record, Record | CutRecord | FailedRecord)


def _found(connection: sa.Connection, names: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    if names:
        for row in connection.execute(_THEIRS, {"names": list(names)}):
            found.setdefault(row.response_id, set()).add(row.type)
    return found
