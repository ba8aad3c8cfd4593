"""Fixtures that every test may use."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.serving import Service, service_of

STARTED_HERE = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Name the run, so that the processes which xdist starts share its server."""
    config.stash[STARTED_HERE] = postgres.RUN not in os.environ
    os.environ.setdefault(postgres.RUN, uuid.uuid4().hex[:12])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running: wait until the run's server has stopped."""
    if not config.stash.get(STARTED_HERE, False):
        return
    until = time.monotonic() + 30
    while (folder := postgres.run_dir()).exists():
        if time.monotonic() > until:
            raise RuntimeError(f"the test server of {folder} still runs")
        time.sleep(0.01)
    del os.environ[postgres.RUN]


@pytest.fixture(scope="session")
def databases() -> Iterator[postgres.Databases]:
    """The run's PostgreSQL server, started when the first test needs it."""
    with postgres.shared_server() as server:
        yield server


@pytest.fixture
def database_url(databases: postgres.Databases) -> Iterator[str]:
    """A database of this test's own, with the schema: `postgresql://...`, plain."""
    with databases.database() as url:
        yield url


@pytest.fixture(scope="module")
def service(
    databases: postgres.Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A running service without customers and segments, for all tests of a module."""
    with service_of(databases, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def fresh(databases: postgres.Databases, tmp_path: Path) -> Iterator[Service]:
    """A running service of this test's own, without customers and segments."""
    with service_of(databases, tmp_path) as running:
        yield running
