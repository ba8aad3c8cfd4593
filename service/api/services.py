"""What the routes work with, built by `service.wiring` and by tests alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.observing import Metrics
from service.flows.assigning import Assigner
from service.flows.jobs import Jobs
from service.flows.publishing import Publisher
from service.live import Live
from service.settings import Settings
from service.store.database import Database
from service.store.writer import Writer


@dataclass(slots=True)
class Services:
    """One process's parts."""

    settings: Settings
    database: Database
    live: Live
    writer: Writer
    assigner: Assigner
    publisher: Publisher
    jobs: Jobs
    metrics: Metrics
    clock: Callable[[], int]


def services(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found


WithServices = Annotated[Services, Depends(services)]
