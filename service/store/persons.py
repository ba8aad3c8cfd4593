"""Writing persons who are put together anew, beside the hot statements of `states`."""

from collections.abc import Collection, Iterable

import msgspec

from service.core.decisions import State, Transition
from service.core.instants import to_datetime
from service.store.states import Connection

_encode = msgspec.json.encode

_DESCRIBE = """update customers c set
    type = n.type, first_seen = n.first_seen, fragmented = n.fragmented
  from unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[])
    as n (customer_id, type, first_seen, fragmented)
  where c.customer_id = n.customer_id"""

_REMOVE = (
    "delete from memberships where customer_id = any($1::text[])",
    "delete from histories where customer_id = any($1::text[])",
    "delete from customers where customer_id = any($1::text[])",
)

_LEFT = """insert into transitions
    (customer_id, sequence, segment_key, entered, version, at, reason)
  select customer_id, sequence, key, entered, version, at, reason::jsonb
  from unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::int[], $6::timestamptz[],
    $7::text[]) as t (customer_id, sequence, key, entered, version, at, reason)"""


async def describe(connection: Connection, people: Iterable[State]) -> None:
    """Write what the hot statements leave as it is: since when customers are known, as what, and
    whether what came with each of their ids is kept apart."""
    rows = [
        (state.customer_id, state.type, to_datetime(state.first_seen), state.fragmented)
        for state in people
    ]
    if rows:
        await connection.execute(_DESCRIBE, *map(list, zip(*rows, strict=True)))


async def remove(connection: Connection, customer_ids: Collection[str]) -> None:
    """Take out customers who are others by now, with their memberships; their transitions and
    events stay."""
    for statement in _REMOVE:
        await connection.execute(statement, list(customer_ids))


async def log_exits(connection: Connection, exits: Iterable[tuple[str, Transition]]) -> None:
    """Keep transitions, each with its customer's id."""
    rows = [
        (
            who, each.sequence, each.segment, each.entered, each.version, to_datetime(each.at),
            _encode(each.reason).decode(),
        )
        for who, each in exits
    ]  # fmt: skip
    if rows:
        await connection.execute(_LEFT, *map(list, zip(*rows, strict=True)))
