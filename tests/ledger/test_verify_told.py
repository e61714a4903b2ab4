"""What the verifier tells beside its verdict: what was pruned, what is gone, what it was not shown.

And that a bundle cannot vouch for itself, nor a response be accepted twice, however far apart.
"""

import json
from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

from inwit.ledger import verify
from inwit.ledger.database import Database
from inwit.ledger.forgetting import forget
from inwit.ledger.opened import open_rows
from inwit.ledger.sealing import Fate
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import Verification, verify_database
from tests.ledger.sealed import append_for
from tests.ledger.sealed_both import database as database
from tests.ledger.sealed_both import postgres as postgres
from tests.ledger.signed_world import SignedWorld
from tests.ledger.test_mutations import told


@pytest.fixture
def world() -> Generator[SignedWorld]:
    made = SignedWorld()
    made.live()
    yield made
    made.close()


def looked_at(connection: sa.Connection) -> Verification:
    return verify_database(connection, [], open_rows=open_rows)


def kept_of(folder: Path, name: str = "checkpoint") -> list[str]:
    return ["--previous", str(folder / name)]


# What was pruned


def test_each_pruning_is_listed_with_its_time_and_rule(world: SignedWorld, tmp_path: Path) -> None:
    """So that a reader can hold it against the retention that was set: anybody may append one."""
    folder = world.bundle(tmp_path / "bundle")
    code, words = told(folder, "--key", world.vkey, *kept_of(folder))
    rule = {"rule": "decisions after 30 days", "count": 3, "first": 3, "last": 6}

    assert code == verify.INTACT
    assert "Said to be pruned; hold it against the retention that was set:" in words
    assert ": 3 of the entries 3 to 6, by decisions after 30 days" in words
    _, listed = told(folder, "--key", world.vkey, "--json")
    found = world.read(looked_at).result
    for pruned in (json.loads(listed)["pruned"], verify.as_json(found)["pruned"]):
        (pruning,) = pruned["by"]
        assert pruning.items() >= rule.items()
        assert pruning["time"].startswith("2026-11-24T12:")
        assert pruning["entry"] > 6
    assert ": 3 of the entries 3 to 6, by" in "\n".join(verify.words(found))


# Who vouches


@pytest.mark.parametrize("size", [0, 42])
def test_a_bundle_does_not_vouch_for_itself(world: SignedWorld, tmp_path: Path, size: int) -> None:
    folder = world.bundle(tmp_path / "bundle")
    (folder / "anchored.json").write_text(json.dumps([{"anchor": "x", "size": size}]))

    code, words = told(folder, "--key", world.vkey)

    assert code == verify.INCOMPLETE
    assert "nothing outside this bundle vouches for it" in words
    assert f"Said to be anchored: anchor x, {size} entries." in words
    assert told(folder, "--key", world.vkey, *kept_of(folder))[0] == verify.INTACT


def test_entries_under_no_checkpoint_grow_old_while_nothing_comes(world: SignedWorld) -> None:
    """Where signing has stopped there may be no later entry to tell the time by."""
    world.failed()

    gaps = world.read(looked_at).result.gaps.lines()

    assert any("are under no checkpoint, since" in gap for gap in gaps)


def test_what_an_anchor_took_must_be_a_number(world: SignedWorld) -> None:
    took = sa.text("INSERT INTO anchored (anchor, size, time) VALUES ('a', 'seven', '2026-11-24')")
    world.do(lambda each: each.connection.execute(took))

    result = world.read(looked_at).result

    assert result.tampered.lines() == ["anchor a: what it took is no number of entries"]


# What is gone


