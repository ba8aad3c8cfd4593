"""Named queries on registered models."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import models


async def versions(connection: AsyncConnection, name: str) -> list[str]:
    """Versions of a model that are registered."""
    query = select(models.c.version).where(models.c.name == name)
    return [row.version for row in await connection.execute(query)]


async def register(
    connection: AsyncConnection,
    name: str,
    version: str,
    digest: str,
    manifest: dict[str, Any],
    at: datetime,
) -> None:
    """Register a bundle by its digest, the one that counts, and make it the active version."""
    await connection.execute(
        update(models)
        .where(models.c.name == name, models.c.status == "active")
        .values(status="retired")
    )
    values = {
        "status": "active",
        "digest": digest,
        "manifest": manifest,
        "activated_at": at,
    }
    statement = upsert(models).values(name=name, version=version, created_at=at, **values)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[models.c.name, models.c.version], set_=values
        )
    )


async def remove(connection: AsyncConnection, name: str) -> None:
    """Forget all versions of a model."""
    await connection.execute(delete(models).where(models.c.name == name))
