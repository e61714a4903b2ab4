"""Which keys a gateway beside SQLite signs with, when another one starts or a key is gone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.checkpointing import open_checkpoints
from inwit.config import Settings, load_settings
from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.notes import first_key, new_key
from inwit.ledger.sequencer import Sequencer


class _Beside(Database):
    """A database on which another gateway starts when this one looks first: before, or after."""

    def __init__(self, folder: Path, *, before: bool) -> None:
        super().__init__(sqlite_url(folder))
        self._file = folder / "ledger.key"
        self._before = before
        self._looked = True
        self.theirs = new_key()

    def watch(self) -> None:
        """From now on."""
        self._looked = False

    async def read(self, work: Callable[[sa.Connection], Any]) -> Any:
        first, self._looked = not self._looked, True
        if first and self._before:
            await self._start()
        found = await super().read(work)
        if first and not self._before:
            await self._start()
        return found

    async def _start(self) -> None:
        first_key(self._file, self.theirs)
        assert await Sequencer(self, [self.theirs], 60).work()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path)


@pytest.mark.parametrize("before", [True, False])
async def test_who_comes_while_another_signs_first_has_its_key(
    tmp_path: Path, settings: Settings, before: bool
) -> None:
    database = _Beside(tmp_path, before=before)
    await database.open()
    database.watch()
    try:
        async with open_checkpoints(settings, database) as head:
            assert head.vkeys == (database.theirs.vkey,)
    finally:
        await database.close()


async def test_no_key_is_made_where_another_has_signed(tmp_path: Path, settings: Settings) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    try:
        async with open_checkpoints(settings, database) as head:
            assert head.signed is not None
        (tmp_path / "ledger.key").unlink()
        with pytest.raises(SetupError, match=r"ledger\.key, and another one cannot go on after it"):
            async with open_checkpoints(settings, database):
                pass
    finally:
        await database.close()
    assert not (tmp_path / "ledger.key").exists()
