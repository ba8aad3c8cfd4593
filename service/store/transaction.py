"""One transaction of the writer: lock, settle, fold, decide, write."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from service.core.deciding import Input, State
from service.core.instants import to_datetime
from service.store import events, states
from service.store.batches import Batch, Limits, Outcome, Serving, Work
from service.store.erasures import Erased, Erasures
from service.store.events import Key


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
    Raises NewerCatalog, BeingInserted."""
    ids = [work.customer_id for work in batch]
    found, head = await states.lock(connection, ids, wait=wait)
    _check(served, head, found)
    new: dict[str, State] = {}
    missing = {
        work.customer_id: work.given.at
        for work in batch
        if work.given is not None and work.customer_id not in found
    }
    if missing:
        try:
            new, head = await states.insert(connection, missing)
        except asyncpg.LockNotAvailableError as error:
            raise BeingInserted(missing) from error
        _check(served, head, new)
    late = await _late(connection, erasures, batch, found, new)
    if served.has_lists:
        for customer_id, keys in (await states.read_lists(connection, ids)).items():
            state = found.get(customer_id) or new.get(customer_id)
            if state is not None:
                state.lists = keys
    filled = await events.load_histories(connection, found, served.derivations, served.revision)
    timely = [work for work in batch if work.customer_id not in late] if late else batch
    told = await _tell(connection, timely, found, new, clock())
    decider = Batch(served, clock(), limits, told.given)
    if served.blocking:
        outcome = await asyncio.to_thread(decider.decide, timely, found, new)
    else:
        outcome = decider.decide(timely, found, new)
    if late:
        outcome.failed += [(work, Erased()) for work in batch if work.customer_id in late]
        decider.came_to_nothing += late & new.keys()
    if decider.to_write:
        await states.write(connection, served.revision, decider.to_write, decider.before)
    await _remember(connection, served, decider, filled)
    if told.fresh and outcome.failed:
        failed = {work.customer_id for work, _ in outcome.failed}
        await events.forget(connection, [key for key, who in told.fresh.items() if who in failed])
    if decider.came_to_nothing:
        await states.forget(connection, decider.came_to_nothing)
    return outcome


class _Told:
    """The events of a batch that nobody had told of before, each with its customer, and what each
    customer is given without those that are known."""

    def __init__(self) -> None:
        self.fresh: dict[Key, str] = {}
        self.given: dict[str, Input] = {}


async def _tell(
    connection: Any,
    batch: Sequence[Work],
    found: Mapping[str, State],
    new: Mapping[str, State],
    now: int,
) -> _Told:
    told = _Told()
    telling = {
        work.customer_id: work.given
        for work in batch
        if work.given is not None
        and work.given.events
        and (work.customer_id in found or work.customer_id in new)
    }
    if not telling:
        return told
    pairs = [(who, event) for who, given in telling.items() for event in given.events]
    fresh = await events.insert(connection, pairs, to_datetime(now))
    for customer_id, given in telling.items():
        kept = {}
        for event in given.events:
            key = (event.source, event.message_id)
            if key in fresh:
                # The same message twice in one request counts once, for the first who told it.
                fresh.discard(key)
                told.fresh[key] = customer_id
                kept[key] = event
        told.given[customer_id] = replace(given, events=tuple(kept.values()))
    return told


async def _remember(connection: Any, served: Serving, decider: Batch, filled: set[str]) -> None:
    """Write the timelines that events were put into, or that were made anew."""
    if not served.derivations.series:
        return
    touched = [
        decision.state
        for decision, _ in decider.to_write
        if decision.remembered or decision.state.customer_id in filled
    ]
    if touched:
        await events.write_histories(connection, touched, served.derivations.series)


async def _late(
    connection: Any,
    erasures: Erasures,
    batch: Sequence[Work],
    found: Mapping[str, State],
    new: Mapping[str, State],
) -> frozenset[str]:
    """Customers who were erased after their work was received. Whoever erases holds the row, so who
    has one was not erased since it began: only new rows and older work are looked up."""
    dated = {
        work.customer_id: work.given.at
        for work in batch
        if work.given is not None
        and (
            work.customer_id in new
            or ((state := found.get(work.customer_id)) and work.given.at < state.first_seen)
        )
    }
    return await erasures.late(connection, dated) if dated else frozenset()


def _check(served: Serving, head: int | None, found: Mapping[str, State]) -> None:
    newest = max((state.catalog_revision for state in found.values()), default=0)
    newest = max(newest, head or 0)
    if newest > served.revision:
        raise NewerCatalog(newest)
