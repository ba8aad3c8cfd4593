"""How Schemathesis writes the media types of lists, which it does not know by itself."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("text/csv", "application/x-ndjson")
def written(context: Any, value: Any) -> bytes:
    """A text as it stands; anything else as one line of JSON."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
