"""Rows of files that were not imported are erased with whom they name

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# What was said of rows may name people, and was kept with jobs that had ended.
FORGET = """
  update jobs set detail = detail || jsonb_build_object(
    'plan', detail -> 'plan' || '{"where": [], "constants": {}}')
  where kind = 'import' and status in ('done', 'failed') and detail ? 'plan'
"""


def upgrade() -> None:
    op.create_table(
        "import_rejects",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("cells", sa.Text(), nullable=True),
        sa.Column("whose", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("import_rejects_job_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("import_rejects_pkey")),
    )
    op.create_index("import_rejects_job_id_id_idx", "import_rejects", ["job_id", "id"])
    op.create_index("import_rejects_told_at_idx", "import_rejects", ["told_at"])
    op.create_index("import_rejects_whose_idx", "import_rejects", ["whose"], postgresql_using="gin")
    op.execute(FORGET)


def downgrade() -> None:
    op.drop_table("import_rejects")
