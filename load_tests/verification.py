"""How long a stranger's verification takes, against SHA-256 over the same bytes alone.

    .venv/bin/python -m load_tests.verification [ENTRIES] [ENTRIES BETWEEN CHECKPOINTS]

It makes a bundle as a gateway's traffic would: half acceptances, half decisions of two verdicts.
"""

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.ledger.test_store import DECISION, ORIGIN, RECORD, VERDICT

from inwit.decisions import AcceptedRecord, Asked
from inwit.ledger import verify
from inwit.ledger.bundle import FORMAT
from inwit.ledger.chain import entry_body, leaf_hash
from inwit.ledger.merkle import Tree
from inwit.ledger.notes import Checkpoint, SigningKey, new_key, signed_note
from inwit.ledger.transaction import encoded

NAME = "log.example"


def make(folder: Path, key: SigningKey, entries: int, between: int) -> int:
    """Write the bundle; the number of its entries' bytes."""
    (folder / "entries").mkdir()
    two = replace(DECISION, verdicts=(VERDICT, replace(VERDICT, judge="classifier", model="guard")))
    record = replace(RECORD, decision=two, rounds=(replace(RECORD.rounds[0], decision=two),))
    kinds: list[dict[str, Any]] = [
        encoded(AcceptedRecord(ORIGIN, RECORD.time, Asked.RESPONSE, {"request": b"{}"})).facts,
        encoded(record).facts,
    ]
    tree, previous, total = Tree(), bytes(32), 0
    notes: list[str] = []
    for first in range(0, entries, verify.PART):
        with (folder / "entries" / f"{first:012}.jsonl").open("wb") as out:
            for index in range(first, min(first + verify.PART, entries)):
                moment = RECORD.time + timedelta(milliseconds=20 * index)
                named = {"response": f"resp_{index // 2:032x}", "id": f"ent_{index:032x}"}
                facts = {**kinds[index % 2], **named, "time": moment.isoformat()}
                body = entry_body(facts, index + 1, previous)
                previous = leaf_hash(body)
                tree.append(previous)
                out.write(body + b"\n")
                total += len(body)
                if (index + 1) % between == 0 or index + 1 == entries:
                    notes.append(signed_note(Checkpoint(NAME, index + 1, tree.root()), [key]))
    lines = [{"size": verify.note_of(note).size, "time": "", "note": note} for note in notes]
    (folder / "checkpoints.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    (folder / "checkpoint").write_text(notes[-1])
    manifest = {"format": FORMAT, "origin": NAME, "size": entries, "made": RECORD.time.isoformat()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return total


def hashed(folder: Path) -> float:
    """Seconds that SHA-256 alone takes over the files."""
    took = 0.0
    for file in sorted((folder / "entries").iterdir()):
        data = file.read_bytes()
        start = time.process_time()
        hashlib.sha256(data).digest()
        took += time.process_time() - start
    return took


def main() -> None:
    """Make it, verify it as a stranger does, and print what that took."""
    entries = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    between = int(sys.argv[2]) if sys.argv[2:] else 1_000
    with tempfile.TemporaryDirectory() as made:
        folder, key = Path(made), new_key(NAME)
        total = make(folder, key, entries, between)
        command = [sys.executable, "-I", verify.__file__, made, "--key", key.vkey]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--previous", str(folder / "checkpoint")], check=True)
        took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        alone = hashed(folder)
    print(f"\n{entries} entries of {total / entries:.0f} bytes, a checkpoint every {between}:")
    print(f"{took:.1f} s, {busy:.1f} s of processors, {after.ru_maxrss / 1024:.0f} MB at most")
    print(f"SHA-256 alone: {alone:.2f} s; {busy / alone:.0f} times as long")


if __name__ == "__main__":
    main()
