from datetime import UTC, datetime
from typing import Any

import pytest

from service.demo.households import Customer, customers
from service.demo.tables import Tables, read_tables

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="session")
def tables() -> Tables:
    return read_tables()


@pytest.fixture(scope="session")
def households(tables: Tables) -> list[Customer]:
    return customers(tables, NOW)


@pytest.fixture(scope="session")
def traits(households: list[Customer]) -> dict[str, dict[str, Any]]:
    return {customer["customer_id"]: customer["traits"] for customer in households}
