"""Alembic's entry: runs on the connection that `service.store.migrating` hands over."""

from alembic import context

from service.store.customer_tables import customers

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=customers.metadata,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
