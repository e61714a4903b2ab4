"""What somebody could do to a bundle: each kind changes one at random, and what must be told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from inwit.ledger.notes import new_key
from inwit.ledger.verify import INCOMPLETE, TAMPERED, leaf_hash
from tests.ledger.signed_world import (
    NAME,
    SignedWorld,
    cut_to,
    entries_in,
    notes_in,
    put_entries,
    put_notes,
    written_anew,
)


@dataclass
class Evidence:
    """A bundle that may be changed, and who made it."""

    folder: Path
    world: SignedWorld
    draw: Random


@dataclass(frozen=True)
class Mutation:
    """`told` is the exit code that it must come to; `kept` says that a checkpoint was kept."""

    do: Callable[[Evidence], None]
    told: int = TAMPERED
    kept: bool = False


def edit_a_byte(it: Evidence) -> None:
    lines = entries_in(it.folder)
    at = it.draw.randrange(len(lines))
    lines[at] = _edited(it.draw, lines[at])
    put_entries(it.folder, lines)


def edit_many_bytes(it: Evidence) -> None:
    lines = entries_in(it.folder)
    for at in it.draw.sample(range(len(lines)), 5):
        lines[at] = _edited(it.draw, lines[at])
    put_entries(it.folder, lines)


def edit_content(it: Evidence) -> None:
    """A byte of salt or content of one opening."""
    path = it.folder / "openings.jsonl"
    lines = path.read_bytes().splitlines()
    at = it.draw.randrange(len(lines))
    said = json.loads(lines[at])
    name = it.draw.choice(("salt", "content"))
    said[name] = _edited(it.draw, said[name].encode()).decode("latin-1")
    lines[at] = json.dumps(said).encode()
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def swap_contents(it: Evidence) -> None:
    path = it.folder / "openings.jsonl"
    lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    one, other = it.draw.sample(lines, 2)
    for name in ("salt", "content"):
        one[name], other[name] = other[name], one[name]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))


def edit_a_checkpoint(it: Evidence) -> None:
    """A byte of what is signed, or of a signature."""
    notes = notes_in(it.folder)
    at = it.draw.randrange(len(notes))
    note = notes[at]["note"].encode()
    places = [each for each in range(len(note)) if each not in _names(note)]
    place = it.draw.choice(places)
    changed = note[:place] + _other(it.draw, note[place]) + note[place + 1 :]
    notes[at]["note"] = changed.decode("latin-1")
    put_notes(it.folder, notes)


def insert(it: Evidence) -> None:
    lines = entries_in(it.folder)
    lines.insert(it.draw.randrange(len(lines) + 1), it.draw.choice(lines))
    put_entries(it.folder, lines)


def insert_foreign(it: Evidence) -> None:
    lines = entries_in(it.folder)
    at = it.draw.randrange(len(lines))
    previous = leaf_hash(lines[at - 1]).hex() if at else "00" * 32
    forged: dict[str, Any] = {
        "schema": 5,
        "sequence": at + 1,
        "previous": previous,
        "type": "viewed",
        "facts": {},
    }
    lines.insert(at, json.dumps(forged, sort_keys=True, separators=(",", ":")).encode())
    put_entries(it.folder, lines)


def delete(it: Evidence) -> None:
    lines = entries_in(it.folder)
    del lines[it.draw.randrange(len(lines))]
    put_entries(it.folder, lines)


def reorder(it: Evidence) -> None:
    lines = entries_in(it.folder)
    at = it.draw.randrange(len(lines) - 1)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    put_entries(it.folder, lines)


def swap(it: Evidence) -> None:
    lines = entries_in(it.folder)
    one, other = it.draw.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    put_entries(it.folder, lines)


def rotate_lines(it: Evidence) -> None:
    lines = entries_in(it.folder)
    at = it.draw.randrange(1, len(lines))
    put_entries(it.folder, lines[at:] + lines[:at])


def cut_the_tail(it: Evidence) -> None:
    """Entries and the checkpoints over them: what is left is a log that was once whole."""
    cut_to(it.folder, it.draw.randrange(1, len(notes_in(it.folder))))


def cut_the_entries(it: Evidence) -> None:
    """The checkpoints stay."""
    lines = entries_in(it.folder)
    put_entries(it.folder, lines[: it.draw.randrange(len(lines))])


def cut_known_to_an_anchor(it: Evidence) -> None:
    size = notes_in(it.folder)[-1]["size"]
    anchored = [{"anchor": "archive", "size": size, "time": "2026-11-24T12:00:00+00:00"}]
    cut_the_tail(it)
    (it.folder / "anchored.json").write_text(json.dumps(anchored))


def fork(it: Evidence) -> None:
    """Another log of the same key."""
    other = SignedWorld()
    other.keys = it.world.keys
    other.live()
    other.answered(it.draw.randrange(1, 5))
    other.sign()
    shutil.rmtree(it.folder)
    other.bundle(it.folder)
    other.close()


def rewrite_of_the_same_length(it: Evidence) -> None:
    """By the operator, who has the key: as many entries, one of them another."""

    def change(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        it.draw.choice(facts)["time"] = "2026-11-24T11:59:59+00:00"
        filler = [facts[-1] | {"id": f"ent_{n}"} for n in range(len(entries_in(it.folder)))]
        return [*facts, *filler][: len(filler)]

    written_anew(it.folder, it.world.keys, change)


def sign_by_another_key(it: Evidence) -> None:
    """Everything as it was, by a key of the same name."""
    written_anew(it.folder, [new_key(NAME)], lambda facts: facts)


def replay_an_old_checkpoint(it: Evidence) -> None:
    note = it.draw.choice(notes_in(it.folder)[:-1])["note"]
    (it.folder / "checkpoint").write_text(note)


def hide_the_newest_checkpoints(it: Evidence) -> None:
    """From the list too. The entries that they covered stay, under no checkpoint."""
    notes = notes_in(it.folder)
    put_notes(it.folder, notes[: it.draw.randrange(1, len(notes) - 1)])


def forge_a_rotation(it: Evidence) -> None:
    """An entry that names the forger's key, and a checkpoint by that key alone."""
    mine = new_key(NAME)
    world = SignedWorld()
    world.keys = it.world.keys
    world.live()
    world.keys = [it.world.keys[0]]
    world.rotate([mine])
    world.answered(it.draw.randrange(1, 4))
    world.sign()
    shutil.rmtree(it.folder)
    world.bundle(it.folder)
    world.close()


