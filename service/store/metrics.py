"""What segments come to, measured over all customers in one pass each."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.consent import CHANNELS
from service.core.consent import NAMES as CONSENTS
from service.store.consents import ALL_REACHING

# One process measures at a time; the others need not wait for it.
LOCK = 7_305_441_822

# What the ready-made traits of these names mean, summed up in one pass: a customer who was given a
# value counts with it, where it has the type it should (callers may send anything), and everyone
# else with their orders.
_VALUES = f"""
  select customer_id, {ALL_REACHING} as reached,
    case when jsonb_typeof(traits -> 'revenue') = 'number'
      then (traits ->> 'revenue')::numeric else o.revenue end as revenue,
    case when jsonb_typeof(traits -> 'orders') = 'number'
      then (traits ->> 'orders')::numeric else o.orders end as orders,
    extract(epoch from now - case when jsonb_typeof(traits -> 'last_order_at') = 'string'
      then instant_of(traits ->> 'last_order_at') else o.last_order_at end) / 86400.0 as recency
  from customers cross join as_of left join (
    select customer_id, sum(net) as revenue, count(*) as orders, max(placed_at) as last_order_at
    from orders where event is not null group by customer_id) o using (customer_id)"""

# The traits that figures are made of, and those that tell the same of one customer.
MADE_OF = {
    "revenue": ("revenue",),
    "orders": ("orders",),
    "average_order_value": ("revenue", "orders", "average_order_value"),
    "repeat_rate": ("orders",),
    "average_recency_days": ("last_order_at",),
    "reachable": tuple(CONSENTS),
}

_PLACES = range(1, len(CHANNELS) + 1)
_FIGURES = f"""
  count(*) as size,
  sum(revenue) as revenue,
  sum(orders) as orders,
  count(*) filter (where orders >= 1) as buyers,
  count(*) filter (where orders >= 2) as repeat_buyers,
  avg(recency) as recency,
  array[{", ".join(f"count(*) filter (where reached[{place}])" for place in _PLACES)}] as reached"""


def _by_segment(values: str, which: str = "true") -> Any:
    return text(f"""
      with as_of as (select cast(:now as timestamptz) as now), value as {values} ({_VALUES})
      select m.segment_key, {_FIGURES}
      from memberships m join value v using (customer_id)
      where {which}
      group by m.segment_key""")


# For all segments each customer's values are read once, and not once for each of their segments:
# a third of the time. For one segment only its members' are.
_BY_SEGMENT = _by_segment("materialized")
_OF_SEGMENT = _by_segment("not materialized", "m.segment_key = :key")

_OF_ALL = text(
    "select count(*) filter (where not excluded) as counted, "
    "count(*) filter (where excluded) as left_out from customers"
)

_MOVES = text("""
  with as_of as (select cast(:now as timestamptz) as now)
  select segment_key,
    count(*) filter (where entered and at > now - interval '1 day') as entered_day,
    count(*) filter (where entered and at > now - interval '7 days') as entered_week,
    count(*) filter (where entered) as entered_month,
    count(*) filter (where not entered and at > now - interval '1 day') as exited_day,
    count(*) filter (where not entered and at > now - interval '7 days') as exited_week,
    count(*) filter (where not entered) as exited_month
  from transitions, as_of
  where at > now - interval '30 days' and at <= now
    and (cast(:key as text) is null or segment_key = :key)
  group by segment_key""")

_STORE = text("""
  insert into segment_metrics (segment_key, as_of, metrics)
  select key, cast(:now as timestamptz), cast(metrics as jsonb)
  from unnest(cast(:keys as text[]), cast(:metrics as text[])) as m (key, metrics)
  where exists (select from segments where segments.key = m.key)
  on conflict (segment_key) do update
    set as_of = excluded.as_of, metrics = excluded.metrics""")

_KEYS = text("select key from segments where status <> 'archived'")


@dataclass(frozen=True, slots=True)
class Figures:
    """One segment's figures. Money in the base currency; recency in days; rates in 0..1; `reached`
    in the order of channels."""

    size: int = 0
    revenue: float | None = None
    orders: float | None = None
    buyers: int = 0
    repeat_buyers: int = 0
    recency: float | None = None
    reached: Sequence[int] = (0,) * len(CHANNELS)


def _shaped(
    figures: Figures, moves: dict[str, int], total: int, left_out: int, as_of: datetime
) -> dict[str, Any]:
    """The metrics as they are served.

    average_order_value = revenue / orders; repeat_rate = customers with two or more orders among
    those with one or more; share = size / all customers but those left out, for tests, staff and
    machines; average_recency_days = mean days since the last order; reachable = by channel, who
    subscribed and is not suppressed.
    """
    orders, revenue = figures.orders, figures.revenue
    average = float(revenue) / float(orders) if revenue is not None and orders else None
    return {
        "as_of": as_of.isoformat().replace("+00:00", "Z"),
        "size": figures.size,
        "share": figures.size / total if total else 0.0,
        "customers": total,
        "excluded": left_out,
        "revenue": _rounded(revenue, 2),
        "orders": None if orders is None else int(orders),
        "average_order_value": _rounded(average, 4),
        "repeat_rate": (
            round(figures.repeat_buyers / figures.buyers, 6) if figures.buyers else None
        ),
        "average_recency_days": _rounded(figures.recency, 2),
        "reachable": dict(zip(CHANNELS, figures.reached, strict=True)),
        "entered": {span: moves.get(f"entered_{span}", 0) for span in ("day", "week", "month")},
        "exited": {span: moves.get(f"exited_{span}", 0) for span in ("day", "week", "month")},
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """A figure as it is served; None also beyond what JSON's readers take."""
    if value is None or not math.isfinite(float(value)):
        return None
    return round(float(value), digits)


async def try_lock(connection: AsyncConnection) -> bool:
    """Whether this transaction is now the one that measures."""
    query = text("select pg_try_advisory_xact_lock(:lock)")
    return bool((await connection.execute(query, {"lock": LOCK})).scalar_one())


async def measure(
    connection: AsyncConnection, now: datetime, key: str | None = None
) -> dict[str, dict[str, Any]]:
    """Metrics of every segment that is not archived, or of one, as of `now`."""
    parameters = {"now": now, "key": key}
    total, left_out = (await connection.execute(_OF_ALL)).one()
    if key is None:
        found = await connection.execute(_BY_SEGMENT, {"now": now})
    else:
        found = await connection.execute(_OF_SEGMENT, parameters)
    figures = {row.segment_key: Figures(*row[1:]) for row in found}
    moves = {
        row.segment_key: dict(row._mapping) for row in await connection.execute(_MOVES, parameters)
    }
    keys = [key] if key else [row.key for row in await connection.execute(_KEYS)]
    return {
        each: _shaped(figures.get(each, Figures()), moves.get(each, {}), total, left_out, now)
        for each in keys
    }


async def store(
    connection: AsyncConnection, now: datetime, metrics: dict[str, dict[str, Any]]
) -> None:
    """Keep metrics as the latest snapshots."""
    await connection.execute(
        _STORE,
        {
            "now": now,
            "keys": list(metrics),
            "metrics": [json.dumps(figures) for figures in metrics.values()],
        },
    )


async def activity(connection: AsyncConnection) -> int:
    """A number that moves whenever customers or memberships were written."""
    query = text("""
      select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
      from pg_stat_user_tables where relname in ('customers', 'memberships', 'segments')""")
    return int((await connection.execute(query)).scalar_one())
