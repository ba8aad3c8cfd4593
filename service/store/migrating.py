"""Bringing a database's schema to the one this program knows."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations

# Two processes that start together must not both migrate: the second waits for this lock.
_LOCK = 7_305_441_821


class SchemaTooNew(RuntimeError):
    """The database was migrated by a newer program than this one."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision of the schema that this program knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101 - migrations ship with the program
    return revision


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    current = _current(connection)
    if current == head():
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"the database's schema is {current}, which this version of segserve does not know; "
            "run the newer version that made it"
        )
    command.upgrade(_config(connection), "head")


async def migrate(engine: AsyncEngine) -> None:
    """Upgrade the schema to the newest. Raises SchemaTooNew."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
        await connection.commit()
        try:
            await connection.run_sync(_upgrade)
            await connection.commit()
        finally:
            await connection.exec_driver_sql(f"select pg_advisory_unlock({_LOCK})")
            await connection.commit()


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Take the schema back to an older revision (`base`: to nothing). Data of newer tables is
    lost."""
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))
        await connection.commit()
