"""One transaction of the writer: lock, settle, fold, decide, write."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from service.core.decisions import Decision, Input, State, Undecidable
from service.core.instants import to_datetime
from service.core.order_messages import OrderMessage
from service.store import events, fragmenting, identities, states
from service.store.batches import Batch, Limits, Outcome, Serving, Work
from service.store.erasures import Erased, Erasures
from service.store.ordering import messages_of, settle_orders
from service.store.orders import Key


class NewerCatalog(Exception):
    """The database's catalog is newer than ours."""

    def __init__(self, revision: int) -> None:
        super().__init__(revision)
        self.revision = revision


class BeingInserted(Exception):
    """Somebody inserts one of these customers and takes their time over it."""

    def __init__(self, customer_ids: Collection[str]) -> None:
        super().__init__(len(customer_ids))
        self.customer_ids = customer_ids


class OwnersHeld(Exception):
    """Messages tell of orders of somebody else, whose rows others hold. `beside`: by the customer
    whose work tells of them, whose rows it waits for."""

    def __init__(self, beside: Mapping[str, frozenset[str]]) -> None:
        super().__init__(len(beside))
        self.beside = beside


class Unsettled(Exception):
    """Some work with events can't be decided: the transaction can't stand with it. `outcome`: what
    would be answered; `works`: the work in question."""

    def __init__(self, outcome: Outcome, works: Sequence[Work]) -> None:
        super().__init__(len(works))
        self.outcome = outcome
        self.works = list(works)


async def decide_and_write(
    connection: Any,
    served: Serving,
    batch: Sequence[Work],
    clock: Callable[[], int],
    limits: Limits,
    erasures: Erasures,
    *,
    wait: bool,
) -> Outcome:
    """Decide a batch and write what it comes to; at most one piece of work a customer.
    Raises NewerCatalog, BeingInserted, OwnersHeld, Unsettled."""
    waiting = await _beside(connection, batch, wait=wait)
    if waiting:
        names = {work.customer_id for work in waiting}
        batch = [work for work in batch if work.customer_id not in names]
    found, new, moved = await _hold(connection, served, batch, wait=wait)
    apart = [(work, moved[work.customer_id]) for work in batch if work.customer_id in moved]
    batch = [work for work in batch if work.customer_id not in moved] if moved else batch
    late = await _late(connection, erasures, batch, found, new)
    if served.has_lists:
        await states.load_lists(connection, found | new)
    filled = await events.load_histories(connection, found, served.derivations, served.revision)
    timely = [work for work in batch if work.customer_id not in late] if late else batch
    now = clock()
    await fragmenting.begin(connection, timely, {**found, **new})
    told = await _tell(connection, timely, found, new, now)
    owners, tellers = await _settle(connection, served, timely, told, {**found, **new}, now)
    decider = Batch(served, now, limits, told)
    outcome = await _decided(decider, timely, found, new)
    unsettled = [work for work, _ in outcome.failed if work.customer_id in told]
    if unsettled:
        raise Unsettled(outcome, unsettled)
    if owners:
        asked = [Work(who, given, _unheard()) for who, (_, given) in owners.items()]
        theirs = {who: state for who, (state, _) in owners.items()}
        settled = await _decided(decider, asked, theirs, {})
        undecided = {
            work.customer_id for work, error in settled.failed if isinstance(error, Undecidable)
        }
        if undecided:
            raise _owners_held(undecided, tellers)
    if late:
        outcome.failed += [(work, Erased()) for work in batch if work.customer_id in late]
        decider.came_to_nothing += late & new.keys()
    await fragmenting.keep(connection, outcome.decided, served.schema)
    if decider.to_write:
        await states.write(connection, served.revision, decider.to_write, decider.before)
    await _remember(connection, served, decider, filled)
    if decider.came_to_nothing:
        await states.forget(connection, decider.came_to_nothing)
    outcome.moved = apart
    outcome.held += waiting
    return outcome


async def _beside(connection: Any, batch: Sequence[Work], *, wait: bool) -> list[Work]:
    """Lock whose rows works need beside their own, together with those; the works for which they
    are still held by others."""
    needing = [work for work in batch if work.beside]
    if not needing:
        return []
    wanted = {who for work in needing for who in (work.customer_id, *work.beside)}
    found, _ = await states.lock(connection, sorted(wanted), wait=wait)
    away = wanted - found.keys()
    if wait or not away:
        return []
    held = (await states.read(connection, sorted(away))).keys()
    return [work for work in needing if not held.isdisjoint(work.beside)]


