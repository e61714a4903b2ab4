"""Which key seals what: content by its entry, and the texts that stand beside a case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActRecord
from inwit.decisions import AnyRecord
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.tables import DATA_KEYS, ENTRIES, ESCALATIONS
from inwit.ledger.vault import (
    ERASED,
    NO_KEY,
    Owner,
    Piece,
    Shut,
    Vault,
    blind,
    open_text,
    seal_text,
    sealed_text,
    tenants_own,
    vault_of,
)


class Fate(StrEnum):
    """Why there is no content of a response any more."""

    ERASED = "erased on request"
    EXPIRED = "deleted when its time was over"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Content that waits for the end of its transaction."""

    record: AnyRecord | ActRecord
    sequence: int
    kind: str
    salt: bytes
    content: bytes


def content_rows(
    connection: sa.Connection, waiting: Sequence[Waiting], now: datetime
) -> list[dict[str, Any]]:
    """Rows of `contents`: sealed where this database has a vault."""
    vault = vault_of(connection)
    if vault is None:
        return [_plain(each) for each in waiting]
    acts = [each.record for each in waiting if isinstance(each.record, ActRecord)]
    copies = {act.case_id for act in acts if act.case_id and not act.response_id}
    originals = _originals(connection, sorted(copies))
    pieces = [
        Piece(_owner(each.record, originals), each.sequence, each.kind, each.salt, each.content)
        for each in waiting
    ]
    return vault.seal(connection, pieces, now)


def _plain(waiting: Waiting) -> dict[str, Any]:
    row = {"sequence": waiting.sequence, "kind": waiting.kind, "salt": waiting.salt}
    return {**row, "content": waiting.content, "nonce": None}


def blinded(
    connection: sa.Connection,
    record: AnyRecord | ActRecord,
    facts: dict[str, Any],
    now: Callable[[], datetime],
) -> dict[str, Any]:
    """The facts of an entry with digests of texts that only the response's own data key can make.

    A plain digest would let who guesses a text confirm it, also once it is erased. These stay
    equal where the texts are: that what left is what was approved can be seen without either.
    """
    vault, digests = vault_of(connection), _digests(record, facts)
    if vault is None or not digests:
        return facts
    cases = [record.case_id] if isinstance(record, ActRecord) and not record.response_id else []
    owner = _owner(record, _originals(connection, cases))
    key = vault.keys_for(connection, {owner.name: owner}, now())[owner.name]
    told = {name: "" if key is None else blind(key, digest) for name, digest in digests.items()}
    if isinstance(record, ActRecord):
        return facts | {"facts": facts["facts"] | told}
    return facts | {"hold": facts["hold"] | {"offers": told}}


def _digests(record: AnyRecord | ActRecord, facts: Mapping[str, Any]) -> Mapping[str, str]:
    """The digests of texts that an entry is about to name."""
    if isinstance(record, ActRecord):
        about = record.case_id or record.response_id
        return {"digest": facts["facts"]["digest"]} if about and "digest" in record.facts else {}
    return facts["hold"]["offers"] if facts.get("hold") else {}


def names_of(connection: sa.Connection, facts: Mapping[int, Mapping[str, Any]]) -> dict[int, str]:
    """The names of the data keys of entries, by their places."""
    copies = {own["case"] for own in facts.values() if not own["response"] and own.get("case")}
    originals = _originals(connection, sorted(copies))
    return {
        sequence: own["response"]
        or originals.get(own.get("case", ""), "")
        or tenants_own(own["tenant"])
        for sequence, own in facts.items()
    }


def seal_for_case(
    connection: sa.Connection, case_id: str, text: str, place: str, now: datetime
) -> str:
    """A text that is kept with a case; nothing of it where the response is forgotten."""
    vault = vault_of(connection)
    if vault is None:
        return text
    owner = _case_owner(connection, case_id)
    key = vault.keys_for(connection, {owner.name: owner}, now)[owner.name]
    return "" if key is None else seal_text(key, text, place)


def open_for_case(connection: sa.Connection, case_id: str, stored: str, place: str) -> str:
    """The inverse of `seal_for_case`.

    Raises:
        Shut: it is not what was written.
        KeyMissing: its master key is not held.
    """
    both = sealed_text(stored)
    if both is None:
        return stored
    owner = _case_owner(connection, case_id)
    keys = vault_for(connection).keys_of(connection, [owner.name])
    return open_text(keys.get(owner.name), both, place)


def vault_for(connection: sa.Connection) -> Vault:
    """The vault that opens what is sealed.

    Raises:
        KeyMissing: this database was opened without one.
    """
    vault = vault_of(connection)
    if vault is None:
        raise KeyMissing("of this database")
    return vault


def fate_of(connection: sa.Connection, response_id: str) -> Fate | None:
    """What became of the content of a response; None where it was never forgotten."""
    row = connection.execute(sa.select(DATA_KEYS).filter_by(response_id=response_id)).first()
    if row is None or row.wrapped != NO_KEY:
        return None
    return Fate.ERASED if row.subject == ERASED else Fate.EXPIRED


def response_of_case(connection: sa.Connection, case_id: str) -> str:
    """The response whose content a case shows: for a golden copy, that of its original."""
    return _originals(connection, [case_id]).get(case_id, "")


def text_place(table: str, column: str, *keys: str) -> str:
    """Binds a text to its row and column."""
    return "/".join((table, column, *keys))


def _case_owner(connection: sa.Connection, case_id: str) -> Owner:
    query = (
        sa.select(ENTRIES.c.response_id, ESCALATIONS.c.tenant)
        .join(ENTRIES, ENTRIES.c.sequence == ESCALATIONS.c.sequence)
        .where(ESCALATIONS.c.id == case_id)
    )
    row = connection.execute(query).first()
    if row is None:
        raise Shut
    return Owner(row.response_id or tenants_own(row.tenant), row.tenant, sure=False)


def _originals(connection: sa.Connection, cases: Sequence[str]) -> dict[str, str]:
    """The responses by whose decisions cases stand; a golden copy has none of its own."""
    if not cases:
        return {}
    query = (
        sa.select(ESCALATIONS.c.id, ENTRIES.c.response_id)
        .join(ENTRIES, ENTRIES.c.sequence == ESCALATIONS.c.sequence)
        .where(ESCALATIONS.c.id.in_(cases))
    )
    return {row.id: row.response_id for row in connection.execute(query)}


def _owner(record: AnyRecord | ActRecord, originals: Mapping[str, str]) -> Owner:
    if not isinstance(record, ActRecord):
        origin = record.origin
        return Owner(origin.response_id, origin.principal.tenant, origin.end_user)
    name = record.response_id or originals.get(record.case_id, "") or tenants_own(record.tenant)
    return Owner(name, record.tenant, sure=False)
