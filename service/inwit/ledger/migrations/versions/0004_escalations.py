"""Escalations: cases, slots, rulings, reviewers, and answers on their way to callers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_escalations()
    _make_slots()
    _make_rulings()
    _make_exclusions()
    _make_edits()
    _make_reviewers()
    _make_exposures()
    _make_deliveries()
    _callbacks_of_keys()


def _make_escalations() -> None:
    op.create_table(
        "escalations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("response_id", sa.String(40), nullable=False),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("policy_version", sa.String(64), nullable=False),
        sa.Column("policy_digest", sa.String(64), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("required", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stuck", sa.Boolean(), nullable=False),
        sa.Column("expected", sa.String(16), nullable=True),
        sa.Column("claim_within_s", sa.Integer(), nullable=False),
        sa.Column("rule_within_s", sa.Integer(), nullable=False),
        sa.Column("on_expiry", sa.String(16), nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_first", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waits_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settles", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("indexed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sequence"], ["entries.sequence"], name=op.f("fk_escalations_sequence_entries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_escalations")),
    )
    with op.batch_alter_table("escalations") as batch_op:
        batch_op.create_index(batch_op.f("ix_escalations_response_id"), ["response_id"])
    queued = "closed IS NULL AND expected IS NULL"
    behind = "indexed < version AND expected IS NULL"
    _make_partial_index("ix_escalations_closed", ["closed"], "closed IS NOT NULL")
    _make_partial_index("ix_escalations_due", ["due"], "closed IS NULL")
    _make_partial_index("ix_escalations_settles", ["settles"], "settles IS NOT NULL")
    _make_partial_index("ix_escalations_queued", ["tenant", "id"], queued)
    _make_partial_index("ix_escalations_opened", ["opened", "id"], queued)
    _make_partial_index("ix_escalations_lanes", ["stuck", "state", "tier"], queued)
    _make_partial_index("ix_escalations_unindexed", ["id"], behind)


def _make_partial_index(name: str, columns: list[str], where: str) -> None:
    rows = sa.text(where)
    op.create_index(name, "escalations", columns, sqlite_where=rows, postgresql_where=rows)


def _make_slots() -> None:
    op.create_table(
        "slots",
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(40), nullable=True),
        sa.Column("lease_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expirations", sa.Integer(), nullable=False),
        sa.Column("ruled", sa.Boolean(), nullable=False),
        sa.Column("first_verdict", sa.String(16), nullable=True),
        sa.Column("shown", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(
            ["escalation_id"], ["escalations.id"], name=op.f("fk_slots_escalation_id_escalations")
        ),
        sa.PrimaryKeyConstraint("escalation_id", "number", name=op.f("pk_slots")),
    )
    with op.batch_alter_table("slots") as batch_op:
        batch_op.create_index(batch_op.f("ix_slots_lease_until"), ["lease_until"])


def _make_rulings() -> None:
    op.create_table(
        "rulings",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Integer(), nullable=True),
        sa.Column("reviewer", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("clause", sa.String(64), nullable=True),
        sa.Column("first_verdict", sa.String(16), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("takes_effect", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["escalation_id"], ["escalations.id"], name=op.f("fk_rulings_escalation_id_escalations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulings")),
        sa.UniqueConstraint("escalation_id", "slot", "counts", name="uq_rulings_counts"),
        sa.UniqueConstraint("request_id", name=op.f("uq_rulings_request_id")),
    )
    with op.batch_alter_table("rulings") as batch_op:
        batch_op.create_index("ix_rulings_reviewer", ["reviewer", "time"])
        batch_op.create_index("ix_rulings_time", ["time", "id"])


def _make_exclusions() -> None:
    op.create_table(
        "exclusions",
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("reviewer", sa.String(40), nullable=False),
        sa.Column("why", sa.String(24), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["escalation_id"],
            ["escalations.id"],
            name=op.f("fk_exclusions_escalation_id_escalations"),
        ),
        sa.PrimaryKeyConstraint("escalation_id", "reviewer", name=op.f("pk_exclusions")),
    )


def _make_edits() -> None:
    op.create_table(
        "edits",
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("reviewer", sa.String(40), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("saved", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_digest", sa.String(64), nullable=True),
        sa.Column("judged_text", sa.Text(), nullable=True),
        sa.Column("judged_review", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["escalation_id"], ["escalations.id"], name=op.f("fk_edits_escalation_id_escalations")
        ),
        sa.PrimaryKeyConstraint("escalation_id", "reviewer", name=op.f("pk_edits")),
    )


def _make_reviewers() -> None:
    op.create_table(
        "reviewers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.String(255), nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("tenants", sa.Text(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("languages", sa.Text(), nullable=False),
        sa.Column("clearance", sa.String(16), nullable=False),
        sa.Column("opted_out", sa.Text(), nullable=False),
        sa.Column("preferences", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviewers")),
        sa.UniqueConstraint("issuer", "subject", name="uq_reviewers_issuer"),
        sa.UniqueConstraint("name", name=op.f("uq_reviewers_name")),
    )


def _make_exposures() -> None:
    op.create_table(
        "exposures",
        sa.Column("reviewer", sa.String(40), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("parts", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("reviewer", "day", "escalation_id", name=op.f("pk_exposures")),
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("escalation_id", sa.String(40), nullable=False),
        sa.Column("response_id", sa.String(40), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(32), nullable=True),
        sa.Column("owned_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_result", sa.String(64), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.create_index("ix_deliveries_due", ["state", "due", "host"])
        batch_op.create_index(batch_op.f("ix_deliveries_escalation_id"), ["escalation_id"])


def _callbacks_of_keys() -> None:
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.add_column(
            sa.Column("callback_hosts", sa.Text(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("callback_secret", sa.String(64), nullable=True))


def downgrade() -> None:
    """Remove them: what people ruled stays in the entries."""
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_column("callback_secret")
        batch.drop_column("callback_hosts")
    op.drop_table("deliveries")
    op.drop_table("exposures")
    op.drop_table("reviewers")
    op.drop_table("edits")
    op.drop_table("exclusions")
    op.drop_table("rulings")
    op.drop_table("slots")
    op.drop_table("escalations")
