"""What a person is shown of a case, read from its entries and from nowhere else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import Case, CaseState, Output, Ruling, RulingKind
from inwit.errors import Gone
from inwit.ledger.drafts import Edit, edit_of
from inwit.ledger.escalations import Terms, case_of
from inwit.ledger.opened import Changed, Pruned, contents_of, facts_at
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.sealing import fate_of, response_of_case
from inwit.ledger.stored import output_of
from inwit.ledger.tables import ESCALATIONS
from inwit.types import Message


@dataclass(frozen=True, slots=True)
class Judged:
    """An edited text and what the judges made of it; `review` as the desk wrote it."""

    digest: str
    text: str
    review: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case with everything that was written and said about it.

    `facts` are those of the decision's entry. `candidate` and `rewrites` are as the model wrote
    them, with the explanation's spans and reason; `offers` are what may be released, by ruling.
    `draft` and `judged` are the reader's own edit.
    """

    case: Case
    terms: Terms
    facts: Mapping[str, Any]
    request: Mapping[str, Any]
    candidate: Mapping[str, Any]
    rewrites: tuple[Mapping[str, Any], ...]
    offers: Mapping[RulingKind, Output]
    fallback: str
    rulings: tuple[Ruling, ...]
    draft: str | None
    judged: Judged | None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, as the caller sent it."""
        return tuple(_message(each) for each in self.request["messages"])


def case_file(connection: sa.Connection, case_id: str, reader: str) -> CaseFile:
    """The file of a case for one reader.

    Raises:
        NotFound: no such case.
        Gone: its content is no longer kept, or was changed after it was written.
    """
    case, terms = case_of(connection, case_id)
    try:
        facts = facts_at(connection, terms.sequence)
        contents = contents_of(connection, {terms.sequence: facts}, None)[terms.sequence]
    except Pruned as error:
        raise _gone(connection, case_id) from error
    except Changed as error:
        raise Gone(
            "What the ledger holds of this case was changed after it was written."
        ) from error
    if not {"request", "candidate", "held", "released"} <= contents.keys():
        raise _gone(connection, case_id)
    edit = edit_of(connection, case_id, reader)
    rewrites = sorted(kind for kind in contents if kind.startswith("rewrite_"))
    return CaseFile(
        case=case,
        terms=terms,
        facts=facts,
        request=contents["request"],
        candidate=contents["candidate"],
        rewrites=tuple(contents[kind] for kind in rewrites),
        offers={
            RulingKind(kind): output_of(content)
            for kind, content in contents["held"]["offers"].items()
        },
        fallback=contents["released"]["text"],
        rulings=tuple(rulings_of(connection, case_id)),
        draft=edit.draft if edit else None,
        judged=_judged(edit),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases are listed: open ones, or those closed since. Empty sets are all."""

    tenants: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    severities: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    stuck: bool | None = None
    tier: int | None = None
    closed_since: datetime | None = None


def listed(
    connection: sa.Connection, wanted: Wanted, after: str | None, most: int
) -> list[sa.Row[Any]]:
    """Rows of `escalations`, the oldest first, after the id `after`. Golden cases are not told."""
    columns = ESCALATIONS.c
    among = {
        columns.tenant: wanted.tenants,
        columns.policy: wanted.policies,
        columns.state: wanted.states,
        columns.severity: wanted.severities,
        columns.language: wanted.languages,
    }
    query = sa.select(ESCALATIONS).where(columns.expected.is_(None))
    for column, values in among.items():
        if values:
            query = query.where(column.in_(values))
    if wanted.states and all(CaseState(each).open for each in wanted.states):
        query = query.where(columns.closed.is_(None))  # the words of the index on open ones
    if wanted.stuck is not None:
        query = query.where(columns.stuck.is_(wanted.stuck))
    if wanted.tier is not None:
        query = query.where(columns.tier == wanted.tier)
    if wanted.closed_since is not None:
        query = query.where(columns.closed >= wanted.closed_since)
    if after is not None:
        start = sa.select(columns.opened).where(columns.id == after).scalar_subquery()
        later = sa.and_(columns.opened == start, columns.id > after)
        query = query.where(sa.or_(columns.opened > start, later))
    return list(connection.execute(query.order_by(columns.opened, columns.id).limit(most)))


def _gone(connection: sa.Connection, case_id: str) -> Gone:
    """The content is not there: in words that say why, where that is known."""
    fate = fate_of(connection, response_of_case(connection, case_id))
    words = f"was {fate.value}" if fate else "is no longer kept"
    return Gone(f"The content of this case {words}.")


def _judged(edit: Edit | None) -> Judged | None:
    if edit is None or edit.judged_digest is None:
        return None
    if edit.judged_text is None or edit.judged_review is None:
        return None
    return Judged(edit.judged_digest, edit.judged_text, json.loads(edit.judged_review))


def _message(given: Mapping[str, Any]) -> Message:
    return Message(
        given["role"],
        given["content"],
        given.get("name"),
        given.get("tool_call_id"),
        tuple(given.get("tool_calls", ())),
    )
