"""What makes checkpoints and passes them on, open and running: the sequencer and the anchors."""

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from inwit.anchors.places import anchor_of
from inwit.anchors.worker import Anchoring
from inwit.config import Settings
from inwit.errors import SetupError
from inwit.ledger import proofs
from inwit.ledger.database import Database
from inwit.ledger.notes import SigningKey, first_key, keys_of, new_key, read_keys
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Sequencer


class Head:
    """The newest checkpoint; `header` is its signed note in base64."""

    def __init__(self, vkeys: Sequence[str]) -> None:
        self.vkeys = tuple(vkeys)
        self.signed: Signed | None = None
        self.header: bytes | None = None

    def take(self, signed: Signed) -> None:
        """From now on this one."""
        self.signed = signed
        self.header = base64.b64encode(signed.note.encode())


@asynccontextmanager
async def open_checkpoints(settings: Settings, database: Database) -> AsyncGenerator[Head]:
    """Sign checkpoints and send them to the anchors while the block runs.

    Raises:
        SetupError: a key or an anchor is not what it should be, or the key is gone that signed.
    """
    anchors = {name: anchor_of(address) for name, address in settings.anchors.items()}
    # Read before the keys: whoever signed has made the file before.
    keys = ledger_keys(settings, await database.read(proofs.newest))
    head = Head([key.vkey for key in keys])
    sequencer = Sequencer(database, keys, settings.checkpoint_ms / 1000, head.take)
    every_s = settings.anchor_ms / 1000
    anchoring = Anchoring(database, anchors, lambda: sequencer.newest, every_s)
    async with sequencer.running(), anchoring.running():
        yield head


def ledger_key_file(settings: Settings) -> Path:
    """Where the keys are that sign checkpoints."""
    return settings.ledger_key_file or settings.data_dir / "ledger.key"


def ledger_keys(settings: Settings, signed: Signed | None = None) -> tuple[SigningKey, ...]:
    """The keys that sign checkpoints; the first start beside SQLite makes one.

    None for a database that gateways share and for which none is set: each would make its own.
    `signed` is the newest checkpoint there, if any. Nothing is signed after it by another key.

    Raises:
        SetupError: they cannot be read or made, or there is none and there was one.
    """
    keys = held_keys(settings)
    if keys or settings.database_url is not None:
        return keys
    file = ledger_key_file(settings)
    if signed is not None:
        raise SetupError(
            f"The key that signed the ledger's checkpoints is not in {file}, and another one "
            "cannot go on after it. Bring it back from where you keep a copy, or begin a new log "
            "(docs/ledger.md)."
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        first_key(file, new_key())
    except OSError as error:
        raise SetupError(f"{file} cannot be written ({error.strerror}).") from error
    return read_keys(file)


def held_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """The same, and none is made: for who only reads.

    Raises:
        SetupError: they cannot be read.
    """
    if settings.ledger_key is not None:
        if settings.ledger_key_file is not None:
            raise SetupError("Set INWIT_LEDGER_KEY_FILE or INWIT_LEDGER_KEY, and not both.")
        return keys_of(settings.ledger_key.get_secret_value(), "INWIT_LEDGER_KEY")
    file = ledger_key_file(settings)
    if settings.ledger_key_file is None and (settings.database_url or not file.exists()):
        return ()
    return read_keys(file)
