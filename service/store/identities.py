"""Who ids belong to: claims as they were told, the links they come to, and what came with each id.

Each statement takes a whole batch, as arrays, on an asyncpg connection in a transaction. Whoever
changes links holds the rows of all persons concerned, as the writer does: see `hold`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from service.core.fragments import Fragment
from service.core.identities import ANONYMOUS, Claim, Identity, Link, earliest, precedence
from service.core.instants import from_datetime, to_datetime
from service.core.merging import Change
from service.store.states import Connection, decode_times, encode_times

_PERSONS = "select customer_id, person from links where customer_id = any($1::text[])"

_IDS = "select person, customer_id from links where person = any($1::text[]) order by 1, 2"

_KNOWN = """select c.* from unnest($1::text[], $2::text[], $3::text[])
    as told (customer_id, claimant, kind)
  join claims c using (customer_id, claimant, kind)"""

_CLAIMS = """select * from claims
  where (customer_id = any($1::text[]) or (kind = 'merge' and claimant = any($1::text[])))
    and verified and undone_at is null"""

# Who was undone stays so. Of one claim told twice the verified one stands, then the earlier.
_KEEP = """insert into claims as c
    (customer_id, claimant, kind, at, message_id, source, verified)
  select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[],
    $6::text[], $7::boolean[])
  order by 1, 2, 3
  on conflict (customer_id, claimant, kind) do update set at = excluded.at,
    message_id = excluded.message_id, source = excluded.source, verified = excluded.verified
  where (not excluded.verified, excluded.at, excluded.message_id)
    < (not c.verified, c.at, c.message_id)"""

_DROP = "delete from claims where customer_id = $1 and claimant = $2 and kind = $3"

_UNDO = """insert into claims
    (customer_id, claimant, kind, at, message_id, source, verified, undone_at)
  select one, other, kind, $3, '', 'api', true, $3
  from unnest($2::text[]) as others (id), lateral (values ($1::text, id, 'claim'),
    ($1::text, id, 'merge'), (id, $1::text, 'merge')) as ways (one, other, kind)
  order by 1, 2, 3
  on conflict (customer_id, claimant, kind) do update set undone_at = excluded.undone_at"""

_HEARD_OF = """select exists (select from claims
  where customer_id = any($1::text[]) or claimant = any($1::text[]))"""

_NAME = """insert into identities (customer_id, kind, value)
  select * from unnest($1::text[], $2::text[], $3::text[]) order by 1 on conflict do nothing"""

_NAMED = "select customer_id, kind from identities where customer_id = any($1::text[])"

_NAMED_OF = """select kind, value, bool_or(verified) as verified
  from (select customer_id, true as verified from unnest($1::text[]) as own (customer_id)
    union all select customer_id, verified from claims
      where claimant = any($1::text[]) and kind = 'claim' and undone_at is null
        and not verified) as theirs
  join identities using (customer_id) group by kind, value order by kind, value"""

_CLAIMANTS = """select claimant from claims
  where customer_id = $1 and kind = 'claim' and not verified and undone_at is null
  order by at, message_id, claimant"""

_CLAIMED_BY = "select customer_id from claims where claimant = any($1::text[]) and kind = 'claim'"

_FORGET = (
    "delete from claims where customer_id = any($1::text[]) or claimant = any($1::text[])",
    "delete from links where customer_id = any($1::text[]) or person = any($1::text[])",
    "delete from fragments where customer_id = any($1::text[])",
)

_FORGET_UNCLAIMED = """delete from identities i
  where customer_id = any($1::text[])
    and not exists (select from claims c where c.customer_id = i.customer_id)
    and not exists (select from customers c where c.customer_id = i.customer_id)
    and not exists (select from links l where l.customer_id = i.customer_id)
  returning customer_id"""

_UNLINK = "delete from links where customer_id = any($1::text[])"

_LINK = """insert into links (customer_id, person)
  select * from unnest($1::text[], $2::text[]) order by 1
  on conflict (customer_id) do update set person = excluded.person"""

_PUT = """insert into customers (customer_id, first_seen, last_seen)
  select id, $2, $2 from unnest($1::text[]) as new (id)
  order by id on conflict do nothing returning customer_id"""

_LOCK = """select customer_id from customers where customer_id = any($1::text[])
  order by customer_id for update"""

# In the order of keys, as all who lock orders do: the writer may hold some and want others.
_REPOINT_ORDERS = """with held as (select store, order_id from orders
    where customer_id = any($1::text[]) order by store, order_id for update)
  update orders o set customer_id =
    coalesce((select person from links l where l.customer_id = o.owner), o.owner)
  from held where (o.store, o.order_id) = (held.store, held.order_id)"""

_FRAGMENTS = """select customer_id, type, first_seen, last_seen, traits::text, trait_times, sequence
  from fragments where customer_id = any($1::text[])"""

_KEEP_FRAGMENTS = """insert into fragments
    (customer_id, type, first_seen, last_seen, traits, trait_times, sequence)
  select customer_id, type, first_seen, last_seen, traits::jsonb, trait_times, sequence
  from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[],
    $6::text[], $7::bigint[])
    as new (customer_id, type, first_seen, last_seen, traits, trait_times, sequence)
  order by customer_id
  on conflict (customer_id) do update set type = excluded.type, first_seen = excluded.first_seen,
    last_seen = excluded.last_seen, traits = excluded.traits,
    trait_times = excluded.trait_times, sequence = excluded.sequence"""

_DROP_FRAGMENTS = "delete from fragments where customer_id = any($1::text[])"

_HISTORY = """insert into trait_history (customer_id, path, value, at, message_id, source)
  select customer_id, path, value::jsonb, at, message_id, source
  from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
    as h (customer_id, path, value, at, message_id, source)"""

_encode = msgspec.json.encode
_decode = msgspec.json.decode


async def persons(connection: Connection, customer_ids: Collection[str]) -> dict[str, str]:
    """Whose ids these are, of those that are another customer's."""
    rows = await connection.fetch(_PERSONS, list(customer_ids))
    return {row["customer_id"]: row["person"] for row in rows}


