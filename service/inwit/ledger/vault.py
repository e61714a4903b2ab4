"""Content at rest: sealed by a data key per response, under a key per end user, under a master key.

To forget a person is to delete their key: what it opened stays shut, in old pages and in backups
too. Every function runs in the threads of the database; those that write do so in the transaction
of the content itself, so that a key which was erased in between is never used.

What is sealed: AES-256-GCM(data key, nonce, salt || content), bound to `<sequence>/<kind>`. Texts
that stand beside the entries (drafts, edits) carry `v1.` in front of base64(nonce || sealed).
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inwit.ledger.content_keys import NONCE_BYTES, KeyHolder, sealed, unsealed
from inwit.ledger.kept import Kept
from inwit.ledger.tables import CONTENTS, DATA_KEYS, ENTRIES, SUBJECTS

log = structlog.get_logger()

OPTION = "inwit_vault"  # of an engine: the vault of what is read and written over it
SALT_BYTES = 32

# A data key's row outlives the key, with this as its subject or with the subject as it was, so
# that nothing is sealed for that response again and a reader is told why there is nothing.
ERASED = "erased"
NO_KEY = b""

_KEY_BITS = 256
_INDEX = "index"  # the subject whose key makes subjects' ids of end users
_CACHED = 8_192  # keys of each kind, about 1 MB
_MARK = "v1."
_BLINDING = b"inwit-digest"  # 12 bytes, as every nonce has
_AT_ONCE = 500  # names in one query


class Shut(Exception):
    """Sealed content that does not open: it, or its key, is not what was written."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose content it is: `name` has the data key, a response's id or a tenant's own name.

    `end_user` counts where the data key is made, and only then. Where `sure` is false the request
    says it that is kept of this response.
    """

    name: str
    tenant: str
    end_user: str | None = None
    sure: bool = True


def tenants_own(tenant: str) -> str:
    """The name of the data key for content of no response."""
    return f"tenant:{hashlib.sha256(tenant.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Content on its way into the table, at the place of its entry."""

    owner: Owner
    sequence: int
    kind: str
    salt: bytes
    content: bytes

    @property
    def aad(self) -> bytes:
        """Binds it to its place."""
        return _aad(self.sequence, self.kind)


