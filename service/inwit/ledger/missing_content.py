"""Content that entries committed to and that is not there: what the database says of why.

That is the database's word, which nothing signs: whoever deletes a piece can write it too. What
the log itself says are its entries `erased` and `pruned`.
"""

from collections import Counter
from collections.abc import Mapping, Set
from typing import Any

import sqlalchemy as sa

from inwit.ledger import verify

WHY = ("erased", "expired", "unexplained")

_FATES = sa.text(
    "SELECT response_id, subject FROM data_keys WHERE response_id IN :names AND length(wrapped) = 0"
).bindparams(sa.bindparam("names", expanding=True))
# A golden copy has no response: its content went with that of the case which it was copied from.
_OF_CASES = sa.text(
    "SELECT c.id AS case_id, e.response_id FROM escalations AS c JOIN entries AS e "
    "ON e.sequence = c.sequence WHERE c.id IN :names"
).bindparams(sa.bindparam("names", expanding=True))
_AT_ONCE = 500


def gone(
    connection: sa.Connection, facts: Mapping[int, Mapping[str, Any]], kept: Set[tuple[int, str]]
) -> Counter[str]:
    """How many pieces are missing of what some entries committed to, by why."""
    missing: Counter[tuple[str, str]] = Counter()
    for sequence, said in facts.items():
        kinds = verify.object_of(said.get("commitments"))
        if count := sum((sequence, kind) not in kept for kind in kinds):
            missing[_name(said, "response"), _name(said, "case")] += count
    if not missing:
        return Counter()
    cases = sorted({case for response, case in missing if case and not response})
    of = dict(_pairs(connection, _OF_CASES, cases)) if cases else {}
    names = {key: key[0] or of.get(key[1], "") for key in missing}
    fates = _fates(connection, sorted(set(names.values()) - {""}))
    found: Counter[str] = Counter()
    for key, count in missing.items():
        found[fates.get(names[key], "unexplained")] += count
    return found


def _fates(connection: sa.Connection, names: list[str]) -> dict[str, str]:
    if not sa.inspect(connection).has_table("data_keys"):
        return {}
    return {
        name: "erased" if subject == "erased" else "expired"
        for name, subject in _pairs(connection, _FATES, names)
    }


def _pairs(connection: sa.Connection, query: Any, names: list[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(names), _AT_ONCE):
        rows = connection.execute(query, {"names": names[start : start + _AT_ONCE]})
        found += [tuple(row) for row in rows]
    return found


def _name(said: Mapping[str, Any], fact: str) -> str:
    name = said.get(fact)
    return name if isinstance(name, str) and name.isprintable() else ""
