"""Events: something that a customer did, at a time of its own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Sources that name no store of their own tell of the orders of one and the same.
DEFAULT_STORE = "default"


class Event(NamedTuple):
    """One event. `at`: microseconds since the epoch, when it happened; `message_id` and `source`
    name the message that told of it, which is taken once; `store`: whose orders it tells of."""

    name: str
    at: int
    properties: Mapping[str, Any]
    message_id: str
    source: str
    store: str = DEFAULT_STORE
