"""What the gateway gives out, by the verifier that a stranger has."""

import base64
import json
from pathlib import Path

from inwit.ledger import verify
from inwit.ledger.bundle import write_bundle
from inwit.ledger.notes import new_key
from inwit.ledger.sequencer import Sequencer
from inwit.types import KeyRole
from tests.conftest import MakeCaller
from tests.ledger.signed_world import MADE

KEY = new_key("log.example.com")


async def test_a_receipt_and_a_header_hold_against_the_bundle(
    make_caller: MakeCaller, tmp_path: Path
) -> None:
    caller = await make_caller(roles=(KeyRole.RESPOND, KeyRole.AUDIT))
    sequencer = Sequencer(caller.database, [KEY], 60, caller.gateway.head.take)
    first = (await caller.respond()).json()["id"]
    await caller.background.idle()
    await sequencer.work()
    later = await caller.respond()
    await caller.background.idle()
    await sequencer.work()

    receipt = await caller.http.get(f"/v1/receipts/{first}")
    (tmp_path / "receipt.json").write_bytes(receipt.content)
    (tmp_path / "header").write_text(later.headers["x-inwit-checkpoint"])
    folder = tmp_path / "bundle"
    await caller.database.read(lambda db: write_bundle(db, folder, MADE))

    code, words = verify.run(["receipt", str(tmp_path / "receipt.json"), "--key", KEY.vkey])
    assert code == verify.INTACT
    assert any(f"response {first}" in each for each in words)
    kept = ["--previous", str(tmp_path / "header")]
    code, words = verify.run([str(folder), "--key", KEY.vkey, *kept, "--json"])
    said = json.loads(words[0])
    assert (code, said["tampered"]["count"], said["incomplete"]["count"]) == (0, 0, 0)
    assert said["outcomes"] == {"released": 2}
    assert said["open"]["count"] == 0
    assert base64.b64decode((tmp_path / "header").read_bytes()).startswith(b"log.example.com\n")
