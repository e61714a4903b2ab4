"""Digests of texts in entries are of use to who has the texts' keys, and to nobody else."""

from pathlib import Path

from inwit.cases import Output
from inwit.ledger.tables import ENTRIES
from tests.ledger.forgotten import ANSWER, EXPIRED, acts, edited, held, rows
from tests.ledger.sealed import sealed_database


async def test_digests_in_entries_confirm_no_guess_and_agree_with_one_another(
    tmp_path: Path,
) -> None:
    async with sealed_database(tmp_path) as database:
        await held(database)
        await edited(database, "A text that is easy to guess.", rule=True)
        bodies = [row.body for row in await rows(database, ENTRIES)]
        (decided,) = await acts(database, "decision")
        (checked,) = await acts(database, "edit_checked")
        (ruled,) = await acts(database, "ruled")
        (outcome,) = await acts(database, "outcome")

    for guess in (ANSWER, Output("A text that is easy to guess.", "stop"), EXPIRED):
        assert not any(guess.digest.encode() in body for body in bodies)
    assert len(decided["hold"]["offers"]["approve"]) == 64
    told = {each["facts"]["digest"] for each in (checked, ruled, outcome)}
    assert len(told) == 1
    assert told != set(decided["hold"]["offers"].values())
