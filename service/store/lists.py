"""Lists as uploads replace them: ids are staged beside the list, then only differences written."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# What a list holds and what its segment holds, a page of ids at a time: their number is read
# whatever they agree on, so that no page takes long. An id may be one of a person who has others.
_PAGE = text("""
  with page as (
    select customer_id from (
      (select customer_id from list_members where segment_key = :key and customer_id > :after
        order by customer_id limit :limit)
      union
      (select customer_id from memberships where segment_key = :key and customer_id > :after
        order by customer_id limit :limit)) as either
    order by customer_id limit :limit)
  select p.customer_id, coalesce(k.person, p.customer_id) as person, coalesce(
    (l.customer_id is null) <> (m.customer_id is null) and c.catalog_revision < :revision, false)
    as differs
  from page p
  left join links k on k.customer_id = p.customer_id
  left join list_members l on l.segment_key = :key and l.customer_id = p.customer_id
  left join memberships m on m.segment_key = :key
    and m.customer_id = coalesce(k.person, p.customer_id)
  left join customers c on c.customer_id = coalesce(k.person, p.customer_id)
  order by p.customer_id""")

# What those who add to lists share and those who erase have alone.
_ADDING = "hashtextextended('adding to lists', 0)"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What replacing a list came to: how many ids it has, how many came and how many went."""

    size: int
    added: int
    removed: int


async def open_stage(connection: AsyncConnection) -> None:
    """A place for an upload's ids that nobody else sees and that goes with the connection."""
    await connection.execute(text('create temp table staged (customer_id text collate "C")'))
    await connection.commit()


async def stage(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Add ids to the stage."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    await raw.copy_records_to_table("staged", records=[(each,) for each in ids])


async def lock(connection: AsyncConnection, key: str, *, wait: bool) -> bool:
    """Keep a list to ourselves until the transaction ends; False, if we don't wait, where somebody
    else has it."""
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    query = text(f"select {function}(hashtextextended('list ' || :key, 0))")
    return (await connection.execute(query, {"key": key})).scalar_one() is not False


async def end_adding(connection: AsyncConnection) -> None:
    """Wait for those who erase at this moment, and have others wait until our transaction ends.
    Whoever adds to lists asks after this, with the ids there, who of them was erased: nobody is
    missed, and nobody waits for as long as adding many takes."""
    await connection.execute(text(f"select pg_advisory_xact_lock_shared({_ADDING})"))


async def forget(connection: AsyncConnection, customer_id: str) -> bool:
    """Take an erased customer off all lists, for good; whether they were on one."""
    off = text("delete from list_members where customer_id = :customer_id")
    # Once before, waiting for nobody's lock with a lock that others wait for.
    seen = await connection.execute(off, {"customer_id": customer_id})
    await connection.execute(text(f"select pg_advisory_xact_lock({_ADDING})"))
    added = await connection.execute(off, {"customer_id": customer_id})
    return seen.rowcount + added.rowcount > 0


async def compare(connection: AsyncConnection, key: str) -> int:
    """Find the staged ids that are not on the list, of which we hold the lock; how many. Nobody
    is kept waiting by it: the list itself is not written yet."""
    await connection.execute(text("analyze staged"))
    found = await connection.execute(
        text(
            'create temp table added as select distinct customer_id collate "C" as customer_id '
            "from staged s where not exists (select from list_members m "
            "where m.segment_key = :key and m.customer_id = s.customer_id) order by 1"
        ),
        {"key": key},
    )
    return found.rowcount


async def added(connection: AsyncConnection, limit: int) -> AsyncIterator[list[str]]:
    """The ids that `compare` found, so many at a time."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    cursor = await raw.cursor("select customer_id from added")
    while rows := await cursor.fetch(limit):
        yield [row[0] for row in rows]


async def replace(connection: AsyncConnection, key: str) -> Replaced:
    """Make the staged ids the list's, after `compare`; only differences are written."""
    gone = await connection.execute(
        text(
            "delete from list_members m where segment_key = :key "
            "and not exists (select from staged s where s.customer_id = m.customer_id)"
        ),
        {"key": key},
    )
    new = await connection.execute(
        text(
            "insert into list_members (segment_key, customer_id) "
            "select :key, customer_id from added on conflict do nothing"
        ),
        {"key": key},
    )
    size = await connection.execute(
        text("select count(*) from list_members where segment_key = :key"), {"key": key}
    )
    return Replaced(size.scalar_one(), new.rowcount, gone.rowcount)


async def unsettled(
    connection: AsyncConnection, key: str, revision: int, after: str, limit: int
) -> tuple[list[str], str | None]:
    """Customers whose membership is not what the list says and whom an older catalog decided
    last, looked for among the next `limit` ids; the id to go on after, None at the end."""
    values = {"key": key, "revision": revision, "after": after, "limit": limit}
    rows = (await connection.execute(_PAGE, values)).all()
    return [row.person for row in rows if row.differs], rows[-1].customer_id if rows else None
