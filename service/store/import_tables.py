"""The table of what files held that was not imported, as SQLAlchemy Core."""

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from service.store.tables import Id, Instant, metadata

import_rejects = Table(
    "import_rejects",
    metadata,
    # Rows of files, for as long as somebody may want to correct them.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("told_at", Instant, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("column", Text),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # The row itself in JSON; null where it can't be read, or must not be kept.
    Column("cells", Text),
    # All ids that it names, also those that e-mail addresses and the like stand for: it is erased
    # with any of them.
    Column("whose", ARRAY(Id), nullable=False),
    Index(None, "job_id", "id"),
    Index(None, "told_at"),
    Index(None, "whose", postgresql_using="gin"),
)
