"""What the service does by itself as time goes by: archive what has expired, forget old
answers and what imports have left, take a new secret key, have ranks and traits counted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM
from service.core.instants import MINUTE, from_datetime, local_day, start_of_day, to_datetime
from service.core.references import users_of
from service.flows.covering import count_if_due
from service.flows.importing import Importer
from service.flows.publications import Conflict, Unknown
from service.flows.publishing import Publisher
from service.live import Live
from service.store import idempotency, import_rejects, jobs, ranks, segments
from service.store.database import CANT_READ, Database
from service.store.vault import Vault

log = structlog.get_logger()

EVERY = 1.0  # s
# Answers of requests with an Idempotency-Key.
ANSWERS_KEPT = timedelta(days=1)
# Rows of uploaded files that were not imported.
REJECTS_KEPT = timedelta(days=7)
EXPIRED = replace(SYSTEM, reason="its expires_at has passed")


class Upkeep:
    """Looks once a second; every process may, as what one has done is not there for the next."""

    def __init__(
        self,
        database: Database,
        live: Live,
        publisher: Publisher,
        vault: Vault,
        importer: Importer,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._live = live
        self._publisher = publisher
        self._vault = vault
        self._importer = importer
        self._tidied: int | None = None
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="upkeep")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
                self._vault.look()
            except CANT_READ as error:
                log.warning("upkeep_waits", error=type(error).__name__)
            except Exception:
                # One segment that can't be archived must not end all upkeep for good.
                log.exception("upkeep_failed")
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Do all that is due now."""
        now = to_datetime(self._clock())
        async with self._database.engine.begin() as connection:
            due = await segments.expired(connection, now)
            await idempotency.purge(connection, now - ANSWERS_KEPT)
            await import_rejects.purge(connection, now - REJECTS_KEPT)
            await self._rank_daily(connection)
        await self._tidy()
        await count_if_due(self._database, self._live, self._clock())
        for key in due:
            # Asked before the catalog's head is locked: what others use stays due for long.
            if users_of(key, self._live.served.catalog.segments.values()):
                continue
            # Somebody has begun to use it, or taken it away, this moment.
            with suppress(Conflict, Unknown):
                await self._publisher.archive(key, author=EXPIRED)

    async def _tidy(self) -> None:
        """Each minute remove the files here that imports have left."""
        now = self._clock()
        if self._tidied is None or now >= self._tidied + MINUTE:
            self._tidied = now
            await self._importer.tidy()

    async def _rank_daily(self, connection: AsyncConnection) -> None:
        """Have ranks refreshed when a day begins in the workspace's zone."""
        last = await ranks.oldest(connection)
        if last is None:
            return
        zone = self._live.served.catalog.schema.zone
        today = start_of_day(local_day(self._clock(), zone), zone)
        if from_datetime(last) < today and not await jobs.waiting(connection, "ranks"):
            await jobs.enqueue(connection, "ranks", {})
