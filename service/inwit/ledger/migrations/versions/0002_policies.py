"""Several policies for each API key, and the texts of the policies in force."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a key list policies (what it has is a list of one), and make the table of texts."""
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column(
            "policy",
            new_column_name="policies",
            type_=sa.Text(),
            existing_type=sa.String(64),
            existing_nullable=False,
        )
    op.create_table(
        "policies",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("first_in_force", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )


def downgrade() -> None:
    """Leave each key its default policy alone, and remove the texts."""
    op.drop_table("policies")
    keys = sa.table("api_keys", sa.column("id"), sa.column("policies"))
    connection = op.get_bind()
    for key_id, policies in connection.execute(sa.select(keys.c.id, keys.c.policies)).all():
        default = policies.split(",")[0]
        change = sa.update(keys).where(keys.c.id == key_id).values(policies=default)
        connection.execute(change)
    with op.batch_alter_table("api_keys") as batch:
        batch.alter_column(
            "policies",
            new_column_name="policy",
            type_=sa.String(64),
            existing_type=sa.Text(),
            existing_nullable=False,
        )
