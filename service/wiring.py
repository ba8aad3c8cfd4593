"""Builds a process's parts and starts and stops them in order. Only entry points import this."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.api.observing import Metrics
from service.api.services import Services
from service.flows import covering
from service.flows.assigning import Assigner
from service.flows.consenting import Consenter
from service.flows.covering import Coverer
from service.flows.erasing import Eraser
from service.flows.following import Follower
from service.flows.importing import Importer
from service.flows.ingesting import Ingestor
from service.flows.jobs import Jobs
from service.flows.linking import Linker
from service.flows.lists import Lists
from service.flows.publishing import Publisher
from service.flows.ranking import Ranker
from service.flows.resettling import Resettler
from service.flows.sources import SourceRing
from service.flows.upkeep import Upkeep
from service.keyring import KeyRing
from service.live import Live
from service.settings import Settings
from service.store.batches import Limits
from service.store.database import Database
from service.store.erasures import Erasures
from service.store.vault import Vault, open_vault
from service.store.writer import Gauges, Writer


def system_clock() -> int:
    """Microseconds since the epoch, now."""
    return time.time_ns() // 1_000


class Process:
    """All parts of one process over one database. Nothing runs until `running` is entered."""

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        clock: Callable[[], int] = system_clock,
        vault: Vault | None = None,
    ) -> None:
        """`vault`: in place of that of the data folder. Raises VaultRefused."""
        vault = vault or open_vault(settings.data_dir)
        erasures = Erasures(vault)
        self.database = Database(database_url, settings.database_pool)
        self.live = Live()
        self.keyring = KeyRing()
        sources = SourceRing()
        self.follower = Follower(self.database, self.live, self.keyring, sources, settings)
        self.metrics = Metrics()
        self.writer = Writer(
            self.database,
            lambda: self.live.served,
            self.follower.catch_up,
            clock,
            erasures,
            Limits(settings.traits_limit, settings.traits_bytes),
            settings.writer_queue,
            settings.writer_batch,
            Gauges(self.metrics.batch),
        )
        linker = Linker(self.database, self.live, self.follower.catch_up, clock, erasures)
        self.jobs = Jobs(self.database, self.live, self.writer, settings, clock)
        publisher = Publisher(
            self.database, self.live, self.follower, clock, settings, self.jobs.wake
        )
        ranker = Ranker(self.database, self.live, self.follower, publisher.publications, clock)
        resettler = Resettler(self.database, self.writer, settings, clock)
        self.jobs.add_kind("ranks", ranker.refresh)
        self.jobs.add_kind("rates", resettler.settle)
        self.jobs.add_kind(covering.KIND, Coverer(self.database, self.live, clock).count)
        lists = Lists(self.database, publisher.publications, erasures)
        importer = Importer(
            self.database, self.writer, linker, self.live, lists, erasures, settings, clock
        )
        self.jobs.add_kind("import", importer.run)
        self.upkeep = Upkeep(self.database, self.live, publisher, vault, importer, clock)
        self.services = Services(
            settings=settings,
            database=self.database,
            live=self.live,
            keyring=self.keyring,
            sources=sources,
            writer=self.writer,
            assigner=Assigner(self.database, self.live, self.writer, linker, clock),
            ingestor=Ingestor(self.database, self.writer, linker, settings.writer_queue),
            linker=linker,
            consenter=Consenter(self.database, self.writer, erasures, clock),
            publisher=publisher,
            lists=lists,
            importer=importer,
            jobs=self.jobs,
            eraser=Eraser(self.database, erasures, clock),
            vault=vault,
            metrics=self.metrics,
            clock=clock,
        )

    @asynccontextmanager
    async def running(self, *, background: bool = True) -> AsyncIterator[Services]:
        """Load the catalog and the keys, start the writer and (`background`) the follower and the
        jobs; on leaving, finish what was accepted and let go of everything."""
        try:
            await self.follower.look()
            self.writer.start()
            if background:
                self.follower.start()
                self.jobs.start()
                self.upkeep.start()
            try:
                yield self.services
            finally:
                if background:
                    await self.upkeep.stop()
                    await self.jobs.stop()
                    await self.follower.stop()
                await self.writer.stop()
                if self.live.loaded:
                    for model in self.live.served.models:
                        model.scorer.close()
        finally:
            await self.database.close()
