"""The ledger's tables. Migrations under `migrations/` make exactly these (a test compares)."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Sequence = BigInteger().with_variant(Integer, "sqlite")

# `body` holds the exact bytes that `hash` was taken over; the other columns repeat parts of it
# for look-up only. `hash` is the leaf hash of RFC 9162, so that a tree can grow over these rows.
ENTRIES = Table(
    "entries",
    METADATA,
    Column("sequence", _Sequence, primary_key=True, autoincrement=False),
    Column("id", String(40), nullable=False, unique=True),
    Column("time", DateTime(timezone=True), nullable=False, index=True),
    Column("type", String(32), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("response_id", String(40), nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
)

# Kept apart from the entries so that it can be erased without touching them. `salt` opens the
# commitment that the entry holds: HMAC-SHA256(salt, content).
CONTENTS = Table(
    "contents",
    METADATA,
    Column(
        "sequence", _Sequence, ForeignKey(ENTRIES.c.sequence), primary_key=True, autoincrement=False
    ),
    Column("kind", String(16), primary_key=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("policies", Text, nullable=False),  # names, comma-joined; the first is the default
    Column("roles", String(256), nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("revoked", DateTime(timezone=True), nullable=True),
)

# The exact text of every policy that was ever in force, by the SHA-256 that entries name it by.
POLICIES = Table(
    "policies",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("first_in_force", DateTime(timezone=True), nullable=False),
)

# Who answers the request with an idempotency key. `response_id` is set by the transaction that
# records its decision, and by nothing else.
IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("key_digest", String(64), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("response_id", String(40), nullable=True),
    Column("created", DateTime(timezone=True), nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("expires", DateTime(timezone=True), nullable=False, index=True),
)
