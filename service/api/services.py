"""What the routes work with, built by `service.wiring` and by tests alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.observing import Metrics
from service.flows.assigning import Assigner
from service.flows.consenting import Consenter
from service.flows.erasing import Eraser
from service.flows.importing import Importer
from service.flows.ingesting import Ingestor
from service.flows.jobs import Jobs
from service.flows.linking import Linker
from service.flows.lists import Lists
from service.flows.publishing import Publisher
from service.flows.sources import SourceRing
from service.keyring import KeyRing
from service.live import Live
from service.settings import Settings
from service.store.database import Database
from service.store.vault import Vault
from service.store.writer import Writer


@dataclass(slots=True)
class Services:
    """One process's parts."""

    settings: Settings
    database: Database
    live: Live
    keyring: KeyRing
    sources: SourceRing
    writer: Writer
    assigner: Assigner
    ingestor: Ingestor
    linker: Linker
    consenter: Consenter
    publisher: Publisher
    lists: Lists
    importer: Importer
    jobs: Jobs
    eraser: Eraser
    vault: Vault
    metrics: Metrics
    clock: Callable[[], int]


def services(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found


WithServices = Annotated[Services, Depends(services)]
