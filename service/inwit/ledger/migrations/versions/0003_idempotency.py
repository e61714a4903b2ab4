"""Idempotency keys: which request holds one, and which response answered it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("key_digest", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("response_id", sa.String(40), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key_digest", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires", "idempotency", ["expires"])


def downgrade() -> None:
    """Remove it: a repeat is then a new request."""
    op.drop_table("idempotency")
