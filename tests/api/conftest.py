"""A service behind its HTTP server, on a database of its own."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from service.api.services import Services
from tests.postgres import Databases
from tests.running import Clock, serving

Served = tuple[httpx.AsyncClient, Services]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def served(database_url: str, clock: Clock) -> AsyncIterator[Served]:
    async with serving(database_url, clock) as parts:
        yield parts


@pytest.fixture
def client(served: Served) -> httpx.AsyncClient:
    return served[0]


@pytest.fixture
def services(served: Served) -> Services:
    return served[1]


@pytest.fixture(scope="module")
def shared_url(databases: Databases) -> Iterator[str]:
    with databases.database() as url:
        yield url


@pytest.fixture(scope="module")
async def refusing(shared_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """One service for all that is refused, which leaves no trace."""
    async with serving(shared_url) as (client, _):
        yield client
