"""Named queries on declared traits."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import traits


async def get(connection: AsyncConnection, name: str) -> dict[str, Any] | None:
    """A trait's declaration."""
    query = select(traits.c.definition).where(traits.c.name == name)
    return (await connection.execute(query)).scalar_one_or_none()


async def declare(
    connection: AsyncConnection, name: str, definition: dict[str, Any], at: datetime
) -> None:
    """Insert or replace a declaration."""
    values = {"definition": definition, "updated_at": at}
    statement = upsert(traits).values(name=name, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[traits.c.name], set_=values)
    )


async def withdraw(connection: AsyncConnection, name: str) -> bool:
    """Remove a declaration; whether there was one."""
    gone = await connection.execute(delete(traits).where(traits.c.name == name))
    return bool(gone.rowcount)
