from typing import Any

import pytest

from service.core.catalog import Catalog
from service.demo.journey import Journey
from service.demo.tables import Tables, read_tables
from tests.demo import oracle
from tests.demo.matching import starter_catalog


@pytest.fixture(scope="session")
def tables() -> Tables:
    return read_tables()


@pytest.fixture(scope="session")
def journey(tables: Tables) -> Journey:
    return Journey.of(tables, oracle.NOW)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return starter_catalog()


@pytest.fixture(scope="session")
def traits(journey: Journey) -> dict[str, dict[str, Any]]:
    """By customer, what is told of them and what the service is to derive."""
    return oracle.traits(journey)
