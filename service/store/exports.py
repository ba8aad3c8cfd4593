"""Reading a segment's members, or all customers, whole and of one instant, a batch at a time."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.decisions import Membership, State
from service.core.instants import from_datetime

AT_ONCE = 5_000

_CUSTOMERS = text(
    "select customer_id, type, first_seen, last_seen, traits::text, membership "
    "from customers order by customer_id"
)

_MEMBERS = """select customer_id, since, version from memberships
  where segment_key = $1 and customer_id > $2 order by customer_id limit $3"""

_decode = msgspec.json.decode
_memberships = msgspec.json.Decoder(dict[str, Membership])

MemberRow = tuple[str, datetime, int]


async def at_one_instant(connection: AsyncConnection) -> None:
    """Have everything that this connection reads be as it was when the first was read."""
    await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


async def members(
    connection: AsyncConnection, key: str, *, after: str | None = None, limit: int | None = None
) -> AsyncIterator[list[MemberRow]]:
    """Members by id in batches, as they all were when the first was read: id, since, the
    definition's version that let them in. `connection`: a fresh one, nobody else's meanwhile."""
    # Plain asyncpg: a row costs a fifth of what it does through the engine.
    raw: Any = (await connection.get_raw_connection()).driver_connection
    async with raw.transaction(isolation="repeatable_read", readonly=True):
        cursor = await raw.cursor(_MEMBERS, key, after or "", limit)
        while rows := await cursor.fetch(AT_ONCE):
            yield rows


async def customers(connection: AsyncConnection) -> AsyncIterator[list[State]]:
    """All customers by id in batches, read as they are asked for; without the times of their traits
    and without lists."""
    async with connection.stream(_CUSTOMERS) as result:
        async for rows in result.partitions(AT_ONCE):
            yield [
                State(
                    customer_id=customer_id,
                    first_seen=from_datetime(first_seen),
                    last_seen=from_datetime(last_seen),
                    type=kind,
                    traits=_decode(traits),
                    memberships=_memberships.decode(membership),
                )
                for customer_id, kind, first_seen, last_seen, traits, membership in rows
            ]


async def count(connection: AsyncConnection) -> int:
    """How many customers there are."""
    found: int = (await connection.execute(text("select count(*) from customers"))).scalar_one()
    return found
