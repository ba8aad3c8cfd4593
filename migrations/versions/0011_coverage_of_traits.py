"""How many customers have each trait, and its frequent values

Revision ID: 0011
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trait_coverage",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("customers", sa.BigInteger(), nullable=False),
        sa.Column("types", postgresql.JSONB(), nullable=False),
        sa.Column("top", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("trait_coverage_pkey")),
    )


def downgrade() -> None:
    op.drop_table("trait_coverage")
