"""The tables of customers and of what is kept of them, as SQLAlchemy Core."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.core.exclusion import FLAGS
from service.store.tables import Id, Instant, metadata

EXCLUDED = " or ".join(f"coalesce(traits -> '{flag}' = 'true'::jsonb, false)" for flag in FLAGS)

customers = Table(
    "customers",
    metadata,
    Column("customer_id", Id, primary_key=True),
    Column("type", Text, nullable=False, server_default=text("'person'")),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("traits", JSONB, nullable=False, server_default=text("'{}'")),
    # What only the writer reads is JSON in plain text: the server need not parse it.
    # [[microseconds, message id or null, source, [path, ...]], ...]: when each was last set.
    Column("trait_times", Text, nullable=False, server_default=text("'[]'")),
    # {segment: [since in microseconds, version]}: the table `memberships`, as the writer needs it.
    Column("membership", Text, nullable=False, server_default=text("'{}'")),
    Column("sequence", BigInteger, nullable=False, server_default=text("0")),
    # The catalog that last decided this customer, when, and when time alone could change it.
    Column("catalog_revision", BigInteger, nullable=False, server_default=text("0")),
    Column("decided_at", Instant),
    Column("due_at", Instant),
    # Whether more ids than this one are this customer's: then `fragments` has what came with each.
    Column("fragmented", Boolean, nullable=False, server_default=text("false")),
    # Left out of all segments and figures: `service.core.exclusion.excluded`.
    Column("excluded", Boolean, Computed(EXCLUDED, persisted=True), nullable=False),
    Index(None, "excluded", postgresql_where=text("excluded")),
    Index(None, "due_at", postgresql_where=text("due_at is not null")),
    # Room on the page for the next version of a row: updates need not touch the indexes. Rows up
    # to a page stay as they are: compressing them is a third of the time of writing them.
    postgresql_with={"fillfactor": "70", "toast_tuple_target": "8160"},
)

memberships = Table(
    "memberships",
    metadata,
    # No foreign key: only the writer inserts here, with the customer's row locked, and a check
    # a row would be paid in the hottest transaction there is.
    Column("customer_id", Id, primary_key=True),
    Column("segment_key", Id, primary_key=True),
    Column("since", Instant, nullable=False),
    # The definition's version that let the customer in.
    Column("version", Integer, nullable=False),
    Index(None, "segment_key", "customer_id"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("customer_id", Id, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("segment_key", Id, nullable=False),
    Column("entered", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", JSONB, nullable=False),
    Index(None, "segment_key", "at"),
)

trait_history = Table(
    "trait_history",
    metadata,
    # Appended to and read by customer; a key of its own would only cost an index.
    Column("customer_id", Id, nullable=False),
    Column("path", Text, nullable=False),
    # null: the trait was removed.
    Column("value", JSONB),
    Column("at", Instant, nullable=False),
    Column("message_id", Text),
    Column("source", Text, nullable=False),
    Index(None, "customer_id", "at"),
)

orders = Table(
    "orders",
    metadata,
    # One row an order, whatever tells of it.
    Column("store", Id, primary_key=True),
    Column("order_id", Id, primary_key=True),
    # No foreign key: only the writer writes here, and an order may come before its customer.
    Column("customer_id", Id),
    # Whose it is as it was told: an id that is joined to the customer's, or the same.
    Column("owner", Id),
    Column("placed_at", Instant),
    # All that messages told: `service.core.order_facts.Facts`. The other columns follow from it.
    Column("facts", JSONB, nullable=False, server_default=text("'{}'")),
    # In the base currency; null: unknown.
    Column("net", Numeric),
    Column("gross", Numeric),
    Column("discount", Numeric),
    Column("refunded", Numeric),
    # What the customer paid in, and {currency: text} the rates it was converted with.
    Column("currency", Text),
    Column("rates", JSONB, nullable=False, server_default=text("'{}'")),
    # The properties of the event that aggregates read, as JSON in plain text: only the writer reads
    # it, all of a customer's at once. null: the order doesn't count.
    Column("event", Text),
    Column("cancelled_at", Instant),
    # Why it doesn't count yet, and the currency whose rate it waits for.
    Column("pending", Text),
    Column("lacks", Text),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint("pending in ('no_order', 'no_rate')", name="pending"),
    Index(None, "customer_id", "placed_at"),
    Index(None, "lacks", postgresql_where=text("lacks is not null")),
)

events = Table(
    "events",
    metadata,
    # What was told, each message of a source once.
    Column("source", Id, primary_key=True),
    Column("message_id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("properties", JSONB, nullable=False),
    Index(None, "customer_id", "at"),
)

histories = Table(
    "histories",
    metadata,
    # What derived traits need of a customer's events: timelines by their series, in MessagePack.
    # Beside the customer's row, which most requests rewrite without touching these.
    Column("customer_id", Id, primary_key=True),
    Column("timelines", LargeBinary, nullable=False),
    postgresql_with={"fillfactor": "70", "toast_tuple_target": "8160"},
)

identities = Table(
    "identities",
    metadata,
    # What somebody is known by beside the caller's id, with the customer id that it has itself.
    Column("customer_id", Id, primary_key=True),
    Column("kind", Id, nullable=False),
    Column("value", Id, nullable=False),
    UniqueConstraint("kind", "value"),
)

claims = Table(
    "claims",
    metadata,
    # `service.core.identities.Claim`: that an id is somebody's, as it was told first.
    Column("customer_id", Id, primary_key=True),
    Column("claimant", Id, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("message_id", Id, nullable=False),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    # Undone: it joins nobody, however often messages tell it again.
    Column("undone_at", Instant),
    CheckConstraint("kind in ('claim', 'merge')", name="kind"),
    Index(None, "claimant"),
)

links = Table(
    "links",
    metadata,
    # Ids that are another customer's, as all claims come to. Who is here has no row in `customers`.
    Column("customer_id", Id, primary_key=True),
    Column("person", Id, nullable=False),
    Index(None, "person"),
)

fragments = Table(
    "fragments",
    metadata,
    # What came with each id of a customer who has several: `service.core.fragments.Fragment`.
    Column("customer_id", Id, primary_key=True),
    Column("type", Text, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("traits", JSONB, nullable=False),
    Column("trait_times", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
