"""Reading a segment's members, or all customers, whole and of one instant, a batch at a time."""

import math
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.decisions import Membership, State
from service.core.instants import from_datetime
from service.store.consents import reaching

AT_ONCE = 5_000
DRAWN_OF = 2**20

_CUSTOMERS = text(
    "select customer_id, type, first_seen, last_seen, traits::text, membership "
    "from customers order by customer_id"
)

# Drawn by their ids: the same ones every time, so that figures move with customers alone.
_SAMPLED = text(
    "select customer_id, type, first_seen, last_seen, traits::text, membership from customers "
    f"where hashtextextended(customer_id, 0) & {DRAWN_OF - 1} < :below order by customer_id"
)

_MEMBERS = """select customer_id, since, version from memberships{those}
  where segment_key = $1 and customer_id > $2{who} order by customer_id limit $3"""

_decode = msgspec.json.decode
_memberships = msgspec.json.Decoder(dict[str, Membership])

MemberRow = tuple[str, datetime, int]


async def at_one_instant(connection: AsyncConnection) -> None:
    """Have everything that this connection reads be as it was when the first was read."""
    await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


async def members(
    connection: AsyncConnection,
    key: str,
    *,
    after: str | None = None,
    limit: int | None = None,
    channel: str | None = None,
) -> AsyncIterator[list[MemberRow]]:
    """Members by id in batches, as they all were when the first was read: id, since, the
    definition's version that let them in; of those whom a channel reaches. `connection`: a fresh
    one, nobody else's meanwhile."""
    query = _MEMBERS.format(those="", who="")
    if channel is not None:
        those, who = " join customers using (customer_id)", f" and {reaching(channel)}"
        query = _MEMBERS.format(those=those, who=who)
    # Plain asyncpg: a row costs a fifth of what it does through the engine.
    raw: Any = (await connection.get_raw_connection()).driver_connection
    async with raw.transaction(isolation="repeatable_read", readonly=True):
        cursor = await raw.cursor(query, key, after or "", limit)
        while rows := await cursor.fetch(AT_ONCE):
            yield rows


async def customers(
    connection: AsyncConnection, share: float | None = None
) -> AsyncIterator[list[State]]:
    """All customers, or a share of them (of 1), by id in batches, read as they are asked for;
    without the times of their traits and without lists."""
    query = _CUSTOMERS
    if share is not None:
        query = _SAMPLED.bindparams(below=math.ceil(share * DRAWN_OF))
    async with connection.stream(query) as result:
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
