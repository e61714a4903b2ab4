"""Proofs and forgetting: the tree over the entries, checkpoints, keys of content, legal holds."""

import sqlalchemy as sa
from alembic import op

# Content is sealed from here on, which a gateway of before could not read.
revision = "0005_from_0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables; content that is there stays as it is, without a nonce."""
    with op.batch_alter_table("contents") as batch:
        batch.add_column(sa.Column("nonce", sa.LargeBinary(12), nullable=True))
    plain = sa.text("nonce IS NULL")
    op.create_index(
        "ix_contents_plain", "contents", ["sequence"], sqlite_where=plain, postgresql_where=plain
    )
    _make_keys()
    _make_holds()
    _make_tree()


def _make_keys() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("master", sa.String(16), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
    )
    op.create_table(
        "data_keys",
        sa.Column("response_id", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("response_id", name=op.f("pk_data_keys")),
    )
    op.create_index(op.f("ix_data_keys_subject"), "data_keys", ["subject"])


def _make_holds() -> None:
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(40), nullable=False),
        sa.Column("placed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
    )


def _make_tree() -> None:
    op.create_table(
        "nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_nodes")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "anchored",
        sa.Column("anchor", sa.String(64), nullable=False),
        sa.Column("size", _SEQUENCE, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("anchor", name=op.f("pk_anchored")),
    )


def downgrade() -> None:
    """Remove them, and content that is sealed: without its keys nobody can open it."""
    op.execute("DELETE FROM contents WHERE nonce IS NOT NULL")
    for table in ("anchored", "checkpoints", "nodes", "legal_holds", "data_keys", "subjects"):
        op.drop_table(table)
    op.drop_index("ix_contents_plain", "contents")
    with op.batch_alter_table("contents") as batch:
        batch.drop_column("nonce")
