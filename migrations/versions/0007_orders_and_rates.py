"""Orders as entities, and the rates they are converted with

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("store", sa.Text(collation="C"), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("facts", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("net", sa.Numeric(), nullable=True),
        sa.Column("gross", sa.Numeric(), nullable=True),
        sa.Column("discount", sa.Numeric(), nullable=True),
        sa.Column("refunded", sa.Numeric(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("rates", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pending", sa.Text(), nullable=True),
        sa.Column("lacks", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("pending in ('no_order', 'no_rate')", name=op.f("orders_pending_check")),
        sa.PrimaryKeyConstraint("store", "order_id", name=op.f("orders_pkey")),
    )
    op.create_index(
        op.f("orders_customer_id_placed_at_idx"), "orders", ["customer_id", "placed_at"]
    )
    op.create_index(
        op.f("orders_lacks_idx"),
        "orders",
        ["lacks"],
        postgresql_where=sa.text("lacks is not null"),
    )
    op.create_table(
        "rates",
        sa.Column("currency", sa.Text(collation="C"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rate", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint("currency", "day", name=op.f("rates_pkey")),
    )


def downgrade() -> None:
    op.drop_table("rates")
    op.drop_table("orders")
