"""Asynchronous tests run on the loop that the service runs on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.api.services import Services
from tests.running import connected, running


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    async with running(database_url) as parts:
        yield parts


@pytest.fixture
async def outsider(database_url: str) -> AsyncIterator[Any]:
    async with connected(database_url) as connection:
        yield connection
