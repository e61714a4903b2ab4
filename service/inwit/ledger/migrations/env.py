"""Alembic's entry point. Inwit hands it an open connection inside a transaction."""

from alembic import context

from inwit.ledger.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()
