"""Loading the demo into a workspace, and taking it out again.

Households come as an import does: what they are and did goes to the writer behind what callers
record, and nobody is mailed because of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from service.core.access import SYSTEM
from service.core.decisions import State
from service.core.events import Event
from service.core.instants import to_datetime
from service.core.profiles import told_of
from service.demo.household import Household
from service.flows.import_storing import Pace, Storing
from service.flows.jobs import REDECIDE, Jobs, Stuck
from service.flows.linking import Linker
from service.flows.lists import Lists
from service.flows.publishing import Publisher, Wanted
from service.intake.imports.told import SOURCE as TOLD_BY
from service.intake.imports.told import Piece, Told, Who
from service.live import Live
from service.store import (
    audit,
    customers,
    events,
    exports,
    jobs,
    models,
    ranks,
    segments,
    traits,
    workspace,
)
from service.store.database import Database, Long
from service.store.writer import Writer

FACT = "demo"
SOURCE = "demo"
# The shop whose orders these are, so that nobody else's are numbered alike.
STORE = "demo"
AT_ONCE = 20  # households, some 12,000 lines of orders
LOOK_AGAIN = 0.2  # s
Progress = Callable[[int, int], None]
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken out: how many customers; and `kept`, the keys of the demo's segments that
    stay because somebody has changed their definition since."""

    customers: int
    kept: tuple[str, ...] = ()


class Demo:
    """The demo of one workspace."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        writer: Writer,
        linker: Linker,
        lists: Lists,
        live: Live,
        jobs: Jobs,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._storing = Storing(writer, linker, live, lists)
        self._live = live
        self._jobs = jobs
        self._clock = clock

    async def state(self) -> dict[str, Any] | None:
        """What is noted of the demo: loaded, removed, or nothing yet."""
        async with self._database.engine.connect() as connection:
            fact: dict[str, Any] | None = await workspace.fact(connection, FACT)
            return fact

    async def begin(self, facts: Mapping[str, Any]) -> None:
        """Note that loading has begun, and of what. What one that was cut off has left goes: its
        dates may have been moved by other weeks."""
        async with self._database.engine.begin() as connection:
            before = await workspace.fact(connection, FACT)
            if before is not None:
                await customers.erase_many(connection, before.get("customers", ()))
            await workspace.note(connection, FACT, {"state": "loading", **facts})

    def _now(self) -> datetime:
        return to_datetime(self._clock())

    async def declare_traits(self, declarations: Mapping[str, Document]) -> None:
        """Declare the demo's traits, and how those are derived that are."""
        async with self._publisher.publication("definition", SOURCE) as connection:
            for name, definition in declarations.items():
                await traits.declare(connection, name, dict(definition), self._now())

    async def save_segments(self, documents: Sequence[Document]) -> dict[str, int]:
        """Save the starter segments, all in one revision; the version of each."""
        wanted = [
            Wanted(
                document["key"],
                document.get("status", "active"),
                {name: value for name, value in document.items() if name not in ("key", "status")},
            )
            for document in documents
        ]
        return {row.key: row.version for row in await self._publisher.save(wanted)}

    async def load(self, households: Iterable[Household], pace: Pace, progress: Progress) -> None:
        """Store all households, at a pace; `progress` hears how many are, and how many orders and
        events they have. Raises Stuck."""
        coming = iter(households)
        stored = happened = 0
        reading = asyncio.create_task(asyncio.to_thread(self._read, coming))
        while (told := await reading).pieces:
            reading = asyncio.create_task(asyncio.to_thread(self._read, coming))
            await self._storing.store(told, pace)
            if told.bad:
                raise Stuck(f"a household of the demo can't be stored: {told.bad[0].detail}")
            stored += len(told.pieces)
            happened += told.counts["events"]
            progress(stored, happened)

    def _read(self, coming: Iterator[Household]) -> Told:
        """What the next households tell; nothing after the last."""
        told = Told()
        for household in islice(coming, AT_ONCE):
            who, now = Who(household.customer_id), self._clock()
            message_id = f"{SOURCE}-{household.customer_id}"
            told.add(who, Piece((0,), now, message_id, household.traits))
            for name, at, message_id, properties in household.events:
                event = Event(name, at, properties, f"{SOURCE}-{message_id}", TOLD_BY, STORE)
                # A line of an order is as much work as a row of a file.
                rows = (0,) * max(1, len(properties.get("products", ())))
                told.add(who, Piece(rows, at, event.message_id, events=(event,)))
            told.count("events", len(household.events))
        return told

    async def refresh_ranks(self) -> None:
        """Rank the households among each other, and decide them again by their ranks. The process's
        jobs have to run."""
        async with self._database.engine.begin() as connection:
            await jobs.enqueue(connection, "ranks", {})
        self._jobs.wake()
        await self.settled()

    async def settled(self) -> None:
        """Wait until no job is at work that ranks or decides customers."""
        while True:
            async with self._database.engine.connect() as connection:
                busy = [await jobs.waiting(connection, kind) for kind in ("ranks", REDECIDE)]
            if not any(busy):
                return
            await asyncio.sleep(LOOK_AGAIN)

    async def profiles(self, names: Sequence[str]) -> dict[str, Document]:
        """Some traits of all customers, given or derived, by their ids. Of ready-made ones only
        those that look at the same events as what conditions read."""
        found: dict[str, Document] = {}
        async with self._database.long(Long.MEASURING) as connection:
            await exports.at_one_instant(connection)
            raw = (await connection.get_raw_connection()).driver_connection
            derivations = self._live.served.derivations
            async for batch in exports.customers(connection):
                states = {state.customer_id: state for state in batch}
                await events.load_histories(raw, states, derivations, -1)
                found |= await asyncio.to_thread(self._told, batch, names)
        return found

    def _told(self, states: Iterable[State], names: Sequence[str]) -> dict[str, Document]:
        catalog, now = self._live.served.catalog, self._clock()
        found: dict[str, Document] = {}
        for state in states:
            traits = {**state.traits, **told_of(catalog, state, now)}
            found[state.customer_id] = {name: traits[name] for name in names if name in traits}
        return found

    async def finish(self, facts: Mapping[str, Any]) -> None:
        """Measure the segments, and note that the demo is here and what belongs to it."""
        await self._jobs.measure()
        async with self._database.engine.begin() as connection:
            await workspace.note(connection, FACT, {"state": "loaded", **facts})

    async def remove(self) -> Removed:
        """Take out what loading put in: customers with their orders and events, segments, traits,
        the model.

        A segment that somebody has changed since is theirs and stays. Segments that stay and read
        what goes are refused with the reason until they are changed.
        """
        state = await self.state()
        if state is None or state["state"] == "removed":
            return Removed(0)
        # Before versions were noted every one was the first.
        versions = dict.fromkeys(state["segments"], 1) | state.get("versions", {})
        async with self._publisher.publication("definition", SOURCE) as connection:
            kept = await segments.changed_since(connection, versions)
            await customers.erase_many(connection, state["customers"])
            await segments.delete_all(connection, sorted(versions.keys() - kept))
            for name in state["traits"]:
                await traits.withdraw(connection, name)
            await ranks.forget(connection, state["traits"])
            await models.remove(connection, state["model"])
            await workspace.note(connection, FACT, {"state": "removed"})
            gone = {"segments": {"before": sorted(versions.keys() - kept)}}
            await audit.record(connection, SYSTEM, self._now(), "demo.removed", SOURCE, gone)
        return Removed(len(state["customers"]), tuple(sorted(kept)))
