"""Named queries on one stored customer, beside the hot statements of `states`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.customer_tables import customers, events, orders, trait_history, transitions
from service.store.tables import list_members, metadata

# Rows that are read at once where there may be many.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A stored transition."""

    sequence: int
    segment: str
    entered: bool
    version: int
    at: datetime
    reason: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A value that a trait took at an instant; None: it was removed."""

    path: str
    value: Any
    at: datetime
    message_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it was told."""

    name: str
    at: datetime
    source: str
    message_id: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order: all that was told of it, and what it comes to in the base currency (None: it is
    not known)."""

    store: str
    order_id: str
    placed_at: datetime | None
    cancelled_at: datetime | None
    net: Decimal | None
    gross: Decimal | None
    facts: dict[str, Any]


_TRANSITION = (
    transitions.c.sequence,
    transitions.c.segment_key,
    transitions.c.entered,
    transitions.c.version,
    transitions.c.at,
    transitions.c.reason,
)


async def transitions_of(
    connection: AsyncConnection, customer_id: str, before: int | None, limit: int
) -> list[TransitionRow]:
    """A customer's transitions, the newest first, those with a sequence below `before`."""
    query = (
        select(*_TRANSITION)
        .where(transitions.c.customer_id == customer_id)
        .order_by(transitions.c.sequence.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(transitions.c.sequence < before)
    return [TransitionRow(*row) for row in await connection.execute(query)]


# Wherever something of a customer is kept: none can be forgotten.
_OF_CUSTOMERS = [
    table for table in metadata.sorted_tables if "customer_id" in table.c and table is not customers
]


async def hold(connection: AsyncConnection, customer_id: str, at: datetime) -> bool:
    """Lock a customer's row as the writer does; whether there was one.

    A row is put where there is none, so that whoever is inserting this customer at the moment, in
    any process, has ended before, or waits until our transaction has.
    """
    row = {"customer_id": customer_id, "first_seen": at, "last_seen": at}
    held = select(customers.c.customer_id).where(customers.c.customer_id == customer_id)
    while True:
        put = await connection.execute(upsert(customers).values(row).on_conflict_do_nothing())
        # The row that was in the way may go while we wait for it.
        if (await connection.execute(held.with_for_update())).one_or_none() is not None:
            return put.rowcount == 0


async def erase(connection: AsyncConnection, customer_id: str) -> bool:
    """Remove everything about a customer whose row is held, after `lists.forget`; whether there
    was more than the row."""
    await connection.execute(delete(customers).where(customers.c.customer_id == customer_id))
    removed = 0
    for table in _OF_CUSTOMERS:
        gone = await connection.execute(delete(table).where(table.c.customer_id == customer_id))
        removed += gone.rowcount
    return removed > 0


async def erase_many(connection: AsyncConnection, customer_ids: Sequence[str]) -> None:
    """Remove everything about many customers."""
    ids = func.any(list(customer_ids))
    for table in (customers, *_OF_CUSTOMERS):
        await connection.execute(delete(table).where(table.c.customer_id == ids))


async def history(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[HistoryRow]]:
    """All values that traits ever took under these ids, the oldest first, some at a time."""
    columns = (getattr(trait_history.c, field.name) for field in fields(HistoryRow))
    query = (
        select(*columns)
        .where(trait_history.c.customer_id == func.any(list(customer_ids)))
        .order_by(trait_history.c.at)
    )
    async for rows in (await connection.stream(query)).partitions(AT_ONCE):
        yield [HistoryRow(*row) for row in rows]


async def all_transitions(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[TransitionRow]]:
    """All transitions told under these ids, the oldest first, some at a time."""
    query = (
        select(*_TRANSITION)
        .where(transitions.c.customer_id == func.any(list(customer_ids)))
        .order_by(transitions.c.at, transitions.c.customer_id, transitions.c.sequence)
    )
    async for rows in (await connection.stream(query)).partitions(AT_ONCE):
        yield [TransitionRow(*row) for row in rows]


async def all_events(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[EventRow]]:
    """All events that came with these ids, the oldest first, some at a time."""
    columns = (getattr(events.c, field.name) for field in fields(EventRow))
    query = (
        select(*columns)
        .where(events.c.customer_id == func.any(list(customer_ids)))
        .order_by(events.c.at)
    )
    async for rows in (await connection.stream(query)).partitions(AT_ONCE):
        yield [EventRow(*row) for row in rows]


async def all_orders(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[OrderRow]]:
    """All orders of these ids, the oldest first, some at a time."""
    columns = (getattr(orders.c, field.name) for field in fields(OrderRow))
    query = (
        select(*columns)
        .where(orders.c.customer_id == func.any(list(customer_ids)))
        .order_by(orders.c.placed_at)
    )
    async for rows in (await connection.stream(query)).partitions(AT_ONCE):
        yield [OrderRow(*row) for row in rows]


async def all_lists(connection: AsyncConnection, customer_ids: Sequence[str]) -> list[str]:
    """Keys of all lists that any of these ids is on, those archived too."""
    query = (
        select(list_members.c.segment_key)
        .distinct()
        .where(list_members.c.customer_id == func.any(list(customer_ids)))
        .order_by(list_members.c.segment_key)
    )
    return list((await connection.execute(query)).scalars())


async def without(connection: AsyncConnection, path: Sequence[str]) -> tuple[int, int]:
    """How many customers have no value at a trait's path, and how many customers there are."""
    value = customers.c.traits[tuple(path)].astext
    query = (
        select(func.count().filter(value.is_(None)), func.count())
        .select_from(customers)
        .where(~customers.c.excluded)
    )
    missing, total = (await connection.execute(query)).one()
    return int(missing), int(total)