class Vault:
    """Seals and opens. It keeps keys that were unwrapped, so many and no more, and no thread."""

    def __init__(self, holder: KeyHolder) -> None:
        self.holder = holder
        self._subject_keys = Kept[AESGCM](_CACHED)
        self._data_keys = Kept[AESGCM](_CACHED)
        self._index: bytes | None = None

    def seal(
        self, connection: sa.Connection, pieces: Sequence[Piece], now: datetime
    ) -> list[dict[str, Any]]:
        """Rows of `contents`; keys that are missing are made, and written here and now.

        What belongs to a response that is forgotten has no row.
        """
        owners = sorted((each.owner for each in pieces), key=lambda owner: owner.sure)
        keys = self.keys_for(connection, {each.name: each for each in owners}, now)
        return [_row(each, key) for each in pieces if (key := keys[each.owner.name]) is not None]

    def keys_for(
        self, connection: sa.Connection, owners: Mapping[str, Owner], now: datetime
    ) -> dict[str, AESGCM | None]:
        """The data keys of owners by name, made where there are none; None: it is forgotten."""
        subjects = {
            name: self.subject(connection, owner.tenant, owner.end_user)
            for name, owner in owners.items()
        }
        data, known = self._found(connection, list(owners), set(subjects.values()))
        made: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        for name in owners.keys() - data.keys():
            subject = self._whose(connection, owners[name], subjects[name], known)
            if subject not in known:
                known[subject], row = self._new_subject(subject, owners[name].tenant, now)
                people.append(row)
            key = AESGCM.generate_key(_KEY_BITS)
            wrapped = sealed(known[subject], key, name.encode())
            data[name] = AESGCM(key)
            made.append({"response_id": name, "subject": subject, "wrapped": wrapped})
        for insert, rows in ((_INSERT_SUBJECTS, people), (_INSERT_KEYS, made)):
            if rows:
                connection.execute(insert, rows)
        return data

    def keys_of(self, connection: sa.Connection, names: Iterable[str]) -> dict[str, AESGCM | None]:
        """The data keys that there are, by name; None where it is forgotten or damaged.

        Raises:
            KeyMissing: its master key is not held.
        """
        return self._found(connection, list(names), set())[0]

    def open(self, key: AESGCM | None, row: Any) -> tuple[bytes, bytes]:
        """The salt and the content of a sealed row of `contents`.

        Raises:
            Shut: there is no key, or the row is not what was written, or not in its place.
        """
        both = _opened(key, row.nonce, row.content, _aad(row.sequence, row.kind))
        return both[:SALT_BYTES], both[SALT_BYTES:]

    def subject(self, connection: sa.Connection, tenant: str, end_user: str | None) -> str:
        """The id of an end user of a tenant, or of the tenant itself: a keyed digest.

        Its key is random, made once for a database, and kept wrapped as the others are.
        """
        if self._index is None:
            self.check(connection)
        said = f"{tenant}\0{end_user or ''}".encode("utf-8", "surrogatepass")
        return hmac.new(self._index or b"", said, hashlib.sha256).hexdigest()

    def check(self, connection: sa.Connection) -> None:
        """Read the key of the subjects' ids: whether this database was sealed by these keys.

        Raises:
            KeyMissing: its master key is not held.
            Shut: it has no such key yet.
        """
        row = connection.execute(sa.select(SUBJECTS).filter_by(id=_INDEX)).first()
        if row is None:
            raise Shut
        self._index = self.holder.unwrap(row.master, row.wrapped, _INDEX.encode())

    def prepare(self, connection: sa.Connection) -> None:
        """Make the key of the subjects' ids, where this database has none yet.

        In a transaction of its own, before anything is sealed: what is undone must not be known.
        """
        if connection.execute(sa.select(SUBJECTS.c.id).filter_by(id=_INDEX)).first() is None:
            raw = os.urandom(_KEY_BITS // 8)
            row = _subject_row(self.holder, _INDEX, raw, "", datetime.now(UTC))
            connection.execute(sa.insert(SUBJECTS), row)

    def subject_key(self, row: Any) -> AESGCM:
        """The key of a row of `subjects`.

        Raises:
            KeyMissing: its master key is not held, or it was changed after it was written.
        """
        place = (row.id, row.wrapped)
        if (known := self._subject_keys.get(place)) is not None:
            return known
        raw = self.holder.unwrap(row.master, row.wrapped, row.id.encode())
        return self._subject_keys.put(place, AESGCM(raw))

    def forget(self) -> None:
        """Keep no key that was unwrapped before."""
        self._subject_keys.clear()
        self._data_keys.clear()

    def _found(
        self, connection: sa.Connection, names: Sequence[str], subjects: set[str]
    ) -> tuple[dict[str, AESGCM | None], dict[str, AESGCM]]:
        """Data keys by name, and keys of subjects by id: those that have a row."""
        data: dict[str, AESGCM | None] = {}
        known: dict[str, AESGCM] = {}
        asked = sorted(subjects)
        for start in range(0, max(len(names), len(asked), 1), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            wanted = {"names": names[some], "subjects": asked[some]}
            for row in connection.execute(_LOOKUP, wanted):
                if row.id is not None:
                    known[row.id] = self.subject_key(row)
                if row.name is not None:
                    data[row.name] = self._data_key(row, known)
        return data, known

    def _data_key(self, row: Any, known: Mapping[str, AESGCM]) -> AESGCM | None:
        if row.data == NO_KEY or row.id is None:
            return None
        place = _place(row.name, row.data, row.wrapped)
        if (cached := self._data_keys.get(place)) is not None:
            return cached
        try:
            raw = unsealed(known[row.id], row.data, row.name.encode())
            return self._data_keys.put(place, AESGCM(raw))
        except (InvalidTag, ValueError, TypeError):  # SQLite lets any type stand
            log.error("data_key_damaged", owner=row.name)
            return None

    def _new_subject(
        self, subject: str, tenant: str, now: datetime
    ) -> tuple[AESGCM, dict[str, Any]]:
        raw = AESGCM.generate_key(_KEY_BITS)
        row = _subject_row(self.holder, subject, raw, tenant, now)
        return self._subject_keys.put((subject, row["wrapped"]), AESGCM(raw)), row

    def _whose(
        self,
        connection: sa.Connection,
        owner: Owner,
        subject: str,
        known: dict[str, AESGCM],
    ) -> str:
        """The subject of a data key that is to be made; its key among those `known`, if any."""
        end_user = None if owner.sure else end_user_of(connection, owner.name)
        if end_user is None:
            return subject
        whose = self.subject(connection, owner.tenant, end_user)
        known |= self._found(connection, (), {whose})[1]
        return whose


def blind(key: AESGCM, digest: str) -> str:
    """A digest under a data key, in hexadecimal: the same for the same text of one response."""
    # The cipher's own stream under a nonce that is used for nothing else: a key of its own.
    secret = key.encrypt(_BLINDING, bytes(32), None)
    return hmac.new(secret, digest.encode(), hashlib.sha256).hexdigest()


def vault_of(connection: sa.Connection) -> Vault | None:
    """The vault that its database was opened with."""
    return connection.get_execution_options().get(OPTION)


def end_user_of(connection: sa.Connection, response_id: str) -> str | None:
    """Whom a response of an older version was for, whose request is kept plain."""
    query = (
        sa.select(CONTENTS.c.content)
        .join(ENTRIES, ENTRIES.c.sequence == CONTENTS.c.sequence)
        .where(
            ENTRIES.c.response_id == response_id,
            CONTENTS.c.kind == "request",
            CONTENTS.c.nonce.is_(None),
        )
    )
    for content in connection.execute(query).scalars():
        if (found := end_user_in(content)) is not None:
            return found
    return None


def end_user_in(request: Any) -> str | None:
    """Whom a request names, as its content has it."""
    try:
        found = json.loads(request)["end_user"]
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None


def seal_text(key: AESGCM, text: str, place: str) -> str:
    """A text that stands beside the entries, bound to its place."""
    plain = text.encode("utf-8", "surrogatepass")
    return _MARK + base64.b64encode(sealed(key, plain, place.encode())).decode()


def sealed_text(stored: str) -> bytes | None:
    """The sealed bytes of such a text; None where it is plain, as older versions wrote it."""
    if not stored.startswith(_MARK):
        return None
    try:
        both = base64.b64decode(stored[len(_MARK) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return both if len(both) >= NONCE_BYTES + 16 else None


def open_text(key: AESGCM | None, both: bytes, place: str) -> str:
    """The inverse of `seal_text`, from what `sealed_text` gives.

    Raises:
        Shut: there is no key, or it is not what was written, or not in its place.
    """
    plain = _opened(key, both[:NONCE_BYTES], both[NONCE_BYTES:], place.encode())
    return plain.decode("utf-8", "surrogatepass")


def rewrapped(holder: KeyHolder, row: Any) -> dict[str, Any]:
    """What changes in a row of `subjects` when the active master key wraps it."""
    raw = holder.unwrap(row.master, row.wrapped, row.id.encode())
    master, wrapped = holder.wrap(raw, row.id.encode())
    return {"wrapped": wrapped, "master": master}


def is_index(subject: str) -> bool:
    """Whether this subject is nobody, but the key of the others' ids."""
    return subject == _INDEX


def _subject_row(
    holder: KeyHolder, subject: str, raw: bytes, tenant: str, now: datetime
) -> dict[str, Any]:
    master, wrapped = holder.wrap(raw, subject.encode())
    row = {"id": subject, "tenant": tenant, "wrapped": wrapped, "master": master}
    return {**row, "created": now}


def _place(name: str, data: Any, subject: Any) -> tuple[str, Any]:
    """By which a data key is kept: the exact bytes that it came from."""
    return name, (data, subject)


def _row(piece: Piece, key: AESGCM) -> dict[str, Any]:
    nonce = os.urandom(NONCE_BYTES)
    content = key.encrypt(nonce, piece.salt + piece.content, piece.aad)
    row = {"sequence": piece.sequence, "kind": piece.kind, "salt": b""}
    return {**row, "content": content, "nonce": nonce}


def _opened(key: AESGCM | None, nonce: Any, content: Any, aad: bytes) -> bytes:
    if key is None:
        raise Shut
    try:
        return key.decrypt(nonce, content, aad)
    except (InvalidTag, ValueError, TypeError) as error:  # SQLite lets any type stand
        raise Shut from error


def _aad(sequence: int, kind: str) -> bytes:
    return f"{sequence}/{kind}".encode()


def _lookup() -> sa.CompoundSelect[Any, Any, Any, Any, Any]:
    """Data keys with their subjects' keys, and more subjects, in one question."""
    data, subject = DATA_KEYS.c, SUBJECTS.c
    both = sa.outerjoin(DATA_KEYS, SUBJECTS, data.subject == subject.id)
    key = (subject.id, subject.wrapped, subject.master)
    of_names = sa.select(data.response_id.label("name"), data.wrapped.label("data"), *key)
    nobody = (sa.cast(sa.null(), sa.String(40)), sa.cast(sa.null(), sa.LargeBinary))
    names: sa.BindParameter[str] = sa.bindparam("names", expanding=True)
    subjects: sa.BindParameter[str] = sa.bindparam("subjects", expanding=True)
    return sa.union_all(
        of_names.select_from(both).where(data.response_id.in_(names)),
        sa.select(*nobody, *key).where(subject.id.in_(subjects)),
    )


# Made once: every commit asks and inserts.
_LOOKUP = _lookup()
_INSERT_SUBJECTS, _INSERT_KEYS = sa.insert(SUBJECTS), sa.insert(DATA_KEYS)
