"""Loading the demo into a workspace, and taking it out again."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.core.access import SYSTEM
from service.core.decisions import Input
from service.core.instants import to_datetime
from service.flows.jobs import Jobs
from service.flows.publishing import Publisher, Wanted
from service.store import audit, customers, models, segments, traits, workspace
from service.store.database import Database
from service.store.writer import Writer

FACT = "demo"
SOURCE = "demo"
AT_ONCE = 512
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
        jobs: Jobs,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._writer = writer
        self._jobs = jobs
        self._clock = clock

    async def state(self) -> dict[str, Any] | None:
        """What is noted of the demo: loaded, removed, or nothing yet."""
        async with self._database.engine.connect() as connection:
            fact: dict[str, Any] | None = await workspace.fact(connection, FACT)
            return fact

    async def begin(self, facts: Mapping[str, Any]) -> None:
        """Note that loading has begun, and of what: one that is cut off begins anew."""
        async with self._database.engine.begin() as connection:
            await workspace.note(connection, FACT, {"state": "loading", **facts})

    def _now(self) -> datetime:
        return to_datetime(self._clock())

    async def declare_traits(self, declarations: Mapping[str, Document]) -> None:
        """Declare the types and dimensions of the demo's traits."""
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

    async def load_customers(self, households: Sequence[Document], progress: Progress) -> None:
        """Record every customer through the writer, as a caller would."""
        slots = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def record(customer: Document) -> None:
            nonlocal done
            async with slots:
                given = Input(customer["traits"], self._clock(), source=SOURCE)
                await self._writer.submit(customer["customer_id"], given)
            done += 1
            progress(done, len(households))

        async with asyncio.TaskGroup() as group:
            for customer in households:
                group.create_task(record(customer))

    async def finish(self, facts: Mapping[str, Any]) -> None:
        """Measure the segments, and note that the demo is here and what belongs to it."""
        await self._jobs.measure()
        async with self._database.engine.begin() as connection:
            await workspace.note(connection, FACT, {"state": "loaded", **facts})

    async def remove(self) -> Removed:
        """Take out what loading put in: customers, segments, traits' types, the model.

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
            await models.remove(connection, state["model"])
            await workspace.note(connection, FACT, {"state": "removed"})
            gone = {"segments": {"before": sorted(versions.keys() - kept)}}
            await audit.record(connection, SYSTEM, self._now(), "demo.removed", SOURCE, gone)
        return Removed(len(state["customers"]), tuple(sorted(kept)))
