"""Where real gateways of a test keep one ledger, and what can be asked about it from outside."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inwit.ledger.content_keys import KeyFile
from inwit.ledger.database import sqlite_url
from inwit.ledger.ends import ENDS
from inwit.ledger.notes import first_key, new_key
from inwit.ledger.tables import ENTRIES
from tests.fakes_server import FakeServer
from tests.process.processes import Inwit, inwit, run_inwit

# To a gateway of this kind a request without an end counts as abandoned 5 s after its deadline and
# the time to record it. It has no callers: they would be refused where a machine is slow.
SOON_ABANDONED = {"INWIT_DEADLINE_MS": "1000", "INWIT_RECORD_MS": "1000"}
ABANDONED_S = 7.0


@dataclass
class Place:
    """A data folder, and the settings of all that run on it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def address(self) -> str:
        """For SQLAlchemy."""
        url = self.settings.get("INWIT_DATABASE_URL", sqlite_url(self.folder))
        return url.replace("postgresql://", "postgresql+pg8000://")

    def make_key(self) -> str:
        """An API key."""
        made = run_inwit("keys create --name test --tenant acme --json", self.folder, self.settings)
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["key"])

    @asynccontextmanager
    async def gateway(self, **settings: str) -> AsyncGenerator[tuple[Inwit, str]]:
        """A gateway, and its address, as soon as it serves."""
        with inwit("serve", self.folder, self.settings | settings) as running:
            line = await asyncio.to_thread(running.wait_for, '"serving"')
            yield running, json.loads(line)["address"]

    async def verified(self, *kept: Path) -> dict[str, Any]:
        """What `inwit ledger verify` says, given checkpoints that somebody kept."""
        words = "".join(f" --previous {each}" for each in kept)
        command = f"ledger verify --json{words}"
        ran = await asyncio.to_thread(run_inwit, command, self.folder, self.settings)
        assert ran.returncode in (0, 1, 2), ran.stderr
        told = json.loads(ran.stdout)
        assert ran.returncode == ("intact", "tampered", "incomplete").index(told["result"])
        return told

    def ends(self) -> dict[str, list[str]]:
        """Of each response the types of the entries that ended it."""
        query = sa.select(ENTRIES.c.response_id, ENTRIES.c.type).where(ENTRIES.c.type.in_(ENDS))
        found: dict[str, list[str]] = {}
        for response, kind in self._rows(query):
            found.setdefault(response, []).append(kind)
        return found

    def checkpoints(self) -> list[int]:
        """The sizes of all that were signed, in the order of their times."""
        query = "SELECT size FROM checkpoints WHERE note IS NOT NULL ORDER BY time"
        return [size for (size,) in self._rows(sa.text(query))]

    def _rows(self, query: sa.Executable) -> list[Any]:
        engine = sa.create_engine(self.address, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return list(connection.execute(query).all())


def place_of(folder: Path, server: FakeServer, redis_url: str, postgres: str | None) -> Place:
    """On SQLite, or with keys of its own on a database of PostgreSQL."""
    often = {"INWIT_CHECKPOINT_MS": "100"}
    place = Place(folder / "data", {"INWIT_REDIS_URL": redis_url, **often})
    place.settings["INWIT_MODEL_URL"] = server.base_url
    if postgres is not None:
        keys, content = folder / "signing.key", folder / "master.key"
        first_key(keys, new_key("log.example/crashes"))
        _ = KeyFile(content, make=True).active
        place.settings |= {
            "INWIT_DATABASE_URL": postgres,
            "INWIT_LEDGER_KEY_FILE": str(keys),
            "INWIT_CONTENT_KEY_FILE": str(content),
        }
    return place
