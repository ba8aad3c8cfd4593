"""Orders as they are stored: what was told of each, and what it comes to.

Each statement takes a whole batch, as arrays, on the writer's own connection and in its
transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from service.core.events import Event
from service.core.instants import from_datetime, to_datetime
from service.core.money import text_of
from service.core.order_facts import Facts
from service.core.orders import Order, event_from, settle
from service.core.orders import event as event_of
from service.core.rates import LONGEST_HELD, KeptRates, Rate, Rates, table_of

Connection: TypeAlias = Any  # asyncpg.Connection, which has no type hints
Key: TypeAlias = tuple[str, str]  # (store, order id)

# In the order of keys, as all who lock orders do: two batches can't deadlock.
_INSERT = """insert into orders (store, order_id, updated_at)
  select store, order_id, $3 from unnest($1::text[], $2::text[]) as n (store, order_id)
  order by store collate "C", order_id collate "C" on conflict do nothing"""

_LOCK = """select store, order_id, facts::text from orders
  where (store, order_id) in (select * from unnest($1::text[], $2::text[]))
  order by store, order_id for update"""

_OWNERS = """select store, order_id, customer_id from orders
  where (store, order_id) in (select * from unnest($1::text[], $2::text[]))
    and customer_id is not null"""

_WRITE = """update orders o set
    owner = n.owner, placed_at = n.placed_at,
    customer_id = coalesce((select person from links where customer_id = n.owner), n.owner),
    facts = n.facts::jsonb, net = n.net,
    gross = n.gross, discount = n.discount, refunded = n.refunded, currency = n.currency,
    rates = n.rates::jsonb, event = n.event, cancelled_at = n.cancelled_at, pending = n.pending,
    lacks = n.lacks, updated_at = $1
  from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::numeric[],
    $8::numeric[], $9::numeric[], $10::numeric[], $11::text[], $12::text[], $13::text[],
    $14::timestamptz[], $15::text[], $16::text[]) as n (store, order_id, owner, placed_at,
    facts, net, gross, discount, refunded, currency, rates, event, cancelled_at, pending, lacks)
  where o.store = n.store and o.order_id = n.order_id"""

_OF = """select customer_id, store, order_id, facts::text, rates::text from orders
  where customer_id = any($1::text[]) order by placed_at, store, order_id"""

_EVENTS = """select customer_id, store, order_id, placed_at, event from orders
  where customer_id = any($1::text[]) and event is not null
  order by placed_at, store, order_id"""

# One look into the index for each currency and day, however long the table is.
_RATES = """select r.currency, r.day, r.rate
  from unnest($1::text[], $2::date[]) as wanted (currency, day)
  cross join lateral (select currency, day, rate from rates
    where currency = wanted.currency and day between wanted.day - $3::int and wanted.day
    order by day desc limit 1) r"""

_WITH_A_RATE = """select o.store, o.order_id, o.customer_id from orders o
  where o.lacks is not null and exists (select from rates r
    where r.currency = o.lacks
      and r.day between (o.placed_at at time zone $1)::date - $2::int
        and (o.placed_at at time zone $1)::date)
  order by o.placed_at, o.store, o.order_id limit $3"""

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_facts = msgspec.json.Decoder(Facts)
_kept = msgspec.json.Decoder(dict[str, Decimal])


async def lock_orders(connection: Connection, keys: Collection[Key], at: int) -> dict[Key, Facts]:
    """What was told of orders, all of which are ours until the transaction ends; those that were
    not there are, with nothing told. `at`: the instant, microseconds."""
    found: dict[Key, Facts] = {}
    wanted = sorted(set(keys))
    while wanted:
        columns = [[key[place] for key in wanted] for place in (0, 1)]
        await connection.execute(_INSERT, *columns, to_datetime(at))
        for row in await connection.fetch(_LOCK, *columns):
            found[row["store"], row["order_id"]] = _facts.decode(row["facts"])
        # An order may be erased between the two.
        wanted = [key for key in wanted if key not in found]
    return found


async def owners(connection: Connection, keys: Collection[Key]) -> dict[Key, str]:
    """Whose orders are, as far as anybody told, without a lock."""
    columns = [[key[place] for key in keys] for place in (0, 1)]
    rows = await connection.fetch(_OWNERS, *columns)
    return {(row["store"], row["order_id"]): row["customer_id"] for row in rows}


async def write_orders(
    connection: Connection, orders: Iterable[tuple[Order, Facts]], at: int
) -> None:
    """Store orders whose rows are locked, each with the facts it was settled from."""
    rows = [
        (
            order.store,
            order.order_id,
            order.customer_id,
            _moment(order.placed_at),
            _encode(facts).decode(),
            order.net,
            order.gross,
            order.discount,
            order.refunded,
            order.currency,
            _encode({code: text_of(rate) for code, rate in order.rates.items()}).decode(),
            _properties(order),
            _moment(order.cancelled_at),
            order.pending,
            order.lacks,
        )
        for order, facts in orders
    ]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(_WRITE, to_datetime(at), *columns)


async def orders_of(
    connection: Connection, customer_ids: Sequence[str], base: str
) -> dict[str, list[Order]]:
    """Customers' orders in the order of their placing, the cancelled and the pending too, each
    converted as it was when it was stored; who has none has no entry. `base`: the base currency."""
    found: dict[str, list[Order]] = {}
    for row in await connection.fetch(_OF, customer_ids):
        pricing = KeptRates(base, _kept.decode(row["rates"]))
        order = settle(row["store"], row["order_id"], _facts.decode(row["facts"]), pricing)
        found.setdefault(row["customer_id"], []).append(order)
    return found


async def order_events(
    connection: Connection, customer_ids: Sequence[str]
) -> dict[str, list[Event]]:
    """The events of customers' orders that count, in the order of their placing: those of
    `orders_of`, for a twentieth of the price. Who has none has no entry."""
    found: dict[str, list[Event]] = {}
    for row in await connection.fetch(_EVENTS, customer_ids):
        placed_at = from_datetime(row["placed_at"])
        event = event_from(row["store"], row["order_id"], placed_at, _decode(row["event"]))
        found.setdefault(row["customer_id"], []).append(event)
    return found


async def read_rates(
    connection: Connection, wanted: Collection[tuple[str, date]], base: str, zone: tzinfo
) -> Rates:
    """The rates of some currencies on some days, as `currencies` asks for them."""
    if not wanted:
        return Rates(base, zone)
    columns = [[each[place] for each in wanted] for place in (0, 1)]
    rows = await connection.fetch(_RATES, *columns, LONGEST_HELD.days)
    return Rates(base, zone, table_of([Rate(*row) for row in rows]))


async def with_a_rate(
    connection: Connection, zone: str, limit: int
) -> list[tuple[Key, str | None]]:
    """Orders that waited for a rate which is there by now, each with its customer. `zone`: the
    workspace's, by its name."""
    rows = await connection.fetch(_WITH_A_RATE, zone, LONGEST_HELD.days, limit)
    return [((row["store"], row["order_id"]), row["customer_id"]) for row in rows]


def _properties(order: Order) -> str | None:
    told = event_of(order)
    return None if told is None else _encode(told.properties).decode()


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)