async def _hold(
    connection: Any, served: Serving, batch: Sequence[Work], *, wait: bool
) -> tuple[dict[str, State], dict[str, State], dict[str, str]]:
    """Lock the rows of a batch, and put those that are missing: the states found, the new ones,
    and whose the ids are by now that are no customer's own. Raises NewerCatalog, BeingInserted."""
    found, head = await states.lock(connection, [work.customer_id for work in batch], wait=wait)
    _check(served, head, found)
    moved = await _moved(connection, batch, found)
    for customer_id in moved:
        found.pop(customer_id, None)
    missing = {
        work.customer_id: work.given
        for work in batch
        if work.given is not None
        and work.customer_id not in found
        and work.customer_id not in moved
    }
    if not missing:
        return found, {}, moved
    try:
        new, head = await states.insert(connection, missing)
    except asyncpg.LockNotAvailableError as error:
        raise BeingInserted(missing) from error
    _check(served, head, new)
    # Who joins an id to somebody holds its row meanwhile, so it may be joined by now.
    joined = await identities.persons(connection, new)
    if joined:
        await states.forget(connection, list(joined))
        new = {who: state for who, state in new.items() if who not in joined}
    return found, new, moved | joined


async def _moved(
    connection: Any, batch: Sequence[Work], found: Mapping[str, State]
) -> dict[str, str]:
    """By customer, who is to be decided instead: where an id is somebody else's, or no more the
    customer's that its work was queued for."""
    came_with = {
        work.customer_id: work.given.came_with or work.customer_id
        for work in batch
        if work.given is not None and (work.given.came_with or work.customer_id not in found)
    }
    if not came_with:
        return {}
    persons = await identities.persons(connection, set(came_with.values()))
    whose = {who: persons.get(told, told) for who, told in came_with.items()}
    return {who: person for who, person in whose.items() if who != person}


async def _decided(
    decider: Batch, batch: Sequence[Work], found: Mapping[str, State], new: Mapping[str, State]
) -> Outcome:
    if decider.served.blocking:
        return await asyncio.to_thread(decider.decide, batch, found, new)
    return decider.decide(batch, found, new)


def _unheard() -> asyncio.Future[Decision | None]:
    return asyncio.get_running_loop().create_future()


async def _tell(
    connection: Any,
    batch: Sequence[Work],
    found: Mapping[str, State],
    new: Mapping[str, State],
    now: int,
) -> dict[str, Input]:
    """Keep the events of a batch. By customer, what those who have some are given, without the
    events that were known before."""
    telling = {
        work.customer_id: work.given
        for work in batch
        if work.given is not None
        and work.given.events
        and (work.customer_id in found or work.customer_id in new)
    }
    if not telling:
        return {}
    # Events keep the id that they came with.
    pairs = [
        (given.came_with or who, event) for who, given in telling.items() for event in given.events
    ]
    fresh = await events.insert(connection, pairs, to_datetime(now))
    told = {}
    for customer_id, given in telling.items():
        kept = []
        for event in given.events:
            key = (event.source, event.message_id)
            if key in fresh:
                # Told twice in one batch, it counts once, for the first who told it.
                fresh.discard(key)
                kept.append(event)
        known = len(kept) < len(given.events)
        told[customer_id] = replace(given, events=tuple(kept)) if known else given
    return told


