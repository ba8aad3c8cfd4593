"""Changing what is known of somebody's consent, by one of the workspace's own people or programs.

A change is an event like those that others tell of: kept as it was told, and folded as they are.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.core.access import Author
from service.core.consent import CHANGED, CHANNELS
from service.core.decisions import Decision, Input
from service.core.events import Event
from service.core.instants import MINUTE, to_datetime
from service.core.problems import Invalid, Problem
from service.flows.arrivals import new_id
from service.store import audit
from service.store.database import CANT_READ, Database
from service.store.erasures import Erasures
from service.store.writer import StoreUnavailable, Writer

SOURCE = "api"
AHEAD = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """What is said of a channel: `status`, `suppressed` (null lifts what suppresses it), `source`
    and `reason`, as far as they are said. `at`: microseconds since the epoch, None for now."""

    channel: str
    said: Mapping[str, Any]
    at: int | None = None


class Consenter:
    """Changes what is known of consents, and has the audit tell of it."""

    def __init__(
        self, database: Database, writer: Writer, erasures: Erasures, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._writer = writer
        self._erasures = erasures
        self._clock = clock

    async def change(self, customer_id: str, change: ConsentChange, author: Author) -> Decision:
        """Store a change durably; of a customer who is not known yet too. A change that says when
        it was made counts once, however often it is sent. Where it gives no reason, the author's
        is its.

        Raises Invalid, Overloaded, StoreUnavailable, NotStored, Erased, Undecidable.
        """
        said = dict(change.said)
        if author.reason is not None:
            said.setdefault("reason", author.reason)
        now = self._clock()
        _check(change, said, now)
        at = now if change.at is None else change.at
        message_id = new_id("change")
        if change.at is not None:
            content = [customer_id, change.channel, change.at, said]
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
            message_id = "change-" + base64.b32encode(digest)[:26].decode().lower()
        properties = {"channel": change.channel, **said, "by": author.name}
        event = Event(CHANGED, at, properties, message_id, SOURCE)
        # As of then: whoever was erased since is not revived by it.
        given = Input({}, min(at, now), source=SOURCE, events=[event])
        decision = await self._writer.submit(customer_id, given)
        assert decision is not None  # noqa: S101 - only a touch answers None
        await self._note(decision.state.customer_id, change.channel, author, now)
        return decision

    async def _note(self, customer_id: str, channel: str, author: Author, at: int) -> None:
        """Have the audit tell that a channel was changed; what was said, the customer's own history
        has, until they are erased. Here they are a fingerprint, as an erasure would leave it."""
        subject = f"customers/{self._erasures.fingerprints(customer_id)[0].hex()}"
        about = {"channel": {"after": channel}}
        try:
            async with self._database.engine.begin() as connection:
                action = "customer.consent_changed"
                await audit.record(connection, author, to_datetime(at), action, subject, about)
        except CANT_READ as error:
            raise StoreUnavailable(type(error).__name__) from error


def _check(change: ConsentChange, said: Mapping[str, Any], now: int) -> None:
    problems = []
    if change.channel not in CHANNELS:
        detail = f"the channels are {', '.join(CHANNELS)}"
        problems.append(Problem("/path/channel", "bad_value", detail))
    if not said.keys() & {"status", "suppressed"}:
        detail = "say the status, or what suppresses the channel"
        problems.append(Problem("/status", "required", detail))
    lifts = "suppressed" in said and said["suppressed"] is None
    if lifts and not said.get("reason"):
        detail = "say why messages may go out again that bounced or were complained of"
        problems.append(Problem("/reason", "required", detail))
    if change.at is not None and change.at > now + AHEAD:
        detail = "this is more than 5 minutes ahead of the service's clock"
        problems.append(Problem("/at", "in_the_future", detail))
    if problems:
        raise Invalid(problems)