async def ids_of(connection: Connection, customer_ids: Collection[str]) -> dict[str, list[str]]:
    """The other ids of customers; who has none has no entry."""
    found: dict[str, list[str]] = {}
    for row in await connection.fetch(_IDS, list(customer_ids)):
        found.setdefault(row["person"], []).append(row["customer_id"])
    return found


async def news(connection: Connection, claims: Iterable[Claim]) -> list[Claim]:
    """Of claims those that tell something: another, or one that was verified, or told, later than
    now. What was undone stays so, however often it is told."""
    told = earliest(claims)
    columns = [[str(key[place]) for key in told] for place in (0, 1, 2)]
    for row in await connection.fetch(_KNOWN, *columns):
        kept = _claim(row)
        if row["undone_at"] is not None or precedence(kept) <= precedence(told[kept.key]):
            del told[kept.key]
    return list(told.values())


async def claims_of(connection: Connection, customer_ids: Collection[str]) -> list[Claim]:
    """All claims that may join these ids to anybody: to them, and merges of and into them."""
    return [_claim(row) for row in await connection.fetch(_CLAIMS, list(customer_ids))]


def _claim(row: Any) -> Claim:
    return Claim(
        row["customer_id"],
        row["claimant"],
        from_datetime(row["at"]),
        row["message_id"],
        row["source"],
        Link(row["kind"]),
        row["verified"],
    )


async def heard_of(connection: Connection, customer_ids: Collection[str]) -> bool:
    """Whether anything was told of who one of these ids is, or who is theirs, undone or not."""
    return bool(await connection.fetchval(_HEARD_OF, list(customer_ids)))


async def keep_claims(connection: Connection, claims: Iterable[Claim]) -> None:
    """Keep claims; of those known already, what stands of both."""
    rows = [
        (
            each.customer_id, each.claimant, each.kind.value, to_datetime(each.at),
            each.message_id, each.source, each.verified,
        )
        for each in claims
    ]  # fmt: skip
    if rows:
        await connection.execute(_KEEP, *map(list, zip(*rows, strict=True)))


async def redo(connection: Connection, claim: Claim) -> None:
    """Keep a claim as if nobody had made or undone it before."""
    await connection.execute(_DROP, *claim.key)
    await keep_claims(connection, [claim])


async def undo(connection: Connection, customer_id: str, others: Sequence[str], at: int) -> None:
    """Have an id be none of these others' any more, nor they its: neither what was told nor what
    will be, until `redo`."""
    await connection.execute(_UNDO, customer_id, others, to_datetime(at))


async def name(connection: Connection, named: Mapping[str, Identity]) -> None:
    """Keep which identities customer ids stand for."""
    rows = [(who, identity.kind, identity.value) for who, identity in named.items()]
    if rows:
        await connection.execute(_NAME, *map(list, zip(*rows, strict=True)))


async def unnamed(connection: Connection, named: Mapping[str, Identity]) -> dict[str, Identity]:
    """Of what customer ids stand for, what is not kept yet."""
    kept = await connection.fetch(_NAMED, list(named))
    return {who: named[who] for who in named.keys() - {row["customer_id"] for row in kept}}


