"""Cut points of ranks, as of their last refresh

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rank_cuts",
        sa.Column("trait", sa.Text(collation="C"), nullable=False),
        sa.Column("definition", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cuts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("trait", name=op.f("rank_cuts_pkey")),
    )


def downgrade() -> None:
    op.drop_table("rank_cuts")
