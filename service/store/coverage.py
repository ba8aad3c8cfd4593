"""Named queries on the coverage of traits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.coverage import Found
from service.core.instants import format_instant, from_datetime
from service.store import workspace
from service.store.tables import trait_coverage

COUNTED = "traits_counted"


@dataclass(frozen=True, slots=True)
class Counted:
    """The last count: when, how many customers there were, and how many were looked at."""

    as_of: datetime
    customers: int
    looked_at: int


@dataclass(frozen=True, slots=True)
class TraitRow:
    """A trait that is declared, or known of somebody, or both. `customers` and what follows: None
    where nobody who was looked at has it; `dimension`: also what its name or one above it says."""

    name: str
    definition: Mapping[str, Any] | None
    dimension: str | None
    customers: int | None
    types: Mapping[str, int] | None
    top: Sequence[tuple[Any, int]] | None


_KNOWN = """
  known as (
    select name from traits union select name from trait_coverage
    union select unnest(cast(:others as text[]))),
  about as (
    select * from unnest(cast(:names as text[]), cast(:dimensions as text[])) a (name, dimension)),
  told as (
    select k.name collate "C" as name, t.definition,
      coalesce(t.definition ->> 'dimension', a.dimension, above.definition ->> 'dimension',
        a_above.dimension) as dimension,
      c.customers, c.types, c.top
    from known k
    left join traits t on t.name = k.name
    left join trait_coverage c on c.name = k.name
    left join about a on a.name = k.name
    left join traits above on above.name = split_part(k.name, '.', 1) and above.name <> k.name
    left join about a_above on a_above.name = split_part(k.name, '.', 1))"""

_PAGE = text(f"""
  with {_KNOWN}
  select * from told
  where (cast(:after as text) is null or name > :after)
    and (cast(:dimension as text) is null or dimension = :dimension)
    and (cast(:q as text) is null
      or strpos(lower(name || ' ' || coalesce(definition ->> 'description', '')), lower(:q)) > 0)
    and (definition is not null or not exists (
      select from unnest(cast(:hidden as text[])) as h (path)
      where starts_with(name, h.path || '.')))
  order by name limit :limit""")

_ONE = text(f"with {_KNOWN} select * from told where name = :name")


def _names(ready_made: Iterable[str], about: Mapping[str, str]) -> dict[str, Any]:
    return {"others": list(ready_made), "names": list(about), "dimensions": list(about.values())}


async def page(
    connection: AsyncConnection,
    ready_made: Iterable[str],
    about: Mapping[str, str],
    *,
    after: str | None,
    limit: int,
    dimension: str | None = None,
    q: str | None = None,
    hidden: Iterable[str] = (),
) -> list[TraitRow]:
    """Traits by name, those after `after`. `ready_made`: the names of traits that are there for
    everybody; `about`: dimensions by name, where nobody has said; `hidden`: paths below
    which only what is declared is told."""
    parameters = {
        **_names(ready_made, about),
        "after": after,
        "limit": limit,
        "dimension": dimension,
        "q": q,
        "hidden": list(hidden),
    }
    return [TraitRow(*row) for row in await connection.execute(_PAGE, parameters)]


async def one(
    connection: AsyncConnection, name: str, ready_made: Iterable[str], about: Mapping[str, str]
) -> TraitRow | None:
    """One trait; None where it is neither declared nor known of anybody."""
    parameters = {**_names(ready_made, about), "name": name}
    row = (await connection.execute(_ONE, parameters)).one_or_none()
    return None if row is None else TraitRow(*row)


async def counted(connection: AsyncConnection) -> Counted | None:
    """The last count; None: there was none."""
    fact = await workspace.fact(connection, COUNTED)
    if fact is None:
        return None
    return Counted(datetime.fromisoformat(fact["as_of"]), fact["customers"], fact["looked_at"])


async def store(connection: AsyncConnection, count: Counted, found: Iterable[Found]) -> None:
    """Keep a count in place of the one before."""
    await connection.execute(delete(trait_coverage))
    rows = [
        {
            "name": each.name,
            "customers": each.customers,
            "types": {kind.value: customers for kind, customers in each.types.items()},
            "top": each.top,
        }
        for each in found
    ]
    if rows:
        await connection.execute(insert(trait_coverage), rows)
    fact = {
        "as_of": format_instant(from_datetime(count.as_of)),
        "customers": count.customers,
        "looked_at": count.looked_at,
    }
    await workspace.note(connection, COUNTED, fact)


async def roughly(connection: AsyncConnection) -> int:
    """About how many customers there are, as PostgreSQL's statistics have it: at once."""
    query = text("select n_live_tup from pg_stat_user_tables where relname = 'customers'")
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found or 0


async def anybody(connection: AsyncConnection, before: datetime) -> bool:
    """Whether there is any customer who was seen before an instant."""
    query = text("select exists (select from customers where first_seen < :before)")
    return bool((await connection.execute(query, {"before": before})).scalar_one())
