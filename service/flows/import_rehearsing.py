"""A dry run: what a file comes to, without storing any of it."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.core.instants import format_instant
from service.core.order_messages import KINDS, OrderMessage, order_message
from service.core.orders import event as event_of
from service.core.orders import settled
from service.core.rates import Rates
from service.flows.import_rejects import read_rejects
from service.flows.import_running import READERS, Understood
from service.flows.import_spreading import read_bucket, spread
from service.intake.imports.told import Bad, Piece, Terms, Who

SHOWN = 3
REJECTS_SHOWN = 20


@dataclass(slots=True)
class Rehearsal:
    """What a file comes to. `rows`: that were looked at, `complete`: whether those are all;
    `left_out`: not meant; `types`: of traits and properties, as the file shows them; `examples`:
    the first customers, orders or events as they would be stored."""

    rows: int = 0
    complete: bool = True
    left_out: int = 0
    rejected: int = 0
    customers: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Bad] = field(default_factory=list)


def rehearse(
    understood: Understood,
    terms: Callable[[dict[str, str]], Terms],
    base: str,
    most: int | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Rehearsal:
    """Go through a file, or its first so many rows. `terms`: by the types that its columns have;
    `base`: the base currency. Raises Invalid, OSError."""
    found = Rehearsal()
    first: list[tuple[int, Who, Piece]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = spread(understood.table, understood.plan, folder, most, progress)
        found.rows, found.left_out, found.types = parts.rows, parts.left_out, parts.inferred
        found.complete = most is None or parts.rows < most
        bad = list(read_rejects(folder / "unread"))
        found.rejected = len(bad)
        on_terms = terms(parts.inferred)
        reader = READERS[understood.plan.kind](understood.plan, on_terms)
        for number in range(parts.buckets):
            told = reader.read(read_bucket(folder, number))
            found.rejected += len(told.bad)
            found.customers += len(told.pieces)
            for each, count in told.counts.items():
                found.counts[each] = found.counts.get(each, 0) + count
            bad = _first([*bad, *told.bad])
            first += [
                (piece.rows[0], who, piece)
                for who, pieces in told.pieces.items()
                for piece in pieces[:SHOWN]
            ]
            first = sorted(first, key=lambda each: each[0])[:SHOWN]
    found.rejects = _first(bad)
    rates = Rates(base, on_terms.zone)
    found.examples = [_example(row, who, piece, rates) for row, who, piece in first]
    return found


def _first(bad: list[Bad]) -> list[Bad]:
    return sorted(bad, key=lambda each: each.row)[:REJECTS_SHOWN]


def _example(row: int, who: Who, piece: Piece, rates: Rates) -> dict[str, Any]:
    """One piece as it would be stored: an order as what it comes to."""
    shown: dict[str, Any] = {"row": row, "at": format_instant(piece.at)}
    if who.customer_id is not None:
        shown["customer_id"] = who.customer_id
    if who.identities:
        shown["identities"] = {each.kind: each.value for each in who.identities}
    if piece.traits:
        shown["traits"] = piece.traits
    messages = [
        told
        for each in piece.events
        if each.name in KINDS and isinstance(told := order_message(each, each.store), OrderMessage)
    ]
    if messages:
        order = settled(messages, rates)
        counted = event_of(order)
        shown["order"] = (
            {"order_id": order.order_id, "pending": order.pending, "lacks": order.lacks}
            if counted is None
            else dict(counted.properties)
        )
        if order.cancelled_at is not None:
            shown["order"]["cancelled_at"] = format_instant(order.cancelled_at)
    elif piece.events:
        event = piece.events[0]
        shown["event"] = {"event": event.name, "properties": event.properties}
    return shown
