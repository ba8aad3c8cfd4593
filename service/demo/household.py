"""What is told of one household."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Something that a household did. `at`: microseconds since the epoch."""

    name: str
    at: int
    message_id: str
    properties: Mapping[str, Any]


class Household(NamedTuple):
    """A household as a customer: what it is, and what it did."""

    customer_id: str
    traits: Mapping[str, Any]
    events: Sequence[Event]
