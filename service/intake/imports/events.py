"""Rows that are events. One without a message id is known by what it says, and by which of several
alike it is: a file that is imported again, or that has become longer, tells nothing twice."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from service.core.events import Event
from service.core.order_messages import KINDS, order_message
from service.intake.imports.rows import Reading, Refused
from service.intake.imports.told import SOURCE, Bad, Piece, Row, Terms, Told, Who
from service.intake.imports.understanding import Plan

NAME_LENGTH = 256
MESSAGE_ID_LENGTH = 100

_encode = msgspec.json.Encoder(order="deterministic").encode


class Events:
    """Reads the events of a file."""

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self._reading = Reading(plan, terms)
        self._plan = plan
        self._properties = self._reading.below("properties")

    def read(self, rows: Iterable[Row]) -> Told:
        """What rows tell, among which are all of each customer's."""
        told = Told()
        alike: dict[bytes, int] = {}
        for row in rows:
            try:
                who, piece = self._row(row, alike)
            except Refused as refused:
                told.bad.append(Bad(row.number, refused.column, refused.code, refused.detail))
            else:
                told.add(who, piece)
                told.count("events")
        return told

    def _row(self, row: Row, alike: dict[bytes, int]) -> tuple[Who, Piece]:
        reading, cells = self._reading, row.cells
        who = reading.who(cells)
        if who is None:
            raise Refused(None, "no_customer", "this names no customer")
        name = reading.text(cells, "event")
        if name is None or len(name) > NAME_LENGTH:
            detail = f"an event has a name of 1-{NAME_LENGTH} characters"
            raise reading.refused("event", "required", detail)
        at = reading.instant(cells, "timestamp")
        if at is None:
            raise reading.refused("timestamp", "required", "when was it? This is empty")
        properties: dict[str, Any] = dict(reading.object(cells, "properties"))
        reading.put_values(properties, cells, "properties", self._properties)
        message_id = reading.text(cells, "message_id")
        if message_id is not None and len(message_id) > MESSAGE_ID_LENGTH:
            detail = f"a message id has {MESSAGE_ID_LENGTH} characters at most"
            raise reading.refused("message_id", "too_long", detail)
        if message_id is None:
            message_id = _derived(who, name, at, properties, alike)
        event = Event(name, at, properties, message_id, SOURCE, self._plan.store)
        if name in KINDS:
            problems = order_message(event, event.store)
            if isinstance(problems, list):
                detail = f"{problems[0].pointer}: {problems[0].detail}"
                raise Refused(None, problems[0].code, detail)
        return who, Piece((row.number,), at, message_id, reading.traits(cells), (event,))


def _derived(
    who: Who, name: str, at: int, properties: dict[str, Any], alike: dict[bytes, int]
) -> str:
    digest = hashlib.sha256(_encode([who, name, at, properties])).digest()
    place = alike[digest] = alike.get(digest, -1) + 1
    end = f"-{place}" if place else ""
    return f"derived-{base64.b32encode(digest)[:26].decode().lower()}{end}"
