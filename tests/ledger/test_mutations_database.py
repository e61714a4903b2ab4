"""Whatever is done to the tables of a ledger, `inwit ledger verify` finds it in the database."""

import os
from collections.abc import Generator, Sequence
from random import Random

import pytest
import sqlalchemy as sa

from inwit.ledger import verify
from inwit.ledger.notes import Checkpoint, new_key, signed_note
from inwit.ledger.opened import open_rows
from inwit.ledger.verify import Note
from inwit.ledger.verify_database import Verification, verify_database, verify_tail
from tests.ledger.signed_world import NAME, SignedWorld

TIMES = int(os.environ.get("LEDGER_MUTATIONS", "3"))  # of each kind

# `:n` is an entry by chance that was not pruned, `:m` the one after it, `:c` a checkpoint's size.
MUTATIONS: dict[str, Sequence[str]] = {
    "edit an entry": [
        "UPDATE entries SET body = replace(body, 'schema', 'scheme') WHERE sequence = :n"
    ],
    "edit it as bytes": [
        "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '2026', '2025') AS BLOB) "
        "WHERE sequence = :n"
    ],
    "another body of the same hash": ["UPDATE entries SET body = X'7B7D' WHERE sequence = :n"],
    "a hash": ["UPDATE entries SET hash = randomblob(32) WHERE sequence = :n"],
    "a hash of another type": ["UPDATE entries SET hash = 'text' WHERE sequence = :n"],
    "a link": ["UPDATE entries SET previous = randomblob(32) WHERE sequence = :n"],
    "a removal": ["DELETE FROM entries WHERE sequence = :n"],
    "many removals": ["DELETE FROM entries WHERE sequence % 7 = :n % 7"],
    "a swap": [
        "UPDATE entries SET sequence = -1 WHERE sequence = :n",
        "UPDATE entries SET sequence = :n WHERE sequence = :m",
        "UPDATE entries SET sequence = :m WHERE sequence = -1",
    ],
    "a copy of its neighbour": [
        "UPDATE entries SET (body, hash) = (SELECT body, hash FROM entries AS other "
        "WHERE other.sequence = :m) WHERE sequence = :n"
    ],
    "far away": ["UPDATE entries SET sequence = 4000000000000 WHERE sequence = :n"],
    "a copy at the end": [
        "INSERT INTO entries SELECT (SELECT max(sequence) + 1 FROM entries), 'ent_copy', time, "
        "type, tenant, response_id, body, hash, previous FROM entries WHERE sequence = :n"
    ],
    "the tail, under its checkpoints": ["DELETE FROM entries WHERE sequence >= :n"],
    "the column id": ["UPDATE entries SET id = 'ent_other' WHERE sequence = :n"],
    "the column type": ["UPDATE entries SET type = 'idle' || type WHERE sequence = :n"],
    "the column tenant": ["UPDATE entries SET tenant = tenant || 'x' WHERE sequence = :n"],
    "the column response": ["UPDATE entries SET response_id = 'resp_x' WHERE sequence = :n"],
    "the column time": ["UPDATE entries SET time = '2020-01-01 00:00:00' WHERE sequence = :n"],
    "pruned without saying so": [
        "UPDATE entries SET body = X'', type = 'pruned', tenant = '', response_id = '' "
        "WHERE sequence = :n"
    ],
    "content": ["UPDATE contents SET content = X'7B7D'"],
    "content of another type": ["UPDATE contents SET content = 'text', salt = 5"],
    "a salt": ["UPDATE contents SET salt = zeroblob(32)"],
    "the kind of content": ["UPDATE contents SET kind = kind || '2'"],
    "content where there was none": [
        "INSERT INTO contents SELECT 1, 'reason', salt, content, nonce FROM contents LIMIT 1"
    ],
    "sealed with nothing": ["UPDATE contents SET nonce = zeroblob(12)"],
    "a node": ["UPDATE nodes SET hash = randomblob(32)"],
    "a node missing": ["DELETE FROM nodes"],
    "a node too many": ["INSERT INTO nodes VALUES (2, 0, randomblob(32))"],
    "a root": ["UPDATE checkpoints SET root = randomblob(32) WHERE size = :c"],
    "a checkpoint of another size": ["UPDATE checkpoints SET size = size + 1 WHERE size = :c"],
    "a checkpoint beyond": ["UPDATE checkpoints SET size = size + 1000 WHERE size = :c"],
    "a note": [
        "UPDATE checkpoints SET note = substr(note, 1, length(note) - 20) "
        "|| CASE substr(note, -20, 1) WHEN 'B' THEN 'C' ELSE 'B' END || substr(note, -19) "
        "WHERE size = :c"
    ],
    "a note that is none": ["UPDATE checkpoints SET note = 'text' WHERE size = :c"],
    "a note of another": [
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints AS other "
        "WHERE other.size <> :c LIMIT 1) WHERE size = :c"
    ],
    "a note taken away": ["UPDATE checkpoints SET note = NULL WHERE size = :c"],
    "an anchor that knew more": ["INSERT INTO anchored VALUES ('archive', 5000, '2026-11-24')"],
}


