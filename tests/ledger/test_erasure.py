"""Forgotten on request: nothing is left in any byte, all is gone or nothing is, proofs stay."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event

from inwit.cases import Output, Reviewer, Role, RulingKind
from inwit.decisions import AcceptedRecord, Asked
from inwit.errors import Conflict, Gone, InwitError, NotFound
from inwit.ledger import legal_holds, reviewing, rulings
from inwit.ledger.case_files import case_file
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.erasure import Erased, Wanted, erase, subject_of, would_erase
from inwit.ledger.escalations import case_of
from inwit.ledger.forgetting import Forgotten
from inwit.ledger.golden import make_golden, next_golden
from inwit.ledger.legal_holds import HoldScope
from inwit.ledger.responses import StoredResponses
from inwit.ledger.rulings import Said
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import (
    CONTENTS,
    DATA_KEYS,
    DELIVERIES,
    EDITS,
    ENTRIES,
    ESCALATIONS,
    METADATA,
    RULINGS,
    SUBJECTS,
)
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import NO_KEY
from tests.ledger.forgotten import (
    ANSWER,
    CASE,
    HELD,
    REVIEWER,
    TOKEN,
    acts,
    bytes_in,
    edited,
    erased,
    held,
    key_bytes,
    rows,
    write,
)
from tests.ledger.sealed import append_for, sealed_database
from tests.ledger.sealed_both import database as database
from tests.ledger.sealed_both import postgres as postgres
from tests.ledger.test_store import ORIGIN


async def test_an_end_user_is_forgotten(database: Database) -> None:
    await append_for(database, "ann", "resp_1", "resp_2")
    await append_for(database, "bob", "resp_3")

    done = await erased(database, end_user="ann", reason="DPO-12", by="key_1")

    on_sqlite = await database.read(lambda each: each.dialect.name == "sqlite")
    assert done == Erased(Forgotten(responses=2, pieces=6), scrubbed=True if on_sqlite else None)
    told = StoredResponses(database)
    for name in ("resp_1", "resp_2"):
        with pytest.raises(Gone, match="The content of this response was erased on request"):
            await told.about("acme", name)
    assert await told.about("acme", "resp_3") is not None
    (act,) = await acts(database, "erased")
    subject = await database.read(lambda each: subject_of(each, "acme", "ann"))
    assert act["facts"] == {
        "scope": "end_user",
        "subject": subject,
        "responses": 2,
        "pieces": 6,
        "reason": "DPO-12",
    }
    assert (act["actor"], act["tenant"], act["response"]) == ("key_1", "acme", "")
    keys = {row.response_id: (row.subject, row.wrapped) for row in await rows(database, DATA_KEYS)}
    assert keys["resp_1"] == keys["resp_2"] == ("erased", NO_KEY)
    assert subject not in {row.id for row in await rows(database, SUBJECTS)}


async def test_one_response_is_forgotten(database: Database) -> None:
    await append_for(database, "ann", "resp_1", "resp_2")

    done = await erased(database, response="resp_1")

    assert done.found == Forgotten(responses=1, pieces=3)
    assert await StoredResponses(database).about("acme", "resp_2") is not None
    (act,) = await acts(database, "erased")
    assert (act["response"], act["facts"]["subject"]) == ("resp_1", None)


async def test_entries_and_their_commitments_stay(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    before = await rows(database, ENTRIES)

    await erased(database, end_user="ann")

    after = await rows(database, ENTRIES)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


async def test_what_is_not_there_cannot_be_erased(database: Database) -> None:
    await append_for(database, "ann", "resp_1")

    wrong: list[dict[str, str]] = [{"end_user": "an"}, {"response": "resp_2"}, {"response": ""}]
    for wanted in wrong:
        with pytest.raises(NotFound):
            await erased(database, **wanted)
    store = LedgerStore(database)
    async with store.running():
        with pytest.raises(NotFound):
            await erase(database, store.write, Wanted("other", response="resp_1"))
    await erased(database, response="resp_1")
    with pytest.raises(NotFound, match="erased already"):
        await erased(database, response="resp_1")


async def test_a_dry_run_changes_nothing(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    before = [await rows(database, table) for table in METADATA.sorted_tables]

    done = await would_erase(database, Wanted("acme", end_user="ann"))

    assert done == Erased(Forgotten(responses=1, pieces=3))
    assert [await rows(database, table) for table in METADATA.sorted_tables] == before


async def test_a_person_who_asks_again_is_known_anew(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    await erased(database, end_user="ann")

    await append_for(database, "ann", "resp_2")

    assert await StoredResponses(database).about("acme", "resp_2") is not None
    await erased(database, end_user="ann")
    assert not await rows(database, CONTENTS)


async def test_another_gateway_that_has_the_keys_does_not_use_them(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as one, sealed_database(tmp_path) as other:
        await append_for(other, "ann", "resp_1")
        assert await StoredResponses(other).about("acme", "resp_1") is not None
        before = await key_bytes(other, "resp_1")

        await erased(one, end_user="ann")
        with pytest.raises(Gone):
            await StoredResponses(other).about("acme", "resp_1")
        await append_for(other, "ann", "resp_2")

        assert not set(before) & set(await key_bytes(other, "resp_2"))
        assert await StoredResponses(one).about("acme", "resp_2") is not None


async def test_nothing_more_is_kept_of_a_forgotten_response(database: Database) -> None:
    store = LedgerStore(database)
    async with store.running():
        await store.append(AcceptedRecord(ORIGIN, datetime.now(UTC), Asked.RESPONSE))
    await erased(database, response=ORIGIN.response_id)

    await append_for(database, "ann", ORIGIN.response_id)  # its decision, which comes late

    assert not await rows(database, CONTENTS)


async def test_an_open_case_ends_as_expired_and_shows_nothing(database: Database) -> None:
    await held(database)
    await edited(database, "An edit by a person: xyloedit.", rule=False)

    done = await erased(database, end_user="ann")

    assert (done.found.cases, done.found.texts) == (1, 1)
    (case,) = await rows(database, ESCALATIONS)
    assert (case.state, case.callback_url) == ("expired", None)
    assert case.version > case.indexed  # the queue will hear of it
    assert not await rows(database, CONTENTS)
    assert not await rows(database, EDITS)
    assert not await rows(database, DELIVERIES)
    (outcome,) = await acts(database, "outcome")
    assert (outcome["facts"]["ending"], outcome["facts"]["released"]) == ("nobody_ruled", False)
    with pytest.raises(Gone, match="The content of this case was erased on request"):
        await database.read(lambda each: case_file(each, CASE, REVIEWER.id))
    said = Said(CASE, REVIEWER.id, TOKEN, RulingKind.APPROVE, ANSWER.digest, "x", "late")
    with pytest.raises(InwitError):
        await write(database, lambda each: rulings.rule(each, said))


async def test_a_closed_case_keeps_who_ruled_and_loses_what_was_written(
    database: Database,
) -> None:
    await held(database)
    await edited(database, "An edit by a person: xyloedit.", rule=True)
    assert await rows(database, DELIVERIES)
    assert (await case_now(database)).state == "resolved"

    await erased(database, response=HELD)

    (ruling,) = await rows(database, RULINGS)
    assert (ruling.kind, ruling.text) == ("edit", None)
    assert (await case_now(database)).state == "resolved"
    assert not [*await rows(database, CONTENTS), *await rows(database, DELIVERIES)]


async def case_now(database: Database) -> Any:
    return (await database.read(lambda each: case_of(each, CASE)))[0]


async def test_golden_copies_are_forgotten_with_their_original(database: Database) -> None:
    await held(database)
    await edited(database, "An edit by a person: xyloedit.", rule=True)
    await write(database, lambda each: make_golden(each, CASE, RulingKind.BLOCK, "rev_s"))
    other = Reviewer("rev_b", Role.REVIEWER)
    copy, _ = await write(database, lambda each: next_golden(each, other, TOKEN, 120))
    digest = Output("xylogolden", "stop").digest
    await write(
        database,
        lambda each: reviewing.judged(
            each, copy.id, other.id, TOKEN, "xylogolden", digest, {"passed": True}
        ),
    )
    assert (await rows(database, CONTENTS))[-1].sequence

    await erased(database, end_user="ann")

    assert not await rows(database, CONTENTS)
    assert not await rows(database, EDITS)
    states = {row.state for row in await rows(database, ESCALATIONS)}
    assert states == {"resolved", "expired"}
    third = Reviewer("rev_c", Role.REVIEWER)
    assert await write(database, lambda each: next_golden(each, third, TOKEN, 120)) is None


HOLDS: list[tuple[HoldScope, str]] = [
    (HoldScope.RESPONSE, "resp_2"),
    (HoldScope.END_USER, "ann"),
    (HoldScope.TENANT, "acme"),
]


@pytest.mark.parametrize(("scope", "value"), HOLDS)
async def test_a_hold_keeps_all_of_it(database: Database, scope: HoldScope, value: str) -> None:
    await append_for(database, "ann", "resp_1", "resp_2")
    if scope is HoldScope.END_USER:
        value = await database.read(lambda each: subject_of(each, "acme", "ann"))
    place = legal_holds.place
    hold = await write(database, lambda each: place(each, scope, value, "acme", "a suit", "op"))

    for wanted in ({"end_user": "ann"}, {"response": "resp_2"}):
        with pytest.raises(Conflict, match=f"inwit ledger lift {hold.id}"):
            await erased(database, **wanted)
    with pytest.raises(Conflict, match="held already"):
        await write(database, lambda each: place(each, scope, value, "acme", "again", "op"))
    assert len(await rows(database, CONTENTS)) == 6

    await write(database, lambda each: legal_holds.lift(each, hold.id, "op"))
    await erased(database, end_user="ann")

    assert not await rows(database, CONTENTS)
    assert [(await acts(database, kind))[0]["facts"]["hold"] for kind in ("held", "lifted")] == [
        hold.id,
        hold.id,
    ]
    assert [each.id for each in await database.read(legal_holds.listed)] == []
    with pytest.raises(NotFound):
        await write(database, lambda each: legal_holds.lift(each, hold.id, "op"))


async def test_a_hold_on_others_is_none_on_this(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    await append_for(database, "bob", "resp_2")
    for scope, value in ((HoldScope.RESPONSE, "resp_2"), (HoldScope.TENANT, "other")):
        await write(
            database, lambda each, s=scope, v=value: legal_holds.place(each, s, v, "", "x", "op")
        )

    await erased(database, end_user="ann")

    assert {row.sequence for row in await rows(database, CONTENTS)} == {2}


async def test_an_erasure_that_fails_half_way_erases_nothing(database: Database) -> None:
    await held(database)
    await edited(database, "An edit by a person: xyloedit.", rule=False)
    tables = [*METADATA.sorted_tables]
    before = [await rows(database, table) for table in tables]
    for broken in ("contents", "edits", "deliveries", "data_keys", "subjects", "escalations"):
        failing = Failing(database, broken)
        with pytest.raises(InwitError):
            await erase(database, failing.write, Wanted("acme", end_user="ann"))
        assert failing.met
        assert [await rows(database, table) for table in tables] == before


class Failing:
    """Writes, until a statement changes a table: then the power fails."""

    def __init__(self, database: Database, table: str) -> None:
        self.database, self.table, self.met = database, table, False

    async def write(self, steps: Callable[[Transaction], Forgotten]) -> Forgotten:
        def fail(_c: Any, _u: Any, statement: str, *_: Any) -> None:
            words = statement.replace('"', "").split()
            if words[0] in ("DELETE", "UPDATE") and self.table in words[1:3]:
                self.met = True
                raise OSError("the power failed")

        def work(connection: sa.Connection) -> Forgotten:
            sa_event.listen(connection, "before_cursor_execute", fail)
            transaction = Transaction(connection)
            found = steps(transaction)
            transaction.flush()
            return found

        return await self.database.write(work)


async def test_an_old_version_wrote_in_the_clear(tmp_path: Path) -> None:
    old = Database(sqlite_url(tmp_path))
    await old.open()
    await append_for(old, "ann", "resp_1", "resp_2")
    await append_for(old, "bob", "resp_7")
    await old.close()
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_3")

        done = await erased(database, end_user="ann")

        assert done.found == Forgotten(responses=3, pieces=9)
    assert b'"end_user": "ann"' not in bytes_in(tmp_path)
    assert b'"end_user": "bob"' in bytes_in(tmp_path)


async def test_no_byte_is_left(tmp_path: Path) -> None:
    """The files of SQLite before and after: content, salts, keys and addresses."""
    secrets = [b"xylo", b"moon a secret of mine"]
    async with sealed_database(tmp_path) as database:
        await append_for(database, "bob", "resp_9")
        kept = await key_bytes(database, "resp_9")
        await held(database)
        await edited(database, "A first draft with xylodraft.", rule=False)
        gone = await key_bytes(database, HELD)
        sealed = [row.content for row in await rows(database, CONTENTS) if row.sequence == 2]
        sealed += [row.nonce for row in await rows(database, CONTENTS) if row.sequence == 2]
        assert all(each in bytes_in(tmp_path) for each in (*gone, *kept, *sealed))
        assert b"xylocallback" in bytes_in(tmp_path)  # as yet

        assert (await erased(database, end_user="ann")).scrubbed

        left = bytes_in(tmp_path)
        assert not [each for each in (*secrets, *gone, *sealed) if each in left]
        assert all(each in left for each in kept)


async def test_no_byte_is_left_of_what_stood_in_the_clear(tmp_path: Path) -> None:
    """As before, in a ledger whose content was never sealed: here deletion alone must do it."""
    old = Database(sqlite_url(tmp_path))
    await old.open()
    await held(old)
    await edited(old, "A draft with xylodraft.", rule=False)
    await write(
        old, lambda each: reviewing.save_draft(each, CASE, REVIEWER.id, "xylo-written-anew")
    )
    salts = [row.salt for row in await rows(old, CONTENTS)]
    assert all(each in bytes_in(tmp_path) for each in (b"xylopyrographer", *salts))

    await erased(old, response=HELD)

    left = bytes_in(tmp_path)
    await old.close()
    assert not [each for each in (b"xylo", b"moon a secret", *salts) if each in left]
