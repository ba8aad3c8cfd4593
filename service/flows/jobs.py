"""Background work of this process: re-deciding customers, and measuring segments."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.decisions import Decision, Undecidable
from service.core.instants import to_datetime
from service.core.parsing import Invalid
from service.live import Live
from service.settings import Settings
from service.store import catalogs, jobs, lists, metrics
from service.store.batches import NotStored
from service.store.database import CANT_READ, Database, Long
from service.store.jobs import JobRow
from service.store.writer import Overloaded, StoreUnavailable, Writer

log = structlog.get_logger()

REDECIDE = "redecide"
BLOCK = 512
# Ids of a list that are compared with its members at once, of which few may differ.
LIST_BLOCK = 2_048
PAUSE_AFTER_FAILURE = 1.0  # s
PAUSE_WHILE_HELD = 0.1  # s

_OUTDATED = text("select count(*) from customers where catalog_revision < :revision")
_NEXT = text("""
  select customer_id from customers
  where customer_id > :after and catalog_revision < :revision
  order by customer_id limit :limit""")


class Stuck(RuntimeError):
    """A job can't come to its end; the text says why, without naming customers."""


# Why a customer was not decided: something that passes, or the customer's own data.
NOT_NOW = Overloaded | StoreUnavailable | Undecidable
NEVER = NotStored | Invalid


class Jobs:
    """Runs queued jobs one at a time, shared by lease with other processes, and refreshes
    segments' metrics when something has changed."""

    def __init__(
        self,
        database: Database,
        live: Live,
        writer: Writer,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._live = live
        self._writer = writer
        self._settings = settings
        self._clock = clock
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._measured: int | None = None
        self._kinds: dict[str, Callable[[JobRow], Awaitable[int]]] = {"redecide": self._redecide}

    def add_kind(self, kind: str, run: Callable[[JobRow], Awaitable[int]]) -> None:
        """Have another kind of job done by a coroutine function, which answers how many customers,
        or whatever it is about, it was done for."""
        self._kinds[kind] = run

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [
            asyncio.create_task(self._run_jobs(), name="jobs"),
            asyncio.create_task(self._measure_regularly(), name="measuring"),
        ]

    async def stop(self) -> None:
        """Stop; a job under way is left to whoever takes over its lapsed lease."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def wake(self) -> None:
        """Look for queued jobs now."""
        self._wake.set()

    async def _run_jobs(self) -> None:
        while True:
            try:
                async with self._database.engine.begin() as connection:
                    job = await jobs.claim(connection)
                if job is not None:
                    await self._run(job)
                    continue
            except CANT_READ as error:
                log.warning("jobs_wait", error=type(error).__name__)
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
            self._wake.clear()
            # Not wait_for, which loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.catalog_poll):
                    await self._wake.wait()

    async def _run(self, job: JobRow) -> None:
        log.info("job_started", id=job.id, kind=job.kind)
        try:
            done = await self._kinds[job.kind](job)
        except CANT_READ:
            raise  # its lease lapses and it is taken up again
        except Exception as error:
            stuck = isinstance(error, Stuck)
            why = str(error) if stuck else type(error).__name__
            trace = None if stuck else error
            log.error("job_failed", id=job.id, kind=job.kind, reason=why, exc_info=trace)
            async with self._database.engine.begin() as connection:
                await jobs.fail(connection, job.id, why)
            return
        async with self._database.engine.begin() as connection:
            await jobs.finish(connection, job.id, done)
        log.info("job_done", id=job.id, kind=job.kind, customers=done)
        if done:
            await self.measure()

    async def _redecide(self, job: JobRow) -> int:
        """Have customers decided whom an older catalog decided last: where nothing but lists has
        changed those who came or went, else everyone."""
        on_lists = job.detail.get("cause") in ("list", "import")
        async with self._database.engine.connect() as connection:
            revision = await catalogs.head_revision(connection)
            if on_lists:
                total = job.detail.get("changed", 0)
            else:
                total = (await connection.execute(_OUTDATED, {"revision": revision})).scalar_one()
        done = 0
        for key in job.detail["segments"] if on_lists else [None]:
            done = await self._redecide_those(job, key, revision, done, total)
        if on_lists:
            async with self._database.engine.begin() as connection:
                # Ids that are no customers yet were counted, and could not be decided.
                await jobs.progress(connection, job.id, done, done)
        return done

    async def _redecide_those(
        self, job: JobRow, key: str | None, revision: int, done: int, total: int
    ) -> int:
        """Those whom a list concerns (None: everyone): `done` and how many were decided here."""
        after, met = "", False
        while True:
            async with self._database.engine.begin() as connection:
                await jobs.progress(connection, job.id, done, max(total, done))
                if key is None:
                    ids, last = await _outdated(connection, revision, after)
                else:
                    ids, last = await lists.unsettled(connection, key, revision, after, LIST_BLOCK)
            if ids:
                met = True
                done += await self._touch(ids)
            if last is not None:
                after = last
            elif met:
                # Rows that others held were passed over: look again from the start.
                after, met = "", False
            else:
                return done

    async def _touch(self, ids: list[str]) -> int:
        answers = await asyncio.gather(
            *(self._writer.touch(customer_id) for customer_id in ids), return_exceptions=True
        )
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        for failure in failures:
            if not isinstance(failure, NOT_NOW | NEVER):
                raise failure
        if any(isinstance(failure, NOT_NOW) for failure in failures):
            await asyncio.sleep(PAUSE_AFTER_FAILURE)
        poisoned = sum(isinstance(failure, NEVER) for failure in failures)
        if poisoned == len(ids):
            who = "1 customer" if poisoned == 1 else f"{poisoned} customers"
            raise Stuck(f"{who} can't be decided: the database refuses what they came to")
        # None is the answer for who is gone, or held by others and met again.
        decided = sum(isinstance(answer, Decision) for answer in answers)
        if not decided:
            await asyncio.sleep(PAUSE_WHILE_HELD)
        return decided

    async def _measure_regularly(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._measure_if_changed()
            except CANT_READ as error:
                log.warning("not_measured", error=type(error).__name__)
            spent = time.monotonic() - started
            # Measuring takes a twentieth of the time at most, however many customers there are.
            await asyncio.sleep(max(self._settings.metrics_interval, 20 * spent))

    async def _measure_if_changed(self) -> None:
        async with self._database.engine.connect() as connection:
            activity = await metrics.activity(connection)
        if activity != self._measured:
            self._measured = activity
            await self.measure()

    async def measure(self) -> None:
        """Refresh the metrics of all segments, unless another process is at it."""
        # Of millions it takes longer than a statement may take otherwise.
        measuring = self._database.long(Long.MEASURING)
        async with measuring as connection, connection.begin():
            if await metrics.try_lock(connection):
                now = to_datetime(self._clock())
                await metrics.store(connection, now, await metrics.measure(connection, now))


async def _outdated(
    connection: AsyncConnection, revision: int, after: str
) -> tuple[list[str], str | None]:
    """The next customers whom an older catalog decided, and the last of them, None at the end."""
    rows = await connection.execute(_NEXT, {"after": after, "revision": revision, "limit": BLOCK})
    ids = [row.customer_id for row in rows]
    return ids, ids[-1] if ids else None