@pytest.fixture(scope="module")
def world() -> Generator[SignedWorld]:
    """Large enough for a full tile."""
    made = SignedWorld()
    made.live()
    made.answered(110)
    made.sign()
    made.answered()
    made.sign()
    yield made
    made.close()


def look(
    connection: sa.Connection, world: SignedWorld, previous: Sequence[Note] = ()
) -> Verification:
    def opener(
        connection: sa.Connection, rows: Sequence[sa.Row[tuple[object, ...]]]
    ) -> Sequence[tuple[bytes, bytes] | None]:
        """As where there is no vault: what claims to be sealed does not open."""
        plain = [row for row in rows if row.nonce is None]
        opened = dict(zip(plain, open_rows(connection, plain), strict=True))
        return [opened.get(row) for row in rows]

    return verify_database(connection, [verify.key_of(world.vkey)], previous, opener)


def test_what_nobody_touched_is_intact(world: SignedWorld) -> None:
    found = world.read(lambda connection: look(connection, world))

    assert (found.breaks, found.gaps, found.result.code) == ((), (), verify.INTACT)
    assert found.entries == found.result.log.size > 256
    assert (found.result.checkpoints, found.result.signatures) == (10, 10)
    assert found.opened > 200
    assert world.read(lambda connection: verify_tail(connection, 50)).breaks == ()


@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_mutation_is_found(world: SignedWorld, kind: str) -> None:
    found, missed = 0, list[str]()
    for seed in range(TIMES):
        draw = Random(f"{kind} {seed}")  # noqa: S311  # the same in every run
        with world.engine.connect() as connection:
            places = _places(connection, draw)
            changed = sum(_run(connection, each, places) for each in MUTATIONS[kind])
            assert changed, "nothing was mutated"
            if look(connection, world).breaks:
                found += 1
            else:
                missed.append(f"seed {seed}: {places}")
            connection.rollback()
    print(f"{kind}: {TIMES} made, {found} found")  # noqa: T201  # for whoever runs it with -s
    assert not missed, missed[0]


def _places(connection: sa.Connection, draw: Random) -> dict[str, int]:
    query = sa.text("SELECT sequence FROM entries WHERE type <> 'pruned' ORDER BY sequence")
    places = [row.sequence for row in connection.execute(query)][:-1]
    free = [each for each in places if each + 1 in places]
    sizes = [row.size for row in connection.execute(sa.text("SELECT size FROM checkpoints"))]
    place = draw.choice(free)
    return {"n": place, "m": place + 1, "c": draw.choice(sorted(sizes)[:-1])}


def _run(connection: sa.Connection, statement: str, places: dict[str, int]) -> int:
    return max(0, connection.execute(sa.text(statement), places).rowcount)


def test_a_ledger_rolled_back_with_its_checkpoints_is_found_by_who_kept_one(
    world: SignedWorld,
) -> None:
    with world.engine.connect() as connection:
        sizes = sa.text("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 2")
        newest, before = connection.execute(sizes).all()
        for table, column in (("contents", "sequence"), ("entries", "sequence")):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE {column} > {before.size}"))  # noqa: S608  # ours
        connection.execute(sa.text("DELETE FROM checkpoints WHERE size > :s"), {"s": before.size})

        assert look(connection, world).breaks == ()
        assert look(connection, world, [verify.note_of(before.note)]).breaks == ()
        found = look(connection, world, [verify.note_of(newest.note)])
        connection.rollback()

    assert "rolled back" in found.breaks[0].problem


def test_a_checkpoint_of_another_key_is_found_only_with_a_key(world: SignedWorld) -> None:
    with world.engine.connect() as connection:
        query = sa.text("SELECT size, root FROM checkpoints ORDER BY size DESC LIMIT 1")
        row = connection.execute(query).one()
        forged = signed_note(Checkpoint(NAME, row.size, row.root), [new_key(NAME)])
        update = sa.text("UPDATE checkpoints SET note = :note WHERE size = :size")
        connection.execute(update, {"note": forged, "size": row.size})

        assert verify_database(connection).breaks == ()
        found = look(connection, world)
        connection.rollback()

    assert found.breaks


def test_the_tail_is_checked_by_itself(world: SignedWorld) -> None:
    with world.engine.connect() as connection:
        last = connection.execute(sa.text("SELECT max(sequence) FROM entries")).scalar_one()
        edit = sa.text("UPDATE entries SET body = X'7B7D' WHERE sequence = :s")
        connection.execute(edit, {"s": last - 5})
        assert verify_tail(connection, 10).breaks
        assert verify_tail(connection, 4).breaks == ()
        assert verify_tail(connection, 10_000).breaks
        connection.rollback()
