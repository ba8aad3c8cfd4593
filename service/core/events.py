"""Events: something that a customer did, at a time of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `at`: microseconds since the epoch, when it happened; `message_id` and `source`
    name the message that told of it, which is taken once."""

    name: str
    at: int
    properties: Mapping[str, Any]
    message_id: str
    source: str
