"""Counting traits: how many customers have each, and which values are frequent."""

import asyncio
from collections.abc import Callable, Sequence

from service.core.coverage import Coverage
from service.core.decisions import State
from service.core.exclusion import excluded
from service.core.instants import MINUTE, from_datetime, local_day, start_of_day, to_datetime
from service.core.profiles import told_of
from service.live import Live, Served
from service.store import coverage, events, exports, jobs
from service.store.coverage import Counted
from service.store.database import Database, Long
from service.store.jobs import JobRow

KIND = "traits"
# Where there are more customers, so many are drawn: a share is off by a quarter of a percentage
# point then, two thirds of the time at least: sqrt(0.5 * 0.5 / 50,000).
SAMPLE = 50_000
# Customers whose events are looked at together.
AT_ONCE = 50
# The first come seldom alone.
SETTLING = MINUTE
# Figures are counted again before their day is over where customers have become so many times more.
GROWTH = 2


class Coverer:
    """Counts the traits of customers."""

    def __init__(self, database: Database, live: Live, clock: Callable[[], int]) -> None:
        self._database = database
        self._live = live
        self._clock = clock

    async def count(self, job: JobRow) -> int:
        """Count all customers, or a sample of many, as they are at one instant, but tests, staff
        and machines; how many were looked at."""
        now = self._clock()
        found = Coverage()
        async with self._database.long(Long.MEASURING) as connection:
            await exports.at_one_instant(connection)
            customers = await exports.count(connection)
            served = self._live.served
            raw = (await connection.get_raw_connection()).driver_connection
            share = SAMPLE / customers if customers > SAMPLE else None
            async for batch in exports.customers(connection, share):
                # What nothing reads is made of all that they did: of some at a time.
                for start in range(0, len(batch), AT_ONCE):
                    some = batch[start : start + AT_ONCE]
                    states = {state.customer_id: state for state in some}
                    await events.load_histories(raw, states, served.catalog.told, -1)
                    await asyncio.to_thread(_count, found, served, some, now)
                    for state in some:
                        state.histories = {}
                    await self._progress(job, found.customers, min(customers, SAMPLE))
        counted = Counted(
            to_datetime(now), found.customers if share is None else customers, found.customers
        )
        async with self._database.engine.begin() as connection:
            await coverage.store(connection, counted, found.found())
        return found.customers

    async def _progress(self, job: JobRow, done: int, total: int) -> None:
        async with self._database.engine.begin() as connection:
            await jobs.progress(connection, job.id, done, max(done, total))


def _count(found: Coverage, served: Served, batch: Sequence[State], now: int) -> None:
    for state in batch:
        if excluded(state.traits):
            continue
        derived = told_of(served.catalog, state, now)
        traits = {**served.derivations.given(state.traits), **derived}
        found.add({name: value for name, value in traits.items() if ":" not in name})


async def count_if_due(database: Database, live: Live, now: int) -> None:
    """Queue a count where there was none today, in the workspace's zone, where customers have
    become many more since, or where the first are there."""
    async with database.engine.begin() as connection:
        last = await coverage.counted(connection)
        if last is None:
            due = await coverage.anybody(connection, to_datetime(now - SETTLING))
        else:
            zone = live.served.catalog.schema.zone
            today = start_of_day(local_day(now, zone), zone)
            due = from_datetime(last.as_of) < today
            due = due or await coverage.roughly(connection) > GROWTH * max(last.customers, 1_000)
        if due and not await jobs.waiting(connection, KIND):
            await jobs.enqueue(connection, KIND, {})
