"""The tables of definitions, and of what the service works with, as SQLAlchemy Core; those of
customers are in `customer_tables`. Migrations must equal them (a test compares)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)

# Ids compare bytewise: one order for locks, cursors and clients, whatever the database's locale.
Id = Text(collation="C")
Instant = DateTime(timezone=True)

catalog_head = Table(
    "catalog_head",
    metadata,
    # One row. The publisher locks it, so revisions are handed out one at a time.
    Column("id", Boolean, primary_key=True, server_default=text("true")),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id", name="one_row"),
)

catalog_revisions = Table(
    "catalog_revisions",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("published_at", Instant, nullable=False),
    # What made it: definition, list or model. It becomes the reason of the transitions it causes.
    Column("cause", Text, nullable=False),
    Column("keys", JSONB, nullable=False, server_default=text("'[]'")),
    # Whom to tell of the transitions that this revision causes: none, those who are new in the
    # segments of `keys`, or all who are in them. Messages of later transitions do not ask it.
    Column("notify", Text, nullable=False, server_default=text("'none'")),
    CheckConstraint("notify in ('none', 'new', 'all')", name="notify"),
)

segments = Table(
    "segments",
    metadata,
    Column("key", Id, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # The definition as it was given, normalised; the wire's shape without key and status.
    Column("definition", JSONB, nullable=False),
    Column("summary", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # The definition's, where the service looks for what has expired.
    Column("expires_at", Instant),
    CheckConstraint("status in ('draft', 'active', 'archived')", name="status"),
    CheckConstraint("kind in ('rule', 'model', 'list')", name="kind"),
    Index(
        None,
        "expires_at",
        postgresql_where=text("expires_at is not null and status <> 'archived'"),
    ),
)

segment_versions = Table(
    "segment_versions",
    metadata,
    Column("key", Id, ForeignKey("segments.key", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    # What the condition was in English when it was saved; empty where nobody kept it.
    Column("summary", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    # Who saved it and the reason they gave; null where nobody asked.
    Column("author", Text),
    Column("reason", Text),
)

list_members = Table(
    "list_members",
    metadata,
    Column("segment_key", Id, ForeignKey("segments.key", ondelete="CASCADE"), primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Index(None, "customer_id"),
)

traits = Table(
    "traits",
    metadata,
    # Declared types and dimensions of traits.
    Column("name", Id, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("name", Id, primary_key=True),
    Column("version", Id, primary_key=True),
    Column("status", Text, nullable=False),
    # SHA-256 of the manifest, which holds the digests of the bundle's other files.
    Column("digest", Text, nullable=False),
    Column("manifest", JSONB, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("activated_at", Instant),
    CheckConstraint("status in ('candidate', 'active', 'retired')", name="status"),
    Index("models_one_active_idx", "name", unique=True, postgresql_where=text("status = 'active'")),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("total", BigInteger),
    Column("error", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    # A running job's process renews this; a lapsed lease lets another take over.
    Column("leased_until", Instant),
    CheckConstraint("status in ('queued', 'running', 'done', 'failed')", name="status"),
)

segment_metrics = Table(
    "segment_metrics",
    metadata,
    # The latest snapshot of each segment.
    Column("segment_key", Id, ForeignKey("segments.key", ondelete="CASCADE"), primary_key=True),
    Column("as_of", Instant, nullable=False),
    Column("metrics", JSONB, nullable=False),
)

workspace = Table(
    "workspace",
    metadata,
    # Facts about this installation, such as whether the demo was loaded or removed.
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
)

keys = Table(
    "keys",
    metadata,
    # Public: it names the key in lists, logs and the audit.
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256 of the whole key; the key itself is shown once and kept nowhere.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scopes", JSONB, nullable=False),
    # Requests a minute; null: as many as there are.
    Column("rate_limit", Integer),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)

audit = Table(
    "audit",
    metadata,
    # Appended to in the transaction of the change that it tells of.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", Instant, nullable=False),
    # The name of the key, or of the way past keys; the key's id where there is one.
    Column("author", Text, nullable=False),
    Column("key_id", Text),
    Column("action", Text, nullable=False),
    # What was changed: segments/vip, traits/age, keys/k_1, customers (never whose).
    Column("subject", Text, nullable=False),
    # {member: {"before": ..., "after": ...}}
    Column("difference", JSONB, nullable=False, server_default=text("'{}'")),
    Column("reason", Text),
    Index(None, "subject", "id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    # Answers of creating POSTs, given again to whoever repeats one. Kept for a day.
    Column("author", Text, primary_key=True),
    Column("key", Id, primary_key=True),
    # SHA-256 of method, path and body: the same key for another request is refused.
    Column("request", LargeBinary, nullable=False),
    # null: the first one is still at it.
    Column("status", Integer),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Index(None, "created_at"),
)

erasures = Table(
    "erasures",
    metadata,
    # Keyed hash of an erased identity: late data is recognised, nobody can be found by it.
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("erased_at", Instant, nullable=False),
    # What came for this identity afterwards and was dropped.
    Column("dropped", BigInteger, nullable=False, server_default=text("0")),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    # The shop that its orders belong to; null: none is told.
    Column("store", Text),
    # SHA-256 of the write key, which is shown once and kept nowhere.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("enabled", Boolean, nullable=False),
    # Events a minute; null: as many as there are.
    Column("rate_limit", Integer),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("type in ('browser', 'server')", name="type"),
)

rejects = Table(
    "rejects",
    metadata,
    # What sources sent and was not taken: the newest of each.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id", ondelete="CASCADE"), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("pointer", Text, nullable=False),
    Column("message_id", Text),
    # Whose message it is, as far as it tells: it is erased with them.
    Column("customer_id", Id),
    # The message as it came, cut; null where it must not be kept.
    Column("message", Text),
    Index(None, "source_id", "id"),
    Index(None, "customer_id"),
)

rates = Table(
    "rates",
    metadata,
    # What one unit of a currency was worth in the base currency, from a day on.
    Column("currency", Id, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("rate", Numeric, nullable=False),
)

rank_cuts = Table(
    "rank_cuts",
    metadata,
    Column("trait", Id, primary_key=True),
    # The rank as it was defined when these were made: another definition has others.
    Column("definition", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("as_of", Instant, nullable=False),
    # `service.core.derived.cut_points`
    Column("cuts", LargeBinary, nullable=False),
)

trait_coverage = Table(
    "trait_coverage",
    metadata,
    # As of the last count, of which `workspace` tells; a name may be a dotted path.
    Column("name", Id, primary_key=True),
    # Of the customers who were looked at, how many have it, and {type: how many}.
    Column("customers", BigInteger, nullable=False),
    Column("types", JSONB, nullable=False),
    # [[value, how many], ...]: none that tells of few.
    Column("top", JSONB, nullable=False),
)
