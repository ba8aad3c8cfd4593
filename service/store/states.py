"""The hot statements: read customers' states under lock, write what was decided.

Each statement takes a whole batch, as arrays. They go to asyncpg directly; a batch is four round
trips, and none of them is spent on a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from service.core.deciding import Decision, Membership, State
from service.core.instants import from_datetime, to_datetime
from service.core.merging import Written

Connection: TypeAlias = Any  # asyncpg.Connection, which has no type hints

_COLUMNS = """customer_id, type, first_seen, last_seen, traits::text, trait_times, membership,
  sequence, catalog_revision, decided_at, due_at"""

# Rows that others hold are left to the next batch.
_LOCK = f"""select {_COLUMNS}, (select revision from catalog_head) as head
  from customers where customer_id = any($1::text[]) for update skip locked"""

_LOCK_WAITING = f"""select {_COLUMNS}, (select revision from catalog_head) as head
  from customers where customer_id = any($1::text[]) for update"""

# In the order of ids, so that two batches that insert the same customers can't deadlock.
_INSERT = """insert into customers (customer_id, first_seen, last_seen)
  select id, seen, seen from unnest($1::text[], $2::timestamptz[]) as new (id, seen)
  order by id on conflict do nothing
  returning customer_id, (select revision from catalog_head) as head"""

_READ = f"select {_COLUMNS} from customers where customer_id = any($1::text[])"

_LISTS = """select customer_id, array_agg(segment_key) as keys from list_members
  where customer_id = any($1::text[]) group by customer_id"""

_WRITE = """
with
changed as (
  update customers c set
    last_seen = n.last_seen, traits = n.traits::jsonb, trait_times = n.trait_times,
    membership = n.membership, sequence = n.sequence, catalog_revision = $1,
    decided_at = n.decided_at, due_at = n.due_at
  from unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::timestamptz[], $9::timestamptz[]) as n (customer_id, last_seen, traits, trait_times,
    membership, sequence, decided_at, due_at)
  where c.customer_id = n.customer_id),
entered as (
  insert into memberships (customer_id, segment_key, since, version)
  select * from unnest($10::text[], $11::text[], $12::timestamptz[], $13::int[])
  on conflict (customer_id, segment_key) do update
    set since = excluded.since, version = excluded.version),
exited as (
  delete from memberships m using unnest($14::text[], $15::text[]) as gone (customer_id, key)
  where m.customer_id = gone.customer_id and m.segment_key = gone.key),
logged as (
  insert into transitions (customer_id, sequence, segment_key, entered, version, at, reason)
  select id, sequence, key, entered, version, at, reason::jsonb
  from unnest($16::text[], $17::bigint[], $18::text[], $19::boolean[], $20::int[],
    $21::timestamptz[], $22::text[]) as t (id, sequence, key, entered, version, at, reason)),
remembered as (
  insert into trait_history (customer_id, path, value, at, message_id, source)
  select id, path, value::jsonb, at, message_id, source
  from unnest($23::text[], $24::text[], $25::text[], $26::timestamptz[], $27::text[], $28::text[])
    as h (id, path, value, at, message_id, source))
