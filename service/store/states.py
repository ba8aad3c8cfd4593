"""The hot statements: read customers' states under lock, write what was decided.

Each statement takes a whole batch, as arrays. They go to asyncpg directly; a batch is four round
trips, and none of them is spent on a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from service.core.decisions import Decision, Input, Membership, State
from service.core.instants import format_instant, from_datetime, to_datetime
from service.core.matching import NO_LISTS
from service.core.merging import Written

Connection: TypeAlias = Any  # asyncpg.Connection, which has no type hints

_COLUMNS = """customer_id, type, first_seen, last_seen, traits::text, trait_times, membership,
  sequence, catalog_revision, decided_at, due_at, fragmented"""

# Rows that others hold are left to the next batch.
_LOCK = f"""select {_COLUMNS}, (select revision from catalog_head) as head
  from customers where customer_id = any($1::text[]) for update skip locked"""

# In the order of ids, as all who wait for several do.
_LOCK_WAITING = f"""select {_COLUMNS}, (select revision from catalog_head) as head
  from customers where customer_id = any($1::text[]) order by customer_id for update"""

# In the order of ids, so that two batches that insert the same customers can't deadlock.
_INSERT = """insert into customers (customer_id, first_seen, last_seen, type)
  select id, seen, seen, type
  from unnest($1::text[], $2::timestamptz[], $3::text[]) as new (id, seen, type)
  order by id on conflict do nothing
  returning customer_id, (select revision from catalog_head) as head"""

_READ = f"select {_COLUMNS} from customers where customer_id = any($1::text[])"

# A customer is on a list under any of their ids.
_LISTS = """select person, array_agg(segment_key) as keys
  from (select id as person, id as customer_id from unnest($1::text[]) as own (id)
    union all select person, customer_id from links where person = any($1::text[])) as ids
  join list_members using (customer_id) group by person"""

# What callers word comes as arrays. The rest comes joined, a column in one text, which costs the
# driver one value instead of one a row: JSON by a character that it never holds, everything else
# by commas; an empty text is null. Moves and history name their customer by the place in the
# first array.
_WRITE = r"""
with
changed as (
  update customers c set
    last_seen = n.last_seen, traits = n.traits::jsonb, trait_times = n.trait_times,
    membership = n.membership, sequence = n.sequence, catalog_revision = $1,
    decided_at = n.decided_at, due_at = n.due_at
  from unnest($2::text[], string_to_array($3, ',')::timestamptz[],
    string_to_array($4, E'\x1f'), string_to_array($5, E'\x1f'), string_to_array($6, E'\x1f'),
    string_to_array($7, ',')::bigint[], string_to_array($8, ',')::timestamptz[],
    string_to_array($9, ',', '')::timestamptz[]) as n (customer_id, last_seen, traits,
    trait_times, membership, sequence, decided_at, due_at)
  where c.customer_id = n.customer_id),
entered as (
  insert into memberships (customer_id, segment_key, since, version)
  select ($2::text[])[who], key, since, version
  from unnest(string_to_array($10, ',')::int[], string_to_array($11, ','),
    string_to_array($12, ',')::timestamptz[], string_to_array($13, ',')::int[])
    as n (who, key, since, version)
  on conflict (customer_id, segment_key) do update
    set since = excluded.since, version = excluded.version),
exited as (
  delete from memberships m
  using unnest(string_to_array($14, ',')::int[], string_to_array($15, ',')) as gone (who, key)
  where m.customer_id = ($2::text[])[gone.who] and m.segment_key = gone.key),
logged as (
  insert into transitions (customer_id, sequence, segment_key, entered, version, at, reason)
  select ($2::text[])[who], sequence, key, entered, version, at, reason::jsonb
  from unnest(string_to_array($16, ',')::int[], string_to_array($17, ',')::bigint[],
    string_to_array($18, ','), string_to_array($19, ',')::boolean[],
    string_to_array($20, ',')::int[], string_to_array($21, ',')::timestamptz[],
    string_to_array($22, E'\x1f')) as t (who, sequence, key, entered, version, at, reason)),
remembered as (
  insert into trait_history (customer_id, path, value, at, message_id, source)
  select ($2::text[])[who], path, value::jsonb, at, message_id, source
  from unnest(string_to_array($23, ',')::int[], $24::text[],
    string_to_array($25, E'\x1f', ''), string_to_array($26, ',')::timestamptz[], $27::text[],
    $28::text[]) as h (who, path, value, at, message_id, source))
