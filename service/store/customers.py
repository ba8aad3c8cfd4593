"""Named queries on one stored customer, beside the hot statements of `states`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import customers, list_members, memberships, trait_history, transitions


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A stored transition."""

    sequence: int
    segment: str
    entered: bool
    version: int
    at: datetime
    reason: dict[str, Any]


async def exists(connection: AsyncConnection, customer_id: str) -> bool:
    """Whether there is such a customer."""
    query = select(customers.c.customer_id).where(customers.c.customer_id == customer_id)
    return (await connection.execute(query)).one_or_none() is not None


async def transitions_of(
    connection: AsyncConnection, customer_id: str, before: int | None, limit: int
) -> list[TransitionRow]:
    """A customer's transitions, the newest first, those with a sequence below `before`."""
    query = (
        select(
            transitions.c.sequence,
            transitions.c.segment_key,
            transitions.c.entered,
            transitions.c.version,
            transitions.c.at,
            transitions.c.reason,
        )
        .where(transitions.c.customer_id == customer_id)
        .order_by(transitions.c.sequence.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(transitions.c.sequence < before)
    return [TransitionRow(*row) for row in await connection.execute(query)]


async def erase(connection: AsyncConnection, customer_id: str) -> bool:
    """Remove everything about a customer; whether there was anything.

    The customer's row goes first: whoever is deciding them at this moment holds it, so nothing is
    written for them after the rest is gone.
    """
    found = await connection.execute(
        delete(customers).where(customers.c.customer_id == customer_id)
    )
    removed: int = found.rowcount
    for table in (memberships, transitions, trait_history, list_members):
        gone = await connection.execute(delete(table).where(table.c.customer_id == customer_id))
        removed += gone.rowcount
    return removed > 0


async def erase_many(connection: AsyncConnection, customer_ids: Sequence[str]) -> None:
    """Remove everything about many customers."""
    ids = func.any(list(customer_ids))
    for table in (customers, memberships, transitions, trait_history, list_members):
        await connection.execute(delete(table).where(table.c.customer_id == ids))


async def without(connection: AsyncConnection, path: Sequence[str]) -> tuple[int, int]:
    """How many customers have no value at a trait's path, and how many customers there are."""
    value = customers.c.traits[tuple(path)].astext
    query = select(func.count().filter(value.is_(None)), func.count()).select_from(customers)
    missing, total = (await connection.execute(query)).one()
    return int(missing), int(total)
