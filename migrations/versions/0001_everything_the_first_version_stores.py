"""Everything the first version stores

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalog_head",
        sa.Column("id", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id", name=op.f("catalog_head_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("catalog_head_pkey")),
    )
    op.create_table(
        "catalog_revisions",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column(
            "keys",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("revision", name=op.f("catalog_revisions_pkey")),
    )
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), server_default=sa.text("'person'"), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "traits",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("trait_times", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("membership", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("catalog_revision", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("customers_pkey")),
        postgresql_with={"fillfactor": "70", "toast_tuple_target": "8160"},
    )
    op.create_index(
        op.f("customers_due_at_idx"),
        "customers",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at is not null"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('queued', 'running', 'done', 'failed')", name=op.f("jobs_status_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_table(
        "memberships",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("segment_key", sa.Text(collation="C"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "segment_key", name=op.f("memberships_pkey")),
    )
    op.create_index(
        op.f("memberships_segment_key_customer_id_idx"),
        "memberships",
        ["segment_key", "customer_id"],
        unique=False,
    )
    op.create_table(
        "models",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("manifest", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('candidate', 'active', 'retired')", name=op.f("models_status_check")
        ),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("models_pkey")),
    )
    op.create_index(
        "models_one_active_idx",
        "models",
        ["name"],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "segments",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("summary", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('rule', 'model', 'list')", name=op.f("segments_kind_check")),
        sa.CheckConstraint(
            "status in ('draft', 'active', 'archived')", name=op.f("segments_status_check")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("segments_pkey")),
    )
    op.create_table(
        "trait_history",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
    )
    op.create_index(
        op.f("trait_history_customer_id_at_idx"),
        "trait_history",
        ["customer_id", "at"],
        unique=False,
    )
    op.create_table(
        "traits",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("traits_pkey")),
    )
    op.create_table(
        "transitions",
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("segment_key", sa.Text(collation="C"), nullable=False),
        sa.Column("entered", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "sequence", name=op.f("transitions_pkey")),
    )
    op.create_index(
        op.f("transitions_segment_key_at_idx"), "transitions", ["segment_key", "at"], unique=False
    )
    op.create_table(
        "workspace",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("workspace_pkey")),
    )
    op.create_table(
        "list_members",
        sa.Column("segment_key", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["segment_key"],
            ["segments.key"],
            name=op.f("list_members_segment_key_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("segment_key", "customer_id", name=op.f("list_members_pkey")),
    )
    op.create_index(
        op.f("list_members_customer_id_idx"), "list_members", ["customer_id"], unique=False
    )
    op.create_table(
        "segment_metrics",
        sa.Column("segment_key", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["segment_key"],
            ["segments.key"],
            name=op.f("segment_metrics_segment_key_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("segment_key", name=op.f("segment_metrics_pkey")),
    )
    op.create_table(
        "segment_versions",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key"], ["segments.key"], name=op.f("segment_versions_key_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", "version", name=op.f("segment_versions_pkey")),
    )
    # Traits are callers' text: one that is no instant must not end a query over all customers.
    op.execute("""
        create function instant_of(value text) returns timestamptz
        language plpgsql immutable strict parallel safe as $$
        begin
          return value::timestamptz;
        exception when others then
          return null;
        end $$
    """)
    # One row, locked by whoever publishes.
    op.execute("insert into catalog_head (id, revision) values (true, 0)")


def downgrade() -> None:
    op.execute("drop function instant_of(text)")
    op.drop_table("segment_versions")
    op.drop_table("segment_metrics")
    op.drop_index(op.f("list_members_customer_id_idx"), table_name="list_members")
    op.drop_table("list_members")
    op.drop_table("workspace")
    op.drop_index(op.f("transitions_segment_key_at_idx"), table_name="transitions")
    op.drop_table("transitions")
    op.drop_table("traits")
    op.drop_index(op.f("trait_history_customer_id_at_idx"), table_name="trait_history")
    op.drop_table("trait_history")
    op.drop_table("segments")
    op.drop_index(
        "models_one_active_idx", table_name="models", postgresql_where=sa.text("status = 'active'")
    )
    op.drop_table("models")
    op.drop_index(op.f("memberships_segment_key_customer_id_idx"), table_name="memberships")
    op.drop_table("memberships")
    op.drop_table("jobs")
    op.drop_index(
        op.f("customers_due_at_idx"),
        table_name="customers",
        postgresql_where=sa.text("due_at is not null"),
    )
    op.drop_table("customers")
    op.drop_table("catalog_revisions")
    op.drop_table("catalog_head")
