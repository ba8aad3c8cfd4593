"""Events as they were told, each once, and what is kept of them beside each customer.

The hot statements take a whole batch, as arrays; they go to asyncpg directly.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from service.core.decisions import State
from service.core.deriving import Derivations
from service.core.events import Event
from service.core.instants import from_datetime
from service.core.orders import COMPLETED
from service.core.timelines import Packed, Timeline
from service.store.orders import order_events
from service.store.states import Connection

# In the order of their keys, so that two batches with the same messages can't deadlock. Columns
# come as one text each, which costs the driver one value instead of one a row: what callers word
# as a list of JSON, JSON itself joined by a character that it never holds, instants (which neither
# double nor interval keeps in microseconds) in seconds and the rest. The answer is which messages
# were not there before; null where all are new.
_INSERT = r"""with fresh as (
    insert into events (source, message_id, customer_id, name, at, received_at, properties)
    select source, message_id, customer_id, name,
      timestamptz 'epoch' + at / 1000000 * interval '1 second'
        + at % 1000000 * interval '1 microsecond',
      $7, properties::jsonb
    from rows from (json_array_elements_text($1), json_array_elements_text($2),
        json_array_elements_text($3), json_array_elements_text($4),
        unnest(string_to_array($5, ',')::bigint[]), unnest(string_to_array($6, E'\x1f')))
      as new (source, message_id, customer_id, name, at, properties)
    order by source, message_id on conflict do nothing
    returning source, message_id)
  select case when count(*) < $8
    then coalesce(json_agg(json_build_array(source, message_id))::text, '[]') end
  from fresh"""

# Events keep the id that they came with; the ids of one customer count together.
_READ = """select coalesce(person, e.customer_id) as customer_id, name, at, properties::text,
    message_id, source
  from events e left join links l on l.customer_id = e.customer_id
  where e.customer_id = any($1::text[] || array(
      select customer_id from links where person = any($1::text[])))
    and name = any($2::text[]) order by 1, at"""

_READ_HISTORIES = """select customer_id, timelines from histories
  where customer_id = any($1::text[])"""

_WRITE_HISTORIES = """insert into histories (customer_id, timelines)
  select * from unnest($1::text[], $2::bytea[])
  on conflict (customer_id) do update set timelines = excluded.timelines"""

_encode = msgspec.json.encode
_decode = msgspec.json.decode
# By the series' key.
_timelines = msgspec.msgpack.Decoder(dict[str, Packed])

Key = tuple[str, str]  # source, message id


async def insert(
    connection: Connection, events: Iterable[tuple[str, Event]], received_at: datetime
) -> set[Key]:
    """Keep events, each with its customer's id. The keys of those that were not there before."""
    rows: dict[Key, tuple[str, Event]] = {}
    for customer_id, event in events:
        rows.setdefault((event.source, event.message_id), (customer_id, event))
    told = list(rows.values())
    fresh = await connection.fetchval(
        _INSERT,
        _listed(event.source for _, event in told),
        _listed(event.message_id for _, event in told),
        _listed(customer_id for customer_id, _ in told),
        _listed(event.name for _, event in told),
        ",".join([str(event.at) for _, event in told]),
        "\x1f".join([_encode(event.properties).decode() for _, event in told]),
        received_at,
        len(told),
    )
    return set(rows) if fresh is None else {(source, told_) for source, told_ in _decode(fresh)}


def _listed(texts: Iterable[str]) -> str:
    return _encode(list(texts)).decode()


async def read(
    connection: Connection, customer_ids: Sequence[str], names: Sequence[str]
) -> dict[str, list[Event]]:
    """Customers' events of some names, in the order of time."""
    found: dict[str, list[Event]] = {}
    for customer_id, name, at, properties, message_id, source in await connection.fetch(
        _READ, customer_ids, names
    ):
        event = Event(name, from_datetime(at), _decode(properties), message_id, source)
        found.setdefault(customer_id, []).append(event)
    return found


async def load_histories(
    connection: Connection, states: Mapping[str, State], derivations: Derivations, revision: int
) -> set[str]:
    """Put into each state the timelines that the catalog of a revision reads. A customer who was
    last decided under another catalog, and lacks some of them, has them made from the events, and
    loses those that nothing reads any more: they would miss what comes from now on. The ids of
    those are answered, as theirs have to be written."""
    outdated = [state for state in states.values() if state.catalog_revision != revision]
    asked = states if derivations.series else [state.customer_id for state in outdated]
    if not asked:
        return set()
    for row in await connection.fetch(_READ_HISTORIES, list(asked)):
        states[row["customer_id"]].histories = decode(row["timelines"])
    wanted = derivations.series.keys()
    filled = set()
    lacking = {}
    for state in outdated:
        if missing := wanted - state.histories.keys():
            lacking[state.customer_id] = missing
        if state.histories.keys() - wanted:
            state.histories = {key: state.histories[key] for key in state.histories.keys() & wanted}
            filled.add(state.customer_id)
    if not lacking:
        return filled
    # Who lacks a series of few events need not have all others made again, nor all orders read.
    missing = set().union(*lacking.values())
    names = {name for key in missing for name in derivations.series[key].events}
    ids = list(lacking)
    told = await read(connection, ids, sorted(names - {COMPLETED}))
    ordered = await order_events(connection, ids) if COMPLETED in names else {}
    for who, keys in lacking.items():
        happened = (*told.get(who, ()), *ordered.get(who, ()))
        state = states[who]
        if happened or state.histories:
            state.histories = state.histories | derivations.histories(happened, keys)
            filled.add(who)
    return filled


async def make_histories(
    connection: Connection, states: Mapping[str, State], derivations: Derivations
) -> None:
    """Put into each state the timelines of all that came with any of its ids."""
    if not derivations.series:
        return
    ids = list(states)
    told = await read(connection, ids, [name for name in derivations.by_event if name != COMPLETED])
    ordered = await counted_orders(connection, ids, derivations)
    for who, state in states.items():
        state.histories = derivations.histories((*told.get(who, ()), *ordered.get(who, ())))


async def counted_orders(
    connection: Connection, customer_ids: Sequence[str], derivations: Derivations
) -> dict[str, list[Event]]:
    """Customers' orders that count, as the events that aggregates read."""
    return await order_events(connection, customer_ids) if derivations.read_orders else {}


async def write_histories(
    connection: Connection, states: Iterable[State], keys: Iterable[str]
) -> None:
    """Keep what the series named by `keys` hold of each customer."""
    wanted = list(keys)
    rows = {state.customer_id: encode(state.histories, wanted) for state in states}
    await connection.execute(_WRITE_HISTORIES, list(rows), list(rows.values()))


def encode(histories: Mapping[str, Timeline], keys: Iterable[str]) -> bytes:
    """Timelines as they are stored; one that is not there is empty."""
    empty = Timeline()
    packed = {key: histories.get(key, empty).packed() for key in keys}
    return msgspec.msgpack.encode(packed)


def decode(data: bytes) -> dict[str, Timeline]:
    """Timelines from how they are stored."""
    return {key: Timeline.unpacked(each) for key, each in _timelines.decode(data).items()}
