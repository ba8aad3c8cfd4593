"""The events that `/assign` takes: as they are told, their times never corrected."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.core import consent
from service.core.events import Event
from service.core.instants import MINUTE
from service.core.order_messages import KINDS, order_message
from service.core.problems import Invalid, Problem, escape
from service.core.traits import describe
from service.intake.clocks import instant_of

SOURCE = "assign"
NAME_LENGTH = 256
MESSAGE_ID_LENGTH = 100
EVENTS_LIMIT = 100
AHEAD = 5 * MINUTE
MEMBERS = ("event", "properties", "timestamp", "message_id")


def events_of(
    told: Sequence[Any], customer_id: str | None, now: int, new_id: Callable[[], str]
) -> list[Event]:
    """`[{"event", "properties", "timestamp", "message_id"}]` as events. One without an id gets one
    that follows from what it says, so that it counts once however often it is sent; one without a
    time happened now, and counts each time (`new_id` names it). Raises Invalid."""
    problems: list[Problem] = []
    if len(told) > EVENTS_LIMIT:
        detail = f"a request holds {EVENTS_LIMIT} events at most"
        raise Invalid([Problem("/events", "too_many", detail)])
    events = []
    for index, document in enumerate(told):
        reading = _Reading(f"/events/{index}", problems)
        event = reading.event(document, customer_id, now, new_id)
        if event is not None:
            events.append(event)
    if problems:
        raise Invalid(problems)
    return events


class _Reading:
    def __init__(self, pointer: str, problems: list[Problem]) -> None:
        self.pointer = pointer
        self.problems = problems

    def refuse(self, place: str, code: str, detail: str) -> None:
        self.problems.append(Problem(f"{self.pointer}{place}", code, detail))

    def event(
        self, document: Any, customer_id: str | None, now: int, new_id: Callable[[], str]
    ) -> Event | None:
        before = len(self.problems)
        if not isinstance(document, Mapping):
            detail = f"expected an event: an object, got {describe(document)}"
            self.refuse("", "type", detail)
            return None
        for name in document:
            if name not in MEMBERS:
                known = ", ".join(MEMBERS)
                detail = f'"{name}" is not understood here; there are {known}'
                self.refuse(f"/{escape(name)}", "unknown_property", detail)
        name = document.get("event")
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_LENGTH:
            detail = f"an event has a name of 1-{NAME_LENGTH} characters"
            self.refuse("/event", "required", detail)
        properties = document.get("properties", {})
        if not isinstance(properties, Mapping):
            detail = f"properties are an object, not {describe(properties)}"
            self.refuse("/properties", "type", detail)
        at = self.instant(document.get("timestamp"), now)
        message_id = document.get("message_id")
        if message_id is not None and (
            not isinstance(message_id, str) or not 1 <= len(message_id) <= MESSAGE_ID_LENGTH
        ):
            detail = f"a message id is a text of 1-{MESSAGE_ID_LENGTH} characters"
            self.refuse("/message_id", "bad_value", detail)
        if len(self.problems) > before:
            return None
        if message_id is None:
            timed = "timestamp" in document
            message_id = _derived(customer_id, document) if timed else new_id()
        event = Event(str(name), at, properties, message_id, SOURCE)
        told: object = consent.told(event)
        if event.name in KINDS:
            told = order_message(event, event.store, customer_id)
        if isinstance(told, list):
            for problem in told:
                self.refuse(problem.pointer, problem.code, problem.detail)
        return event

    def instant(self, written: Any, now: int) -> int:
        if written is None:
            return now
        at = instant_of(written)
        if at is None:
            detail = f"expected an RFC 3339 instant, got {describe(written)}"
            self.refuse("/timestamp", "bad_value", detail)
            return now
        if at > now + AHEAD:
            detail = "this is more than 5 minutes ahead of the service's clock"
            self.refuse("/timestamp", "in_the_future", detail)
        return at


def _derived(customer_id: str | None, document: Mapping[str, Any]) -> str:
    content = [customer_id, *(document.get(name) for name in MEMBERS[:3])]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return "derived-" + base64.b32encode(digest)[:26].decode().lower()