async def _settle(
    connection: Any,
    served: Serving,
    batch: Sequence[Work],
    told: dict[str, Input],
    ours: Mapping[str, State],
    now: int,
) -> tuple[dict[str, tuple[State, Input]], dict[str, set[str]]]:
    """Settle the orders that events tell of. Whose orders changed is given all of theirs: in
    `told` who is in the batch, and answered those who are not, whose rows are locked from here on;
    besides, by whose orders these are, whose work told of them. Raises OwnersHeld."""
    given = {work.customer_id: work.given for work in batch} | told
    messages: list[OrderMessage] = []
    told_by: dict[Key, set[str]] = {}
    for who, each in told.items():
        of_them = messages_of({each.came_with or who: each.events})
        messages += of_them
        for message in of_them:
            told_by.setdefault(message.key, set()).add(who)
    unsettled = set()
    for who, known in given.items():
        for key in known.unsettled if known is not None else ():
            unsettled.add(key)
            told_by.setdefault(key, set()).add(who)
    if not told_by:
        return {}, {}
    derivations = served.derivations
    told_of = await settle_orders(
        connection, messages, unsettled, derivations.base_currency, derivations.zone, now
    )
    if not derivations.read_orders:
        return {}, {}
    persons = await identities.persons(connection, told_of.keys() - ours.keys())
    tellers: dict[str, set[str]] = {}
    for owner, keys in told_of.items():
        theirs = tellers.setdefault(persons.get(owner, owner), set())
        theirs.update(*(told_by[key] for key in keys))
    others = await _lock_others(connection, served, sorted(tellers.keys() - ours.keys()), tellers)
    orders = await events.counted_orders(connection, sorted(tellers), derivations)
    looked_at = Input({}, now, source="orders", seen=False)
    # Whose own work came too late is looked at like those who have none.
    late = tellers.keys() & ours.keys() - given.keys()
    others |= {who: ours[who] for who in late if ours[who].decided_at is not None}
    for who in tellers.keys() & given.keys():
        told[who] = replace(given[who] or looked_at, orders=orders.get(who, ()))
    asked = {
        who: (state, replace(looked_at, orders=orders.get(who, ())))
        for who, state in others.items()
    }
    return asked, tellers


def _owners_held(owners: Collection[str], tellers: Mapping[str, Collection[str]]) -> OwnersHeld:
    """What is said of owners whose rows can't be had, by who told of their orders."""
    beside: dict[str, frozenset[str]] = {}
    for owner in owners:
        for who in tellers[owner]:
            beside[who] = beside.get(who, frozenset()) | {owner}
    return OwnersHeld(beside)


async def _lock_others(
    connection: Any,
    served: Serving,
    customer_ids: Sequence[str],
    tellers: Mapping[str, Collection[str]],
) -> dict[str, State]:
    """Lock and read customers beside those of the batch. Raises OwnersHeld, NewerCatalog."""
    if not customer_ids:
        return {}
    found, head = await states.lock(connection, customer_ids)
    _check(served, head, found)
    away = [who for who in customer_ids if who not in found]
    held = await states.read(connection, away) if away else {}
    if held:
        raise _owners_held(held.keys(), tellers)
    if served.has_lists:
        await states.load_lists(connection, found)
    await events.load_histories(connection, found, served.derivations, served.revision)
    return found


async def _remember(connection: Any, served: Serving, decider: Batch, filled: set[str]) -> None:
    """Write the timelines that events were put into, or that were made anew."""
    touched = {state.customer_id: state for state in decider.remembered}
    for decision, _ in decider.to_write:
        if decision.state.customer_id in filled:
            touched[decision.state.customer_id] = decision.state
    if touched:
        await events.write_histories(connection, touched.values(), served.derivations.series)


async def _late(
    connection: Any,
    erasures: Erasures,
    batch: Sequence[Work],
    found: Mapping[str, State],
    new: Mapping[str, State],
) -> frozenset[str]:
    """Customers who were erased after their work was received. Whoever erases holds the row, so who
    has one was not erased since it began: only new rows and older work are looked up."""
    dated: dict[str, int] = {}
    for work in batch:
        if work.given is None:
            continue
        held = found.get(work.customer_id)
        if held is None or work.given.at < held.first_seen:
            dated[work.customer_id] = work.given.at
        if work.given.came_with is not None:
            dated[work.given.came_with] = work.given.at
    erased = await erasures.late(connection, dated) if dated else frozenset[str]()
    if not erased:
        return erased
    return frozenset(
        work.customer_id
        for work in batch
        if work.customer_id in erased or (work.given is not None and work.given.came_with in erased)
    )


def _check(served: Serving, head: int | None, found: Mapping[str, State]) -> None:
    newest = max((state.catalog_revision for state in found.values()), default=0)
    newest = max(newest, head or 0)
    if newest > served.revision:
        raise NewerCatalog(newest)
