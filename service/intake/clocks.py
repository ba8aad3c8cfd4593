"""When a message happened, by a clock that may be wrong.

Segment's specification has it receivedAt - (sentAt - originalTimestamp). Corrected by seconds, an
event would move a little each time that it is sent again; so only a clock that is a minute wrong is
corrected.
"""

from datetime import UTC, datetime
from typing import Any

from service.core.instants import FIRST, MINUTE, from_datetime, parse_instant

LONGEST = 64


def true_time(timestamp: int | None, sent_at: int | None, received_at: int) -> int:
    """The instant of a message, all in microseconds since the epoch: never after its receipt, which
    stands in for a missing `timestamp`."""
    if timestamp is None:
        return received_at
    if sent_at is not None and abs(received_at - sent_at) > MINUTE:
        timestamp = received_at - (sent_at - timestamp)
    return max(min(timestamp, received_at), FIRST)


def instant_of(value: Any) -> int | None:
    """An ISO 8601 text as an instant, a naive one in UTC; None for what is none."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    instant = parse_instant(value, UTC)
    if instant is not None:
        return instant
    try:  # forms that RFC 3339 lacks, such as +0000
        return from_datetime(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None
