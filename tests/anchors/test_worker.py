"""The newest checkpoint goes to every anchor, each by itself."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.anchors.places import AnchorFailed, AnchorRefused
from inwit.anchors.worker import Anchoring
from inwit.errors import InwitError
from inwit.labels import AnchorKind
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.proofs import Signed
from inwit.ledger.tables import ANCHORED


@dataclass
class FakeAnchor:
    """Keeps sizes, or fails."""

    kind: AnchorKind = AnchorKind.FOLDER
    sizes: list[int] = field(default_factory=list[int])
    fails: InwitError | None = None

    async def put(self, signed: Signed) -> None:
        if self.fails is not None:
            raise self.fails
        self.sizes.append(signed.size)


async def test_each_anchor_gets_what_is_new_to_it(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    near, far = FakeAnchor(), FakeAnchor(AnchorKind.WEBHOOK, fails=AnchorFailed("no"))
    newest: list[Signed] = []
    anchoring = Anchoring(
        database, {"near": near, "far": far}, lambda: newest[-1] if newest else None, 60
    )
    await anchoring.work()  # nothing is signed yet
    newest.append(Signed(7, "note", datetime.now(UTC)))

    with capture_logs() as logs:
        await anchoring.work()
        await anchoring.work()
    far.fails = None
    await anchoring.work()
    newest.append(Signed(9, "note", datetime.now(UTC)))
    await anchoring.work()

    assert near.sizes == [7, 9]
    assert far.sizes == [7, 9]
    assert [line["event"] for line in logs] == ["anchor_failed"] * 2
    rows = await database.read(lambda connection: connection.execute(sa.select(ANCHORED)).all())
    assert sorted((row.anchor, row.size) for row in rows) == [("far", 9), ("near", 9)]
    await database.close()


@pytest.mark.parametrize("refused", [True, False])
async def test_a_refusal_is_counted_apart_from_a_failure(tmp_path: Path, refused: bool) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    error = AnchorRefused("other") if refused else AnchorFailed("away")
    signed = Signed(7, "note", datetime.now(UTC))
    labels = {"anchor": "git", "cause": "changed" if refused else "failed"}
    name = "inwit_ledger_anchor_failures_total"
    before = REGISTRY.get_sample_value(name, labels) or 0

    with capture_logs() as logs:
        anchors = {"a": FakeAnchor(AnchorKind.GIT, fails=error)}
        await Anchoring(database, anchors, lambda: signed, 60).work()

    assert REGISTRY.get_sample_value(name, labels) == before + 1
    assert logs[0]["log_level"] == ("error" if refused else "warning")
    await database.close()
