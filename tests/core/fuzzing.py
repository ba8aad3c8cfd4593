"""How often properties are tried, and how a random document is read."""

from datetime import UTC
from typing import Any

from hypothesis import HealthCheck, settings

from service.core.conditions import Condition
from service.core.parsing import Invalid, Schema, parse_condition
from tests.core import pools

fuzz = settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SCHEMA = Schema(zone=UTC, types=pools.TYPES)


def parsed(document: Any) -> Condition | None:
    try:
        return parse_condition(document, SCHEMA)
    except Invalid:
        return None


def no_member(key: str) -> bool:
    raise AssertionError(key)
