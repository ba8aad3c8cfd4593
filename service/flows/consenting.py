"""Changing what is known of somebody's consent, by one of the workspace's own people or programs.

A change is an event like those that others tell of: kept as it was told, and folded as they are.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.access import Author
from service.core.consent import CHANGED, CHANNELS
from service.core.decisions import Decision, Input
from service.core.events import Event
from service.core.instants import MINUTE
from service.core.problems import Invalid, Problem
from service.flows.arrivals import new_id
from service.store.writer import Writer

SOURCE = "api"
AHEAD = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """What is said of a channel: `status`, `suppressed` (null lifts what suppresses it), `source`
    and `reason`, as far as they are said. `at`: microseconds since the epoch, None for now."""

    channel: str
    said: Mapping[str, Any]
    at: int | None = None


async def change_consent(
    writer: Writer, customer_id: str, change: ConsentChange, now: int, author: Author
) -> Decision:
    """Store a change durably; of a customer who is not known yet too. A change that says when it
    was made counts once, however often it is sent.

    Raises Invalid, Overloaded, StoreUnavailable, NotStored, Erased, Undecidable.
    """
    _check(change, now)
    at = now if change.at is None else change.at
    message_id = new_id("change")
    if change.at is not None:
        content = [customer_id, change.channel, change.at, dict(change.said)]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
        message_id = "change-" + base64.b32encode(digest)[:26].decode().lower()
    properties = {"channel": change.channel, **change.said, "by": author.name}
    event = Event(CHANGED, at, properties, message_id, SOURCE)
    # As of then: whoever was erased since is not revived by it.
    given = Input({}, min(at, now), source=SOURCE, events=[event])
    decision = await writer.submit(customer_id, given)
    assert decision is not None  # noqa: S101 - only a touch answers None
    return decision


def _check(change: ConsentChange, now: int) -> None:
    problems = []
    if change.channel not in CHANNELS:
        detail = f"the channels are {', '.join(CHANNELS)}"
        problems.append(Problem("/path/channel", "bad_value", detail))
    if not change.said.keys() & {"status", "suppressed"}:
        detail = "say the status, or what suppresses the channel"
        problems.append(Problem("/status", "required", detail))
    lifts = "suppressed" in change.said and change.said["suppressed"] is None
    if lifts and not change.said.get("reason"):
        detail = "say why messages may go out again that bounced or were complained of"
        problems.append(Problem("/reason", "required", detail))
    if change.at is not None and change.at > now + AHEAD:
        detail = "this is more than 5 minutes ahead of the service's clock"
        problems.append(Problem("/at", "in_the_future", detail))
    if problems:
        raise Invalid(problems)
