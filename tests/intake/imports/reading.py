"""Reads tables as files are read, without a file."""

from collections.abc import Sequence
from typing import Any

from service.core.instants import SECOND, format_instant
from service.intake.imports.events import Events
from service.intake.imports.fields import Kind
from service.intake.imports.mapping import read
from service.intake.imports.orders import Orders
from service.intake.imports.people import People
from service.intake.imports.told import Row, Terms, Told
from service.intake.imports.understanding import Plan, Sample, understand
from service.intake.imports.values import Inference

BEGAN = 1_800_000_000 * SECOND
READERS = {Kind.ORDERS: Orders, Kind.EVENTS: Events}


def plan_of(columns: Sequence[str], rows: Sequence[Any], file: str, **said: Any) -> Plan:
    """What a table is understood to hold."""
    return understand(read(said), Sample(file, columns, rows))


def told(columns: str, *rows: Sequence[Any], file: str = "file.csv", **said: Any) -> Told:
    """What the rows of a table tell. `columns`: their names, divided by `|`."""
    names = columns.split("|")
    plan = plan_of(names, rows, file, **said)
    places = [names.index(name) for name in plan.needed]
    inferred = Inference(
        {name.partition(".")[2]: 0 for name in plan.fields if name.startswith(("traits.", "prop"))}
    )
    for name, column in plan.fields.items():
        if name.startswith(("traits.", "properties.")) and name.partition(".")[2] not in plan.types:
            for row in rows:
                inferred.look(name.partition(".")[2], row[names.index(column)])
    types = {path: kind for path, kind in inferred.types().items() if path not in plan.types}
    reader = READERS.get(plan.kind, People)(plan, Terms(BEGAN, BEGAN + SECOND, inferred=types))
    return reader.read(
        Row(number, [row[place] for place in places]) for number, row in enumerate(rows, 2)
    )


def pieces(found: Told) -> list[dict[str, Any]]:
    """What was told, each piece as an object that tests can write down."""
    shown = []
    for who, each in found.pieces.items():
        for piece in each:
            one: dict[str, Any] = {"rows": list(piece.rows), "at": format_instant(piece.at)}
            if who.customer_id is not None:
                one["customer_id"] = who.customer_id
            one |= {identity.kind: identity.value for identity in who.identities}
            if piece.traits:
                one["traits"] = piece.traits
            if piece.events:
                one["events"] = [(event.name, event.properties) for event in piece.events]
            shown.append(one)
    return shown


def faults(found: Told) -> list[tuple[int, str | None, str]]:
    """Rows that were not taken: number, column, code."""
    return [(bad.row, bad.column, bad.code) for bad in found.bad]
