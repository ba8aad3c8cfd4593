"""Cut points of ranks, as they were at their last refresh."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.derived.cut_points import CutPoints, decode
from service.store.tables import rank_cuts, traits


async def read(connection: AsyncConnection) -> dict[str, CutPoints]:
    """By trait, those that belong to the rank as it is defined now."""
    query = select(rank_cuts.c.trait, rank_cuts.c.cuts).join(
        traits,
        (traits.c.name == rank_cuts.c.trait)
        & (traits.c.definition["rank"] == rank_cuts.c.definition),
    )
    return {row.trait: decode(row.cuts) for row in await connection.execute(query)}


async def write(
    connection: AsyncConnection,
    trait: str,
    definition: Mapping[str, Any],
    at: datetime,
    cuts: bytes,
) -> None:
    """Replace a rank's cut points by those of a refresh."""
    row = {"trait": trait, "definition": dict(definition), "version": 1, "as_of": at, "cuts": cuts}
    statement = upsert(rank_cuts).values(row)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[rank_cuts.c.trait],
            set_={
                "definition": statement.excluded.definition,
                "version": rank_cuts.c.version + 1,
                "as_of": statement.excluded.as_of,
                "cuts": statement.excluded.cuts,
            },
        )
    )


async def forget(connection: AsyncConnection, names: Iterable[str]) -> None:
    """Remove the cut points of traits that are no ranks any more."""
    await connection.execute(delete(rank_cuts).where(rank_cuts.c.trait == func.any(list(names))))


async def oldest(connection: AsyncConnection) -> datetime | None:
    """When the rank that was refreshed longest ago was; None: there is none."""
    found: datetime | None = (
        await connection.execute(select(func.min(rank_cuts.c.as_of)))
    ).scalar_one()
    return found
