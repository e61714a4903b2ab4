"""Checkpoints as C2SP writes them: signed notes with Ed25519 (tlog-checkpoint, signed-note).

A key's name is the log's origin. Keys are kept and told in the form of Go's `sumdb/note`:
`PRIVATE+KEY+NAME+ID+BASE64(0x01 || seed)` and `NAME+ID+BASE64(0x01 || public key)`, where ID are
the first 4 bytes of `SHA-256(NAME || 0x0A || 0x01 || public key)` in hexadecimal.
"""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inwit import durable
from inwit.errors import SetupError

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\N{EM DASH}"
_NAME = re.compile(r"[!-*,-~]{1,128}")  # what can be seen, without a space or a plus
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(Exception):
    """Text that is not what it should be: a note, a checkpoint or a key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a signed note says of the log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The signed part, with the newline at its end."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class SigningKey:
    """A private key. It never shows itself in `repr`."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not _NAME.fullmatch(name):
            raise NoteError("a key's name has 1 to 128 ASCII characters, no spaces and no plus")
        self.name = name
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = _ED25519 + self._private.public_key().public_bytes_raw()
        self._id = _key_id(name, public)
        self.id = self._id.hex()
        self.vkey = f"{name}+{self.id}+{base64.b64encode(public).decode()}"

    @classmethod
    def read(cls, line: str) -> "SigningKey":
        """A key from its line.

        Raises:
            NoteError: it is not one.
        """
        name, key_id, key = _parts(line.removeprefix(_PRIVATE))
        if not line.startswith(_PRIVATE) or len(key) != 32:
            raise NoteError("not a private key")
        found = cls(name, key)
        if found._id != key_id:
            raise NoteError("the key's id is not that of its name and bytes")
        return found

    def line(self) -> str:
        """Its form on disk: a secret."""
        seed = _ED25519 + self._private.private_bytes_raw()
        return f"{_PRIVATE}{self.name}+{self.id}+{base64.b64encode(seed).decode()}"

    def signature(self, text: str) -> str:
        """The line under a note."""
        signed = self._id + self._private.sign(text.encode())
        return f"{_DASH} {self.name} {base64.b64encode(signed).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key by which a note can be checked."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def read(cls, vkey: str) -> "VerifyingKey":
        """A key from its text.

        Raises:
            NoteError: it is not one.
        """
        name, key_id, key = _parts(vkey)
        if len(key) != 32 or _key_id(name, _ED25519 + key) != key_id:
            raise NoteError("not a key of a log: NAME+ID+BASE64")
        return cls(name, key_id, key)

    def signed(self, note: str) -> bool:
        """Whether the note carries a signature of this key."""
        text, signatures = _split(note)
        public = Ed25519PublicKey.from_public_bytes(self.public)
        for name, key_id, signature in signatures:
            if (name, key_id) == (self.name, self.id):
                try:
                    public.verify(signature, text.encode())
                except InvalidSignature:
                    return False
                return True
        return False


def signed_note(checkpoint: Checkpoint, keys: Sequence[SigningKey]) -> str:
    """A checkpoint with a signature by each key, whose names must be its origin."""
    text = checkpoint.text
    return f"{text}\n" + "".join(key.signature(text) for key in keys)


def checkpoint_of(note: str) -> Checkpoint:
    """What a note says; its signatures are not looked at.

    Raises:
        NoteError: it is no note of a checkpoint.
    """
    text, _ = _split(note)
    lines = text.split("\n")
    if len(lines) < 4 or not _SIZE.fullmatch(lines[1]):
        raise NoteError("not a checkpoint: origin, size and root are wanted")
    root = _decoded(lines[2])
    if len(root) != 32 or not lines[0]:
        raise NoteError("not a checkpoint: its root has not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def signers(note: str) -> list[tuple[str, str]]:
    """Name and id (hexadecimal) of the keys that a note says it is signed by.

    Raises:
        NoteError: it is no note.
    """
    return [(name, key_id.hex()) for name, key_id, _ in _split(note)[1]]


def keys_of(text: str, where: str) -> tuple[SigningKey, ...]:
    """The keys that stand in a text, with white space between them, the newest last.

    Raises:
        SetupError: it holds something else; `where` it stands is told.
    """
    try:
        keys = tuple(SigningKey.read(line) for line in text.split())
    except NoteError as error:
        raise _no_keys(where, str(error)) from error
    if not keys or len({key.name for key in keys}) > 1:
        raise SetupError(f"{where} must hold keys of one name, at least one.")
    return keys


def read_keys(file: Path) -> tuple[SigningKey, ...]:
    """The keys of a file, the newest last.

    Raises:
        SetupError: it cannot be read, or holds something else.
    """
    where = f"INWIT_LEDGER_KEY_FILE: {file}"
    try:
        return keys_of(file.read_text(), where)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise _no_keys(where, str(why)) from error


def _no_keys(where: str, why: str) -> SetupError:
    return SetupError(
        f"{where} holds no keys that checkpoints can be signed with ({why}). "
        "`inwit ledger key new` makes one."
    )


def new_key(name: str | None = None) -> SigningKey:
    """A fresh key; without a name it gets one that nobody else has."""
    return SigningKey(name or f"inwit-{secrets.token_hex(4)}", secrets.token_bytes(32))


def first_key(file: Path, key: SigningKey) -> None:
    """Make a file that its owner alone may read, with one key; nothing where there is one.

    Where two make it at once, the first one's key is in it and the other one's is not.

    Raises:
        OSError: it cannot be written.
    """
    durable.make(file, _lines([key]))


def write_keys(file: Path, keys: Sequence[SigningKey]) -> None:
    """Put these in the place of those that are there.

    Raises:
        OSError: it cannot be written.
    """
    durable.replace(file, _lines(keys))


def _lines(keys: Sequence[SigningKey]) -> str:
    return "".join(f"{key.line()}\n" for key in keys)


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def _parts(text: str) -> tuple[str, bytes, bytes]:
    """Name, id and the key's bytes, of which the first says Ed25519."""
    name, _, rest = text.partition("+")
    key_id, _, key = rest.partition("+")
    bytes_ = _decoded(key)
    if not _NAME.fullmatch(name) or not re.fullmatch("[0-9a-f]{8}", key_id):
        raise NoteError("not a key of a log: NAME+ID+BASE64")
    if bytes_[:1] != _ED25519:
        raise NoteError("not an Ed25519 key")
    return name, bytes.fromhex(key_id), bytes_[1:]


def _split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The signed text, and name, key id and bytes of each signature."""
    text, blank, below = note.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise NoteError("not a signed note")
    found: list[tuple[str, bytes, bytes]] = []
    for line in below[:-1].split("\n"):
        dash, name, signature = (*line.split(" "), "", "")[:3]
        signed = _decoded(signature)
        if dash != _DASH or len(signed) <= 4 or line.count(" ") != 2:
            raise NoteError("not a signed note: a signature cannot be read")
        found.append((name, signed[:4], signed[4:]))
    return f"{text}\n", found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
