"""A receipt proves one entry, and the text that was released under it, alone and offline."""

import base64
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.ledger import merkle, verify
from inwit.ledger.notes import new_key
from tests.ledger.signed_world import NAME, SignedWorld
from tests.ledger.test_mutations import told

Receipt = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> Generator[SignedWorld]:
    made = SignedWorld()
    made.live()
    yield made
    made.close()


@pytest.fixture
def receipt(world: SignedWorld) -> Receipt:
    """Of a released answer, under the first checkpoint after it, with what was released."""
    with world.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM entries ORDER BY sequence")).all()
        entry = next(row for row in rows if row.response_id == "resp_a5" and row.type == "decision")
        query = sa.text("SELECT size, note FROM checkpoints WHERE size >= :s ORDER BY size LIMIT 1")
        size, note = connection.execute(query, {"s": entry.sequence}).one()
        content = sa.text("SELECT * FROM contents WHERE sequence = :s AND kind = 'released'")
        opened = connection.execute(content, {"s": entry.sequence}).one()
    leaves = [row.hash for row in rows[:size]]
    proof = merkle.inclusion(entry.sequence - 1, size, lambda _, start, end: leaves[start:end])
    return {
        "origin": NAME,
        "entry": entry.body.decode(),
        "index": entry.sequence - 1,
        "proof": [base64.b64encode(each).decode() for each in proof],
        "checkpoint": note,
        "openings": {
            "released": {
                "salt": opened.salt.hex(),
                "content": base64.b64encode(opened.content).decode(),
            }
        },
    }


@pytest.fixture
def checked(world: SignedWorld, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """What the command says of a receipt, and of a text that somebody has."""

    def check(receipt: object, text: str | None = None, key: str = world.vkey) -> tuple[int, str]:
        (tmp_path / "receipt.json").write_text(json.dumps(receipt))
        (tmp_path / "text").write_text(text or "")
        more = ["--text", str(tmp_path / "text")] if text is not None else []
        arguments = [str(tmp_path / "receipt.json"), "--key", key, *more]
        try:
            code, lines = verify.run(["receipt", *arguments])
        except verify.Misuse as error:
            return verify.MISUSE, str(error)
        return code, "\n".join(lines)

    return check


Checked = Callable[..., tuple[int, str]]


def test_a_receipt_holds_with_the_text_and_without(receipt: Receipt, checked: Checked) -> None:
    code, words = checked(receipt)

    assert code == verify.INTACT, words
    assert "response resp_a5" in words
    assert "outcome released" in words
    assert checked(receipt, "The moon.")[0] == verify.INTACT
    assert checked(receipt, '{"text":"The moon."}')[0] == verify.INTACT
    del receipt["openings"]
    assert checked(receipt)[0] == verify.INTACT


def test_the_text_itself_opens_a_commitment_whose_content_is_left_out(
    receipt: Receipt, checked: Checked
) -> None:
    receipt["openings"]["released"]["content"] = None

    assert checked(receipt, '{"text":"The moon."}')[0] == verify.INTACT
    assert checked(receipt, '{"text":"The sun."}')[0] == verify.TAMPERED
    assert checked(receipt)[0] == verify.INTACT


def _of_another_size(note: str) -> str:
    origin, size, rest = note.split("\n", 2)
    return f"{origin}\n{int(size) + 1}\n{rest}"


WRONG: dict[str, Callable[[Receipt], object]] = {
    "another entry": lambda it: it.update(entry=it["entry"].replace("released", "blocked")),
    "another place": lambda it: it.update(index=it["index"] + 1),
    "a shorter proof": lambda it: it.update(proof=it["proof"][:-1]),
    "a longer proof": lambda it: it.update(proof=[*it["proof"], it["proof"][0]]),
    "no proof": lambda it: it.update(proof=[]),
    "a proof of other hashes": lambda it: it.update(proof=[it["proof"][0]] * len(it["proof"])),
    "a proof of numbers": lambda it: it.update(proof=[1, 2, 3]),
    "another checkpoint": lambda it: it.update(checkpoint=_of_another_size(it["checkpoint"])),
    "no checkpoint": lambda it: it.update(checkpoint=None),
    "another origin": lambda it: it.update(origin="other"),
    "a salt": lambda it: it["openings"]["released"].update(salt="00" * 32),
    "a salt that is none": lambda it: it["openings"]["released"].update(salt=5),
    "content": lambda it: it["openings"]["released"].update(content="AAAA"),
    "content of another kind": lambda it: it["openings"].update(
        request=it["openings"].pop("released")
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_was_changed_is_found(receipt: Receipt, checked: Checked, wrong: str) -> None:
    WRONG[wrong](receipt)

    assert checked(receipt)[0] == verify.TAMPERED


def test_another_text_and_another_key_are_found(receipt: Receipt, checked: Checked) -> None:
    assert checked(receipt, "The sun.")[0] == verify.TAMPERED
    assert checked(receipt, key=new_key(NAME).vkey)[0] == verify.TAMPERED
    del receipt["openings"]
    assert checked(receipt, "The moon.")[0] == verify.TAMPERED


@pytest.mark.parametrize(
    "odd", [None, [], {}, {"entry": 5}, {"entry": "{}", "proof": [], "index": -1}]
)
def test_what_is_no_receipt_is_misuse(checked: Checked, odd: object) -> None:
    assert checked(odd)[0] == verify.MISUSE


def test_a_receipt_is_no_bundle(receipt: Receipt, tmp_path: Path, world: SignedWorld) -> None:
    assert told(tmp_path, "--key", world.vkey)[0] == verify.MISUSE
