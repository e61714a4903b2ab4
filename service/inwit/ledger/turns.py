"""Whose turn it is to append: one chain, many gateways on one PostgreSQL.

A gateway that stands still in its turn (a paused machine, a network that is gone) loses it, so that
the others do not wait for it for ever. Between two statements the server throws it out by itself.
In the middle of one it does not: whoever waited in vain throws it out.
"""

from typing import Any, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger()

_LOCK = 0x1_1217  # any number, the same for every gateway
_WAITED_IN_VAIN = "55P03"  # lock_not_available: `lock_timeout` is over


class Turns:
    """Take a turn with `take` at the beginning of a transaction; it ends with the transaction.

    `timeout_s`: how long anything may wait for the database, in seconds. A turn ends after a third
    of that without a word, which is less than `wait_s`.
    """

    def __init__(self, timeout_s: int) -> None:
        self.wait_s = timeout_s // 2
        still = f"{max(1, timeout_s // 3)}s"
        idle = sa.func.set_config("idle_in_transaction_session_timeout", still, True)
        self._take = sa.select(idle, sa.func.pg_advisory_xact_lock(_LOCK))
        self._throw_out = sa.text(_THROW_OUT).bindparams(lock=_LOCK, still=still)

    def take(self, connection: sa.Connection) -> None:
        """Wait for the turn."""
        connection.execute(self._take)

    def lost(self, engine: sa.Engine, error: DBAPIError) -> None:
        """After an error: where it was a wait in vain, see that the next one is not.

        Raises:
            DBAPIError: the database failed again.
        """
        if _code(error) != _WAITED_IN_VAIN:
            return
        with engine.connect() as connection:
            for pid in connection.scalars(self._throw_out):
                log.warning("writer_thrown_out", backend=pid)


# A server that waits for its client says so (`ClientRead`, `ClientWrite`), in the middle of a
# statement too. Of another role's connections these columns are null, and they are left alone.
_THROW_OUT = """
SELECT pid, pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND (classid, objid, objsubid) = (0, :lock, 1) AND granted
  AND datname = current_database() AND wait_event_type = 'Client'
  AND state_change < clock_timestamp() - CAST(:still AS interval)
"""


def _code(error: DBAPIError) -> str | None:
    """The server's SQLSTATE, which pg8000 gives as field C."""
    fields: Any = error.orig.args[0] if error.orig and error.orig.args else None
    return cast("dict[str, str]", fields).get("C") if isinstance(fields, dict) else None
