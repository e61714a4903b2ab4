"""The ledger's tables. Migrations under `migrations/` make exactly these (a test compares)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
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


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of some of the rows. A query must say the same words to use it."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


# `body` holds the exact bytes that `hash` was taken over; the other columns repeat parts of it
# for look-up only. `hash` is the leaf hash of RFC 9162: the tree grows over these rows, the leaf
# of sequence 1 first. A pruned entry keeps its hash and its place; its body is empty.
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
# commitment that the entry holds: HMAC-SHA256(salt, content). `content` is sealed (AES-256-GCM)
# where there is a `nonce`, under the data key of the entry's response; `salt` stands inside then,
# in front of the content, and its column is empty.
CONTENTS = Table(
    "contents",
    METADATA,
    Column(
        "sequence", _Sequence, ForeignKey(ENTRIES.c.sequence), primary_key=True, autoincrement=False
    ),
    Column("kind", String(16), primary_key=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("nonce", LargeBinary(12), nullable=True),
    # What older versions wrote in the clear: it gets fewer, and is asked for at every erasure.
    _partial("ix_contents_plain", "sequence", where="nonce IS NULL"),
)

# Whose content it is: an end user of a tenant by a keyed digest, or the tenant's own where a
# request names none. To delete the row is to erase all that its data keys open.
SUBJECTS = Table(
    "subjects",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # its key, under the master key
    Column("master", String(16), nullable=False),  # which master key
    Column("created", DateTime(timezone=True), nullable=False),
)

# The key of one response's content, under its subject's key. No foreign key: a subject's row goes
# first when a person is erased.
DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("response_id", String(40), primary_key=True),
    Column("subject", String(64), nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),
)

# What must not be erased or pruned, for now. `value` is a response's id, a subject's, or a tenant.
HOLDS = Table(
    "legal_holds",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("value", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_by", String(40), nullable=False),
    Column("placed", DateTime(timezone=True), nullable=False),
    Column("lifted", DateTime(timezone=True), nullable=True),
)

# The tree over the entries: the hash of each full tile of the level below (tlog-tiles, height 8).
# Level 0 stands in the entries themselves.
NODES = Table(
    "nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("place", _Sequence, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
)

# What was signed, or is about to be: a row is durable before its `note` is made.
CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("size", _Sequence, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("note", Text, nullable=True),
)

# The newest checkpoint that each anchor has confirmed.
ANCHORED = Table(
    "anchored",
    METADATA,
    Column("anchor", String(64), primary_key=True),
    Column("size", _Sequence, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
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
    # Where answers to held responses may be sent, comma-joined, and what signs them.
    Column("callback_hosts", Text, nullable=False, server_default=""),
    Column("callback_secret", String(64), nullable=True),
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


_IS_QUEUED = "closed IS NULL AND expected IS NULL"  # open, and not golden

# One row for each escalation; its decision's transaction makes it. `sequence` is that entry's.
# `indexed` is the `version` that the queue in Redis was last told: what lies behind is told again.
# `closed` is NULL in the states that are open, and in no others.
ESCALATIONS = Table(
    "escalations",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("response_id", String(40), nullable=False, index=True),
    Column("sequence", _Sequence, ForeignKey(ENTRIES.c.sequence), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("policy", String(64), nullable=False),
    Column("policy_version", String(64), nullable=False),
    Column("policy_digest", String(64), nullable=False),
    Column("language", String(8), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("categories", Text, nullable=False),
    Column("tier", Integer, nullable=False),
    Column("required", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("stuck", Boolean, nullable=False),
    Column("expected", String(16), nullable=True),  # the known answer of a golden case
    Column("claim_within_s", Integer, nullable=False),
    Column("rule_within_s", Integer, nullable=False),
    Column("on_expiry", String(16), nullable=False),
    Column("opened", DateTime(timezone=True), nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("claimed_first", DateTime(timezone=True), nullable=True),
    Column("waits_until", DateTime(timezone=True), nullable=True),
    Column("settles", DateTime(timezone=True), nullable=True),  # when a ruling takes effect
    Column("closed", DateTime(timezone=True), nullable=True),
    Column("callback_url", Text, nullable=True),
    Column("version", Integer, nullable=False),
    Column("indexed", Integer, nullable=False),
    _partial("ix_escalations_closed", "closed", where="closed IS NOT NULL"),
    # Clocks, and what waits in the queue: parts of the table that do not grow with its age.
    _partial("ix_escalations_due", "due", where="closed IS NULL"),
    _partial("ix_escalations_settles", "settles", where="settles IS NOT NULL"),
    _partial("ix_escalations_queued", "tenant", "id", where=_IS_QUEUED),
    _partial("ix_escalations_opened", "opened", "id", where=_IS_QUEUED),
    _partial("ix_escalations_lanes", "stuck", "state", "tier", where=_IS_QUEUED),
    _partial("ix_escalations_unindexed", "id", where="indexed < version AND expected IS NULL"),
)

SLOTS = Table(
    "slots",
    METADATA,
    Column("escalation_id", String(40), ForeignKey(ESCALATIONS.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tier", Integer, nullable=False),
    Column("reviewer", String(40), nullable=True),
    Column("lease_hash", LargeBinary(32), nullable=True),
    Column("lease_until", DateTime(timezone=True), nullable=True, index=True),
    Column("expirations", Integer, nullable=False),
    Column("ruled", Boolean, nullable=False),
    Column("first_verdict", String(16), nullable=True),  # before scores and rewrite were shown
    Column("shown", String(64), nullable=True),  # parts that its holder was shown, comma-joined
)

# `counts` is 1, or NULL where a ruling came too late or was undone: one that counts for a slot.
RULINGS = Table(
    "rulings",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("escalation_id", String(40), ForeignKey(ESCALATIONS.c.id), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("counts", Integer, nullable=True),
    Column("reviewer", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("text", Text, nullable=True),  # what is to be released in the candidate's place
    Column("clause", String(64), nullable=True),
    Column("first_verdict", String(16), nullable=True),  # before scores and rewrite were shown
    Column("request_id", String(128), nullable=False, unique=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("takes_effect", DateTime(timezone=True), nullable=False),
    UniqueConstraint("escalation_id", "slot", "counts", name="uq_rulings_counts"),
    Index("ix_rulings_reviewer", "reviewer", "time"),
    Index("ix_rulings_time", "time", "id"),
)

# Who does not get a case (again), and why.
EXCLUSIONS = Table(
    "exclusions",
    METADATA,
    Column("escalation_id", String(40), ForeignKey(ESCALATIONS.c.id), primary_key=True),
    Column("reviewer", String(40), primary_key=True),
    Column("why", String(24), nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
)

# Texts that a reviewer is writing, or had judged: by the SHA-256 of what would leave.
EDITS = Table(
    "edits",
    METADATA,
    Column("escalation_id", String(40), ForeignKey(ESCALATIONS.c.id), primary_key=True),
    Column("reviewer", String(40), primary_key=True),
    Column("draft", Text, nullable=False),
    Column("saved", DateTime(timezone=True), nullable=False),
    Column("judged_digest", String(64), nullable=True),
    Column("judged_text", Text, nullable=True),
    Column("judged_review", Text, nullable=True),  # JSON: what the judges said of it
)

# People. `id` is the pseudonym that the ledger knows; the name stands here alone.
REVIEWERS = Table(
    "reviewers",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("password_hash", Text, nullable=True),
    Column("issuer", Text, nullable=True),
    Column("subject", String(255), nullable=True),
    Column("role", String(16), nullable=False),
    Column("tenants", Text, nullable=False),
    Column("policies", Text, nullable=False),
    Column("languages", Text, nullable=False),
    Column("clearance", String(16), nullable=False),
    Column("opted_out", Text, nullable=False),
    Column("preferences", Text, nullable=False),  # JSON
    Column("failures", Integer, nullable=False),
    Column("locked_until", DateTime(timezone=True), nullable=True),
    Column("disabled", Boolean, nullable=False),
    Column("created", DateTime(timezone=True), nullable=False),
    UniqueConstraint("issuer", "subject", name="uq_reviewers_issuer"),
)

# The cases of which a person was shown a text on a day (UTC), and the parts, comma-joined.
EXPOSURES = Table(
    "exposures",
    METADATA,
    Column("reviewer", String(40), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("escalation_id", String(40), primary_key=True),
    Column("severity", String(16), nullable=False),
    Column("parts", String(64), nullable=False),
)

# Answers on their way to callers (webhooks), from the transaction that settled the case.
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", String(40), primary_key=True),  # the webhook-id: the same in every attempt
    Column("escalation_id", String(40), nullable=False, index=True),
    Column("response_id", String(40), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),  # of the url, in small letters
    Column("state", String(16), nullable=False),  # pending, delivered, dead
    Column("attempts", Integer, nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("owner", String(32), nullable=True),
    Column("owned_until", DateTime(timezone=True), nullable=True),
    Column("last_result", String(64), nullable=True),  # a status code, or a word for what failed
    Column("created", DateTime(timezone=True), nullable=False),
    Column("done", DateTime(timezone=True), nullable=True),
    Index("ix_deliveries_due", "state", "due", "host"),
)
