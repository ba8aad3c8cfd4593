"""How Schemathesis writes the media types of lists, which it does not know by itself; and what it
must not take away from its own requests."""

import json
from typing import Any

import schemathesis

# The source whose write key all tracking shows, and one to change in its place.
TRACKING, CHANGED = "tracking", "changed"


@schemathesis.serializer("text/csv", "application/x-ndjson")
def written(context: Any, value: Any) -> bytes:
    """A text as it stands; anything else as one line of JSON."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Keep the write key good, which answers tell the name of the source of."""
    parameters = case.path_parameters or {}
    if case.method != "GET" and parameters.get("source_id") == TRACKING:
        parameters["source_id"] = CHANGED
