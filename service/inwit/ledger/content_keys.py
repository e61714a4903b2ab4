"""Who holds the master keys of content: lines of a file or of the environment, or a KMS.

A line is `<id>:<32 bytes in base64>`; the last one is active: it wraps what is new. The lines
before it only open what they wrapped, until `inwit ledger rotate-content-key` has wrapped that
anew.
"""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inwit import durable
from inwit.errors import LedgerError, SetupError

FILE = "content.key"

_ID = re.compile(r"[A-Za-z0-9._-]{1,16}")
_BETWEEN = re.compile(r"[\s,]+")  # in an environment, commas do as well as new lines
_KEY_BYTES = 32
NONCE_BYTES = 12


class KeyHolder(Protocol):
    """Holds master keys, and lends none of them out: a file here, or a KMS.

    It is called in the threads of the database, once for each end user that is new and once for
    each whose key is not at hand. One over a KMS needs three lines (`client` is the provider's):

        class Kms:
            active = "alias/inwit"
            def wrap(self, key, aad):
                return self.active, client.encrypt(self.active, key, context=aad)
            def unwrap(self, master, wrapped, aad):
                return client.decrypt(master, wrapped, context=aad)
    """

    @property
    def active(self) -> str:
        """The id of the master key that wraps what is new; at most 16 characters."""
        ...

    def wrap(self, key: bytes, aad: bytes) -> tuple[str, bytes]:
        """The id of the active master key, and `key` under it, bound to `aad`."""
        ...

    def unwrap(self, master: str, wrapped: bytes, aad: bytes) -> bytes:
        """The key again.

        Raises:
            KeyMissing: that master key is not held, or it is another one than it was.
        """
        ...


class KeyMissing(LedgerError):
    """Content is sealed by a master key that is not here."""

    def __init__(self, master: str) -> None:
        super().__init__(
            f"Content is sealed by the master key {master!r}, which is not here or not the same. "
            "Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY as it was (docs/forgetting.md)."
        )


def sealed(key: AESGCM, plain: bytes, aad: bytes) -> bytes:
    """A fresh nonce of 12 bytes, and `plain` sealed under it (AES-256-GCM)."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, aad)


def unsealed(key: AESGCM, both: bytes, aad: bytes) -> bytes:
    """The inverse of `sealed`.

    Raises:
        InvalidTag: it is not what was sealed, under this key and for this place.
    """
    return key.decrypt(both[:NONCE_BYTES], both[NONCE_BYTES:], aad)


class KeyLines:
    """Master keys as lines of text."""

    def __init__(self, lines: str, where: str) -> None:
        """Read them; `where` they stand is said in errors.

        Raises:
            SetupError: they are no such lines.
        """
        self._keys = _parsed(lines, where)

    @property
    def active(self) -> str:
        """The id of the last line."""
        return next(reversed(self._keys))

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them, the active one last."""
        return tuple(self._keys)

    def wrap(self, key: bytes, aad: bytes) -> tuple[str, bytes]:
        """`key` under the active master key."""
        name = self.active
        return name, sealed(self._keys[name], key, aad)

    def unwrap(self, master: str, wrapped: bytes, aad: bytes) -> bytes:
        """The key again.

        Raises:
            KeyMissing: that master key is not among the lines, or it is another one.
        """
        if master not in self._keys:
            raise KeyMissing(master)
        try:
            return unsealed(self._keys[master], wrapped, aad)
        except InvalidTag as error:
            raise KeyMissing(master) from error


class KeyFile:
    """The lines of a file, which is read again where it has changed."""

    def __init__(self, file: Path, *, make: bool = False) -> None:
        """Read it; with `make` it may be missing, and is made where a key is needed first.

        Raises:
            SetupError: it cannot be read, or it holds no such lines.
        """
        self.file = file
        self._make = make
        self._seen: tuple[int, ...] = ()
        self._lines: KeyLines | None = None
        if not make or file.exists():
            self._read()

    @property
    def active(self) -> str:
        """The id of the last line."""
        return self._needed().active

    def wrap(self, key: bytes, aad: bytes) -> tuple[str, bytes]:
        """`key` under the active master key.

        Raises:
            SetupError: there is no file, and none can be made.
        """
        return self._needed().wrap(key, aad)

    def unwrap(self, master: str, wrapped: bytes, aad: bytes) -> bytes:
        """The key again.

        Raises:
            KeyMissing: that master key is not in the file, or it is another one.
        """
        lines = self._lines
        if lines is None or master not in lines.ids:
            lines = self._fresh()
        if lines is None:
            raise KeyMissing(master)
        return lines.unwrap(master, wrapped, aad)

    def add(self) -> str:
        """Add a fresh line, which is the active one from now on; give its id.

        Raises:
            SetupError: the file cannot be written.
        """
        line = new_line(self._needed().ids)
        _replace(self.file, f"{self.file.read_text().rstrip()}\n{line}\n")
        return self._needed().active

    def _needed(self) -> KeyLines:
        lines = self._fresh()
        if lines is None:
            if not self._make:
                raise SetupError(f"The content keys in {self.file} cannot be read.")
            _make(self.file)
            lines = self._read()
        return lines

    def _fresh(self) -> KeyLines | None:
        """The lines as the file now has them; as they were, where it is gone or broken."""
        try:
            if _mark(self.file) != self._seen:
                self._read()
        except (OSError, SetupError):
            pass
        return self._lines

    def _read(self) -> KeyLines:
        try:
            mark, text = _mark(self.file), self.file.read_text()
        except (OSError, ValueError) as error:
            raise SetupError(f"The content keys in {self.file} cannot be read.") from error
        lines = KeyLines(text, str(self.file))
        self._seen, self._lines = mark, lines
        return lines


class NoKeys:
    """For who opens a sealed database without its keys: all of it can be read but content."""

    active = ""

    def wrap(self, key: bytes, aad: bytes) -> tuple[str, bytes]:
        """Raises:
        KeyMissing: always.
        """
        raise KeyMissing("of this database")

    def unwrap(self, master: str, wrapped: bytes, aad: bytes) -> bytes:
        """Raises:
        KeyMissing: always.
        """
        raise KeyMissing(master)


def new_line(known: tuple[str, ...] = ()) -> str:
    """A fresh master key as a line, by an id that is not among those `known`."""
    numbers = [int(each[1:]) for each in known if re.fullmatch(r"k[0-9]{1,9}", each)]
    encoded = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return f"k{max(numbers, default=0) + 1}:{encoded}"


def _make(file: Path) -> None:
    """Make it with a first key, for this user alone; nothing where another was faster."""
    with _writing(file):
        durable.make(file, f"{new_line()}\n")


def _replace(file: Path, text: str) -> None:
    with _writing(file):
        durable.replace(file, text)


@contextmanager
def _writing(file: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        problem = f"The content keys in {file} cannot be written ({error.strerror})."
        raise SetupError(problem) from error


def _mark(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _parsed(text: str, where: str) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    for line in filter(None, _BETWEEN.split(text)):
        name, _, encoded = line.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not _ID.fullmatch(name) or len(key) != _KEY_BYTES or name in keys:
            raise SetupError(
                f"{where}: line {len(keys) + 1} is no content key. A line is an id of its own, a "
                "colon and 32 bytes in base64 (docs/forgetting.md)."
            )
        keys[name] = AESGCM(key)
    if not keys:
        raise SetupError(f"{where}: there is no content key.")
    return keys