async def test_content_that_is_gone_is_told_by_why(database: Database) -> None:
    await append_for(database, "ann", "resp_1", "resp_2", "resp_3", "resp_4")
    deleted = sa.text(
        "DELETE FROM contents WHERE sequence IN "
        "(SELECT sequence FROM entries WHERE response_id = 'resp_3')"
    )

    def lose(connection: sa.Connection) -> None:
        forget(Transaction(connection), ["resp_1"], Fate.ERASED)
        forget(Transaction(connection), ["resp_2"], Fate.EXPIRED)
        connection.execute(deleted)

    await database.write(lose)

    result = (await database.read(looked_at)).result

    assert result.tampered.lines() == []
    content = verify.as_json(result)["content"]
    assert content == {
        "committed": 12,
        "opened": 3,
        "sealed": 0,
        "missing": 9,
        "erased": 3,
        "expired": 3,
        "unexplained": 3,
    }
    words = "\n".join(verify.words(result))
    assert "Content: 12 pieces were committed to, 3 are here and fit." in words
    assert "9 are not here. The database says of them: 3 erased on request, 3 deleted" in words
    assert "of 3 nothing says why they are gone." in words


async def test_what_was_looked_for_and_not_found_is_none_of_it(database: Database) -> None:
    await append_for(database, "ann", "resp_1")

    content = verify.as_json((await database.read(looked_at)).result)["content"]

    kinds = ("missing", "erased", "expired", "unexplained")
    assert [content[kind] for kind in kinds] == [0, 0, 0, 0]


async def test_content_that_is_sealed_by_other_keys_is_not_missing(database: Database) -> None:
    await append_for(database, "ann", "resp_1")

    found = await database.read(lambda db: verify_database(db, []))

    content = verify.as_json(found.result)["content"]
    assert (content["opened"], content["sealed"], content["missing"]) == (0, 3, 0)
    words = verify.not_checked(found.result)
    assert "3 pieces of content, sealed by keys that are not here" in words


def test_content_that_was_left_out_of_a_bundle_is_told(world: SignedWorld, tmp_path: Path) -> None:
    folder = world.bundle(tmp_path / "bundle")
    path = folder / "openings.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))

    code, words = told(folder, "--key", world.vkey, *kept_of(folder))
    path.unlink()
    without = told(folder, "--key", world.vkey, *kept_of(folder))[1]

    assert code == verify.INTACT
    all_ = len(lines)
    assert f"Content: {all_} pieces were committed to, {all_ - 2} are here and fit." in words
    assert "  2 are not here: erased, deleted when their time was over, left out" in words
    assert f"Content: {all_} pieces were committed to; none of it is here." in without
    assert "Not checked: content: none is here." in without


# One response, accepted once


class Written:
    """A log that is read as it is written, part by part."""

    def __init__(self) -> None:
        self.log, self.part, self.previous = verify.Log(), verify.Part(0), verify.GENESIS

    def add(self, kind: str, response: str = "", **facts: str) -> None:
        if self.part.count == verify.PART:
            self.log.add(self.part)
            self.part = verify.Part(self.log.size)
        sequence = self.part.first + self.part.count + 1
        both = {"sequence": sequence, "previous": self.previous, "type": kind}
        body = {"schema": 5, "time": "2026-01-01T00:00:00+00:00", "response": response}
        digest, _ = self.part.take(json.dumps({**body, **both, **facts}).encode())
        self.previous = digest.hex()

    def gaps(self) -> list[str]:
        self.log.add(self.part)
        self.log.account()
        assert self.log.tampered.lines() == []
        return self.log.gaps.lines()


@pytest.mark.parametrize("between", [0, 3, 6, 7, 20])
@pytest.mark.parametrize("ended", [True, False])
def test_a_response_that_is_accepted_again_is_found_however_far_it_is(
    monkeypatch: pytest.MonkeyPatch, between: int, ended: bool
) -> None:
    monkeypatch.setattr(verify, "PART", 4)
    written = Written()
    written.add("accepted", "resp_other")
    written.add("accepted", "resp_x")
    if ended:
        written.add("decision", "resp_x", outcome="blocked")
    for _ in range(between):
        written.add("idle")
    written.add("accepted", "resp_x")
    written.add("decision", "resp_x", outcome="released")
    written.add("decision", "resp_other", outcome="released")

    gaps = written.gaps()

    assert len([each for each in gaps if "accepted for a second time" in each]) == 1, gaps


def test_a_log_in_many_parts_whose_responses_come_once_has_no_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "PART", 4)
    written = Written()
    for number in range(50):
        written.add("accepted", f"resp_{number}")
    for number in range(50):
        written.add("decision", f"resp_{number}", outcome="released")

    assert written.gaps() == []
