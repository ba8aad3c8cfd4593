"""Bringing a database's schema to the one this program knows."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where there is something to migrate: at most starts there is not, and it
# takes a good part of a start's time.
_VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"
_TABLE = text("select to_regclass('alembic_version') is not null")
_CURRENT = text("select version_num from alembic_version")

# Two processes that start together must not both migrate: the second waits for this lock.
_LOCK = 7_305_441_821


class SchemaTooNew(RuntimeError):
    """The database was migrated by a newer program than this one."""


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_VERSIONS.parent))
    config.attributes["connection"] = connection
    return config


def revisions() -> list[str]:
    """The schema's revisions that this program knows, the newest last. A migration's file is
    named `NUMBER_what_it_does.py`, and its revision is that number."""
    return sorted(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def _current(connection: Connection) -> str | None:
    if not connection.execute(_TABLE).scalar_one():
        return None
    return connection.execute(_CURRENT).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(_config(connection), "head")


async def migrate(engine: AsyncEngine) -> None:
    """Upgrade the schema to the newest. Raises SchemaTooNew."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
        await connection.commit()
        try:
            current = await connection.run_sync(_current)
            known = revisions()
            if current is not None and current not in known:
                raise SchemaTooNew(
                    f"the database's schema is {current}, which this version of segserve does "
                    "not know; run the newer version that made it"
                )
            if current != known[-1]:
                await connection.run_sync(_upgrade)
            await connection.commit()
        finally:
            await connection.exec_driver_sql(f"select pg_advisory_unlock({_LOCK})")
            await connection.commit()


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Take the schema back to an older revision (`base`: to nothing). Data of newer tables is
    lost."""
    from alembic import command

    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))
        await connection.commit()
