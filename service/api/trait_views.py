"""A trait as it is told: what is declared of it, what it is about, and who has it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.api.trait_schemas import Trait, TraitCoverage, ValueCount
from service.core.consent import REACHABLE
from service.core.coverage import CELL
from service.core.derived.definitions import kinds_in
from service.core.derived.ready_made import READY_MADE
from service.core.dimensions import WELL_KNOWN
from service.core.personal import Personal
from service.core.traits import TraitType
from service.live import Served
from service.store.coverage import Counted, TraitRow

# What traits are about where nobody has said.
ABOUT: Mapping[str, str] = {
    **{name: dimension.value for name, dimension in WELL_KNOWN.items()},
    **{name: document["dimension"] for name, document in READY_MADE.items()},
}


def trait(
    row: TraitRow,
    counted: Counted | None,
    served: Served,
    personal: Personal,
    *,
    figures: bool = True,
) -> Trait:
    """One trait. `personal`: what the caller may not read; of what is below that they are told what
    is declared, and not who has it. `figures`: whether they may read any."""
    if not figures or personal.covering(row.name) not in (None, row.name):
        row, counted = replace(row, customers=None, types=None, top=None), None
    definition = dict(row.definition or {})
    kind = _kind(row.name, definition)
    if kind == "ready_made":
        definition = {**READY_MADE[row.name], **definition}
    hidden = personal.touches(row.name)
    definition, masked = personal.definition(definition)
    known = {
        **definition,
        "masked": masked,
        "name": row.name,
        "kind": kind,
        "declared": row.definition is not None,
        "type": definition.get("type") or _type(row, served),
        "dimension": row.dimension,
        "personal": served.personal.covering(row.name) is not None,
        "coverage": _coverage(row, counted),
        "top_values": None if hidden else _top(row, counted),
    }
    return Trait.model_validate(known)


def _kind(name: str, definition: Mapping[str, Any]) -> str:
    if kinds_in(definition) or name.partition(".")[0] == REACHABLE:
        return "derived"
    return "ready_made" if name in READY_MADE and "type" not in definition else "given"


def _type(row: TraitRow, served: Served) -> TraitType | None:
    """The type that a trait is of as it is derived, or most customers have it as."""
    known = served.catalog.schema.type_of(row.name)
    if known is None and row.types:
        known = TraitType(max(row.types, key=lambda kind: (row.types or {})[kind]))
    return known


def _coverage(row: TraitRow, counted: Counted | None) -> TraitCoverage | None:
    if counted is None:
        return None
    had, looked_at = row.customers or 0, counted.looked_at
    return TraitCoverage(
        as_of=counted.as_of,
        customers=_estimated(had, counted),
        share=round(had / looked_at, 6) if looked_at else 0.0,
        types={kind: _estimated(each, counted) for kind, each in (row.types or {}).items()},
        of=counted.customers,
        looked_at=looked_at,
        exact=looked_at >= counted.customers,
    )


def _top(row: TraitRow, counted: Counted | None) -> list[ValueCount] | None:
    if counted is None:
        return None
    return [
        ValueCount(value=value, customers=_estimated(had, counted))
        for value, had in row.top or ()
        if had >= CELL
    ]


def _estimated(had: int, counted: Counted) -> int:
    """How many of all customers that is."""
    if counted.looked_at in (0, counted.customers):
        return had
    return round(had * counted.customers / counted.looked_at)