def hide_an_entry_behind_its_hash(it: Evidence) -> None:
    """As if it had been pruned. The tree does not change."""
    lines = entries_in(it.folder)
    free = [at for at, line in enumerate(lines) if not line.startswith(b'{"pruned"')]
    at = it.draw.choice(free)
    lines[at] = json.dumps({"pruned": leaf_hash(lines[at]).hex()}, separators=(",", ":")).encode()
    put_entries(it.folder, lines)


def change_a_pruned_hash(it: Evidence) -> None:
    lines = entries_in(it.folder)
    at = it.draw.choice([at for at, line in enumerate(lines) if line.startswith(b'{"pruned"')])
    lines[at] = b'{"pruned":"%s"}' % it.draw.randbytes(32).hex().encode()
    put_entries(it.folder, lines)


def lose_a_file(it: Evidence) -> None:
    shutil.rmtree(it.folder / "entries")


def two_outcomes(it: Evidence) -> None:
    """By the operator: a response ends twice."""

    def change(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ended = [each for each in facts if each.get("outcome") in ("released", "failed")]
        again = it.draw.choice(ended)
        return [*facts, again | {"id": "ent_again"}]

    written_anew(it.folder, it.world.keys, change)


def two_rulings(it: Evidence) -> None:
    def change(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        again = it.draw.choice([each for each in facts if each["type"] == "outcome"])
        return [*facts, again | {"id": "ent_again"}]

    written_anew(it.folder, it.world.keys, change)


def drop_what_was_accepted(it: Evidence) -> None:
    """By the operator: a decision of a request that nobody made."""

    def change(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ended = {each["response"] for each in facts if each.get("outcome")}
        those = [each for each in facts if each["type"] == "accepted"]
        gone = it.draw.choice([each for each in those if each["response"] in ended])
        return [each for each in facts if each is not gone]

    written_anew(it.folder, it.world.keys, change)


def _edited(draw: Random, line: bytes) -> bytes:
    at = draw.randrange(len(line))
    return line[:at] + _other(draw, line[at]) + line[at + 1 :]


def _other(draw: Random, byte: int) -> bytes:
    """Not a line feed: that would be a line more."""
    return bytes([draw.choice([each for each in range(256) if each not in (byte, 10)])])


def _names(note: bytes) -> set[int]:
    """Where the names of keys stand in signatures: a name that is not the log's is a witness's."""
    places: set[int] = set()
    at = note.index(b"\n\n") + 1
    while (at := note.find(NAME.encode(), at)) > 0:
        places.update(range(at, at + len(NAME)))
        at += 1
    return places


MUTATIONS = {
    "edit a byte": Mutation(edit_a_byte),
    "edit many bytes": Mutation(edit_many_bytes),
    "edit content": Mutation(edit_content),
    "swap contents": Mutation(swap_contents),
    "edit a checkpoint": Mutation(edit_a_checkpoint),
    "insert an entry again": Mutation(insert),
    "insert a foreign entry": Mutation(insert_foreign),
    "delete an entry": Mutation(delete),
    "reorder neighbours": Mutation(reorder),
    "swap two entries": Mutation(swap),
    "begin elsewhere": Mutation(rotate_lines),
    "cut the tail": Mutation(cut_the_tail, kept=True),
    "cut the tail, known to an anchor": Mutation(cut_known_to_an_anchor),
    "cut entries under a checkpoint": Mutation(cut_the_entries),
    "fork by the same key": Mutation(fork, kept=True),
    "rewrite of the same length": Mutation(rewrite_of_the_same_length, kept=True),
    "sign by another key": Mutation(sign_by_another_key),
    "replay an old checkpoint": Mutation(replay_an_old_checkpoint),
    "hide the newest checkpoints": Mutation(hide_the_newest_checkpoints, INCOMPLETE),
    "forge a rotation": Mutation(forge_a_rotation),
    "hide an entry behind its hash": Mutation(hide_an_entry_behind_its_hash),
    "change a pruned hash": Mutation(change_a_pruned_hash),
    "lose the entries": Mutation(lose_a_file),
    "two outcomes": Mutation(two_outcomes, INCOMPLETE),
    "two rulings": Mutation(two_rulings, INCOMPLETE),
    "drop what was accepted": Mutation(drop_what_was_accepted, INCOMPLETE),
}