select"""

_FORGET = "delete from customers where customer_id = any($1::text[])"

_APART = "\x1f"  # JSON has it escaped only

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
    """A row of `_COLUMNS`, and maybe more, as a state; lists are not part of it."""
    (customer_id, kind, first_seen, last_seen, traits, times, membership, sequence, revision,
     decided_at, due_at, fragmented, *_) = row  # fmt: skip
    return State(
        customer_id=customer_id,
        type=kind,
        first_seen=from_datetime(first_seen),
        last_seen=from_datetime(last_seen),
        traits=_decode(traits),
        times=decode_times(times),
        sequence=sequence,
        catalog_revision=revision,
        decided_at=None if decided_at is None else from_datetime(decided_at),
        due_at=None if due_at is None else from_datetime(due_at),
        memberships=_membership_decoder.decode(membership),
        fragmented=fragmented,
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
    connection: Connection, seen: Mapping[str, Input]
) -> tuple[dict[str, State], int | None]:
    """New customers, by id with what is first told of them: those that were not there."""
    moments = [to_datetime(given.at) for given in seen.values()]
    types = [given.type for given in seen.values()]
    rows = await connection.fetch(_INSERT, list(seen), moments, types)
    head = rows[0]["head"] if rows else None
    states = {}
    for row in rows:
        who = row["customer_id"]
        given = seen[who]
        states[who] = State(who, given.at, given.at, given.type)
    return states, head


async def forget(connection: Connection, customer_ids: Sequence[str]) -> None:
    """Take back rows inserted in this transaction for customers that came to nothing."""
    await connection.execute(_FORGET, customer_ids)


async def read(connection: Connection, customer_ids: Sequence[str]) -> dict[str, State]:
    """States as they are, without a lock."""
    rows = await connection.fetch(_READ, customer_ids)
    return {row["customer_id"]: state_of(row) for row in rows}


async def load_lists(connection: Connection, states: Mapping[str, State]) -> None:
    """Put into each state, by customer, the keys of the lists that they are on."""
    rows = await connection.fetch(_LISTS, list(states))
    on = {row["person"]: frozenset(row["keys"]) for row in rows}
    for customer_id, state in states.items():
        state.lists = on.get(customer_id, NO_LISTS)


async def write(
    connection: Connection,
    revision: int,
    decisions: Iterable[tuple[Decision, str]],
    before: Mapping[str, Mapping[str, Membership]],
) -> None:
    """Write decisions, each with its traits as JSON: customers, memberships, transitions and the
    history of traits; of the fragmented others keep the history, by the ids that it came with.
    `before`: the memberships each customer had."""
    customers: list[tuple[str, ...]] = []
    entered: list[tuple[str, ...]] = []
    exited: list[tuple[str, ...]] = []
    logged: list[tuple[str, ...]] = []
    history: list[tuple[Any, ...]] = []
    for place, (decision, traits) in enumerate(decisions, 1):
        state = decision.state
        who = str(place)
        assert state.decided_at is not None  # noqa: S101 - what is stored was decided
        customers.append(
            (
                state.customer_id,
                format_instant(state.last_seen),
                traits,
                encode_times(state.times),
                _encode(state.memberships).decode(),
                str(state.sequence),
                format_instant(state.decided_at),
                "" if state.due_at is None else format_instant(state.due_at),
            )
        )
        if decision.transitions:
            _net_moves(who, state, before[state.customer_id], entered, exited)
        told: Any = None
        reason = ""
        for transition in decision.transitions:
            if transition.reason is not told:  # most share one
                told = transition.reason
                reason = _encode(told).decode()
            logged.append(
                (
                    who,
                    str(transition.sequence),
                    transition.segment,
                    "t" if transition.entered else "f",
                    str(transition.version),
                    format_instant(transition.at),
                    reason,
                )
            )
        for change in () if state.fragmented else decision.changes:
            written = change.written
            value = "" if change.value is None else _encode(change.value).decode()
            at = format_instant(written.at)
            history.append((who, change.path, value, at, written.message_id, written.source))
    await connection.execute(
        _WRITE,
        revision,
        *_columns(customers, ("", ",", _APART, _APART, _APART, ",", ",", ",")),
        *_columns(entered, (",", ",", ",", ",")),
        *_columns(exited, (",", ",")),
        *_columns(logged, (",", ",", ",", ",", ",", ",", _APART)),
        *_columns(history, (",", "", _APART, ",", "", "")),
    )


def _net_moves(
    who: str,
    state: State,
    before: Mapping[str, Membership],
    entered: list[tuple[str, ...]],
    exited: list[tuple[str, ...]],
) -> None:
    """What the memberships became, however often they changed on the way."""
    after = state.memberships
    for segment, membership in after.items() - before.items():
        since = format_instant(membership.since)
        entered.append((who, segment, since, str(membership.version)))
    exited.extend((who, segment) for segment in before.keys() - after.keys())


def _columns(rows: Sequence[tuple[Any, ...]], joints: Sequence[str]) -> list[Any]:
    """Rows as one value a column: joined by its joint, or, where that is empty, an array."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(joints)
    return [
        joint.join(column) if joint else list(column)
        for joint, column in zip(joints, columns, strict=True)
    ]
