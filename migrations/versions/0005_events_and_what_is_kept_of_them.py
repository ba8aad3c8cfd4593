"""Events, each once, and what is kept of them beside each customer

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("message_id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("properties", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("source", "message_id", name=op.f("events_pkey")),
    )
    op.create_index(op.f("events_customer_id_at_idx"), "events", ["customer_id", "at"])
    op.create_table(
        "histories",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("timelines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("histories_pkey")),
        postgresql_with={"fillfactor": "70", "toast_tuple_target": "8160"},
    )


def downgrade() -> None:
    op.drop_table("histories")
    op.drop_index(op.f("events_customer_id_at_idx"), table_name="events")
    op.drop_table("events")
