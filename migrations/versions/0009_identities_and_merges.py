"""Identities, who they belong to, and what came with each id of a person

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "identities",
        _id("customer_id"),
        _id("kind"),
        _id("value"),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("identities_pkey")),
        sa.UniqueConstraint("kind", "value", name=op.f("identities_kind_value_key")),
    )
    op.create_table(
        "claims",
        _id("customer_id"),
        _id("claimant"),
        sa.Column("kind", sa.Text(), nullable=False),
        _instant("at"),
        _id("message_id"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        _instant("undone_at", nullable=True),
        sa.CheckConstraint("kind in ('claim', 'merge')", name=op.f("claims_kind_check")),
        sa.PrimaryKeyConstraint("customer_id", "claimant", "kind", name=op.f("claims_pkey")),
    )
    op.create_index(op.f("claims_claimant_idx"), "claims", ["claimant"])
    op.create_table(
        "links",
        _id("customer_id"),
        _id("person"),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("links_pkey")),
    )
    op.create_index(op.f("links_person_idx"), "links", ["person"])
    op.create_table(
        "fragments",
        _id("customer_id"),
        sa.Column("type", sa.Text(), nullable=False),
        _instant("first_seen"),
        _instant("last_seen"),
        sa.Column("traits", postgresql.JSONB(), nullable=False),
        sa.Column("trait_times", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("fragments_pkey")),
    )
    op.add_column(
        "customers",
        sa.Column("fragmented", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    flags = " or ".join(
        f"coalesce(traits -> '{flag}' = 'true'::jsonb, false)"
        for flag in ("is_test", "is_staff", "is_bot")
    )
    op.add_column(
        "customers",
        sa.Column("excluded", sa.Boolean(), sa.Computed(flags, persisted=True), nullable=False),
    )
    op.create_index(
        op.f("customers_excluded_idx"), "customers", ["excluded"], postgresql_where="excluded"
    )
    op.add_column("orders", sa.Column("owner", sa.Text(collation="C"), nullable=True))
    op.execute("update orders set owner = customer_id")
    # 244 random bits: identities' customer ids are hashes that nobody can try addresses against.
    op.execute("""
        insert into workspace (name, value)
        select 'identity_salt', to_jsonb(gen_random_uuid()::text || gen_random_uuid()::text)
        on conflict do nothing""")


def downgrade() -> None:
    op.execute("delete from workspace where name = 'identity_salt'")
    op.drop_column("orders", "owner")
    op.drop_column("customers", "excluded")
    op.drop_column("customers", "fragmented")
    for table in ("fragments", "links", "claims", "identities"):
        op.drop_table(table)