select"""

_FORGET = "delete from customers where customer_id = any($1::text[])"

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_times_decoder = msgspec.json.Decoder(list[tuple[int, str | None, str, list[str]]])
_membership_decoder = msgspec.json.Decoder(dict[str, Membership])


def decode_times(text: str) -> dict[str, Written]:
    """Stored trait times as path -> Written."""
    return {
        path: written
        for at, message_id, source, paths in _times_decoder.decode(text)
        for written in (Written(at, message_id, source),)
        for path in paths
    }


def encode_times(times: Mapping[str, Written]) -> str:
    """Trait times, the paths that were set together told together."""
    groups: dict[Written, list[str]] = {}
    for path, written in times.items():
        groups.setdefault(written, []).append(path)
    return _encode([[*written, paths] for written, paths in groups.items()]).decode()


def state_of(row: Any) -> State:
    """A row of `customers` as a state; lists are not part of it."""
    decided_at, due_at = row["decided_at"], row["due_at"]
    return State(
        customer_id=row["customer_id"],
        type=row["type"],
        first_seen=from_datetime(row["first_seen"]),
        last_seen=from_datetime(row["last_seen"]),
        traits=_decode(row["traits"]),
        times=decode_times(row["trait_times"]),
        sequence=row["sequence"],
        catalog_revision=row["catalog_revision"],
        decided_at=None if decided_at is None else from_datetime(decided_at),
        due_at=None if due_at is None else from_datetime(due_at),
        memberships=_membership_decoder.decode(row["membership"]),
    )


async def lock(
    connection: Connection, customer_ids: Sequence[str], *, wait: bool = False
) -> tuple[dict[str, State], int | None]:
    """The states of the customers whose rows we could lock, and the catalog's revision (None
    when no row was there to tell it). `wait`: wait for rows that others hold."""
    rows = await connection.fetch(_LOCK_WAITING if wait else _LOCK, customer_ids)
    head = rows[0]["head"] if rows else None
    return {row["customer_id"]: state_of(row) for row in rows}, head


async def insert(
    connection: Connection, seen: Mapping[str, int]
) -> tuple[dict[str, State], int | None]:
    """New customers, by id with the instant they were first seen: those that were not there."""
    moments = [to_datetime(at) for at in seen.values()]
    rows = await connection.fetch(_INSERT, list(seen), moments)
    head = rows[0]["head"] if rows else None
    states = {
        row["customer_id"]: State(
            row["customer_id"], seen[row["customer_id"]], seen[row["customer_id"]]
        )
        for row in rows
    }
    return states, head


async def forget(connection: Connection, customer_ids: Sequence[str]) -> None:
    """Take back rows inserted in this transaction for customers that came to nothing."""
    await connection.execute(_FORGET, customer_ids)


async def read(connection: Connection, customer_ids: Sequence[str]) -> dict[str, State]:
    """States as they are, without a lock."""
    rows = await connection.fetch(_READ, customer_ids)
    return {row["customer_id"]: state_of(row) for row in rows}


async def read_lists(
    connection: Connection, customer_ids: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Keys of the lists that customers are on; who is on none has no entry."""
    rows = await connection.fetch(_LISTS, customer_ids)
    return {row["customer_id"]: frozenset(row["keys"]) for row in rows}


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


async def write(
    connection: Connection,
    revision: int,
    decisions: Iterable[tuple[Decision, str]],
    before: Mapping[str, Mapping[str, Membership]],
) -> None:
    """Write decisions, each with its traits as JSON: customers, memberships, transitions and the
    history of traits. `before`: the memberships each customer had."""
    customers: list[tuple[Any, ...]] = []
    entered: list[tuple[Any, ...]] = []
    exited: list[tuple[str, str]] = []
    logged: list[tuple[Any, ...]] = []
    history: list[tuple[Any, ...]] = []
    for decision, traits in decisions:
        state = decision.state
        key = state.customer_id
        customers.append(
            (
                key,
                to_datetime(state.last_seen),
                traits,
                encode_times(state.times),
                _encode(state.memberships).decode(),
                state.sequence,
                _moment(state.decided_at),
                _moment(state.due_at),
            )
        )
        if decision.transitions:
            _net_moves(state, before[key], entered, exited)
        for transition in decision.transitions:
            logged.append(
                (
                    key,
                    transition.sequence,
                    transition.segment,
                    transition.entered,
                    transition.version,
                    to_datetime(transition.at),
                    _encode(transition.reason).decode(),
                )
            )
        for change in decision.changes:
            written = change.written
            history.append(
                (
                    key,
                    change.path,
                    None if change.value is None else _encode(change.value).decode(),
                    to_datetime(written.at),
                    written.message_id,
                    written.source,
                )
            )
    await connection.execute(
        _WRITE,
        revision,
        *_columns(customers, 8),
        *_columns(entered, 4),
        *_columns(exited, 2),
        *_columns(logged, 7),
        *_columns(history, 6),
    )


def _net_moves(
    state: State,
    before: Mapping[str, Membership],
    entered: list[tuple[Any, ...]],
    exited: list[tuple[str, str]],
) -> None:
    """What the memberships became, however often they changed on the way."""
    after = state.memberships
    for segment, membership in after.items():
        if before.get(segment) != membership:
            since = to_datetime(membership.since)
            entered.append((state.customer_id, segment, since, membership.version))
    exited.extend((state.customer_id, segment) for segment in before if segment not in after)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