async def hold(connection: Connection, customer_ids: Collection[str], at: int) -> set[str]:
    """Hold the rows of customers as the writer does, until the transaction ends; which of them were
    not there, and are put so that nobody makes them meanwhile. Waits for who holds them."""
    put: set[str] = set()
    wanted = set(customer_ids)
    while wanted:
        # Sorted as texts compare there, and so do all who take several.
        ids = sorted(wanted)
        put |= {row["customer_id"] for row in await connection.fetch(_PUT, ids, to_datetime(at))}
        # A row that was waited for may be gone by then.
        wanted -= {row["customer_id"] for row in await connection.fetch(_LOCK, ids)}
    return put


async def link(connection: Connection, people: Mapping[str, str], alone: Collection[str]) -> None:
    """Have ids be of these persons, and those that are `alone` nobody's but their own."""
    if alone:
        await connection.execute(_UNLINK, list(alone))
    if people:
        await connection.execute(_LINK, list(people), list(people.values()))


async def repoint_orders(connection: Connection, customer_ids: Collection[str]) -> None:
    """Have the orders of these customers be of whom their owners are by now."""
    await connection.execute(_REPOINT_ORDERS, list(customer_ids))


async def fragments(connection: Connection, customer_ids: Collection[str]) -> dict[str, Fragment]:
    """What came with each id, of those that anything did."""
    return {
        row["customer_id"]: Fragment(
            row["customer_id"],
            from_datetime(row["first_seen"]),
            from_datetime(row["last_seen"]),
            row["type"],
            _decode(row["traits"]),
            decode_times(row["trait_times"]),
            row["sequence"],
        )
        for row in await connection.fetch(_FRAGMENTS, list(customer_ids))
    }


async def keep_fragments(connection: Connection, fragments: Iterable[Fragment]) -> None:
    """Keep what came with ids, in place of what was kept before."""
    rows = [
        (
            each.customer_id, each.type, to_datetime(each.first_seen), to_datetime(each.last_seen),
            _encode(each.traits).decode(), encode_times(each.times), each.sequence,
        )
        for each in fragments
    ]  # fmt: skip
    if rows:
        await connection.execute(_KEEP_FRAGMENTS, *map(list, zip(*rows, strict=True)))


async def drop_fragments(connection: Connection, customer_ids: Collection[str]) -> None:
    """Forget what came with ids: their customers' rows have it again."""
    await connection.execute(_DROP_FRAGMENTS, list(customer_ids))


async def remember(connection: Connection, changes: Iterable[tuple[str, Change]]) -> None:
    """Keep in the history what messages changed under ids of customers who have several."""
    rows = [
        (
            who, change.path, None if change.value is None else _encode(change.value).decode(),
            to_datetime(change.written.at), change.written.message_id, change.written.source,
        )
        for who, change in changes
    ]  # fmt: skip
    if rows:
        await connection.execute(_HISTORY, *map(list, zip(*rows, strict=True)))


async def named(
    connection: Connection, customer_ids: Collection[str]
) -> list[tuple[Identity, bool]]:
    """What the ids of a person stand for, and what was said to be theirs; each with whether that
    is verified."""
    rows = await connection.fetch(_NAMED_OF, list(customer_ids))
    return [(Identity(row["kind"], row["value"]), row["verified"]) for row in rows]


async def guests(connection: Connection, customer_ids: Collection[str]) -> set[str]:
    """Those of these ids that are an address's, or a vendor's id's."""
    rows = await connection.fetch(_NAMED, list(customer_ids))
    return {row["customer_id"] for row in rows if row["kind"] != ANONYMOUS}


async def claimants(connection: Connection, customer_id: str) -> list[str]:
    """Who said that an id is theirs and was not verified, in the order of saying so."""
    rows = await connection.fetch(_CLAIMANTS, customer_id)
    return [row["claimant"] for row in rows]


async def forget(connection: Connection, customer_ids: Collection[str]) -> list[str]:
    """Remove all that joins the ids of an erased person to anything, and what they stand for;
    the ids of identities that nobody else has."""
    ids = list(customer_ids)
    told = {row["customer_id"] for row in await connection.fetch(_CLAIMED_BY, ids)}
    for statement in _FORGET:
        await connection.execute(statement, ids)
    gone = await connection.fetch(_FORGET_UNCLAIMED, list(told | set(ids)))
    return sorted({row["customer_id"] for row in gone} - set(ids))
