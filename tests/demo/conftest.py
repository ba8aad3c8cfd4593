from typing import Any

import pytest

from service.demo.given import given_traits
from service.demo.journey import Journey
from service.demo.tables import Tables, read_tables
from tests.demo import oracle


@pytest.fixture(scope="session")
def tables() -> Tables:
    return read_tables()


@pytest.fixture(scope="session")
def journey(tables: Tables) -> Journey:
    return Journey.of(tables, oracle.NOW)


@pytest.fixture(scope="session")
def traits(journey: Journey) -> dict[str, dict[str, Any]]:
    """By customer, what is told of them and what the service is to derive."""
    derived = oracle.derived(journey)
    told = given_traits(journey)
    return {who: {**given, **derived[who]} for who, given in zip(derived, told, strict=True)}
