"""Versions tell their author, segments expire, publications say whom to notify

Revision ID: 0004
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "segment_versions",
        sa.Column("summary", sa.Text(), server_default=sa.text("''"), nullable=False),
    )
    op.add_column("segment_versions", sa.Column("author", sa.Text(), nullable=True))
    op.add_column("segment_versions", sa.Column("reason", sa.Text(), nullable=True))
    op.execute(
        "update segment_versions v set summary = s.summary from segments s "
        "where s.key = v.key and s.definition -> 'condition' "
        "is not distinct from v.definition -> 'condition'"
    )
    op.add_column("segments", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        op.f("segments_expires_at_idx"),
        "segments",
        ["expires_at"],
        postgresql_where=sa.text("expires_at is not null and status <> 'archived'"),
    )
    op.add_column(
        "catalog_revisions",
        sa.Column("notify", sa.Text(), server_default=sa.text("'none'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("catalog_revisions_notify_check"),
        "catalog_revisions",
        "notify in ('none', 'new', 'all')",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("catalog_revisions_notify_check"), "catalog_revisions")
    op.drop_column("catalog_revisions", "notify")
    op.drop_index(op.f("segments_expires_at_idx"), "segments")
    op.drop_column("segments", "expires_at")
    op.drop_column("segment_versions", "reason")
    op.drop_column("segment_versions", "author")
    op.drop_column("segment_versions", "summary")
