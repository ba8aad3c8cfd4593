"""The product's own engine behind the peers' interface."""

from collections.abc import Callable
from datetime import UTC
from typing import Any

import numpy as np

from benchmarks.workload import INSTANTS, NUMBERS
from service.core.bits import positions_of
from service.core.blocks import BlockPlan
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.columns import Block, Column, Instants
from service.core.derived.ready_made import READY_MADE
from service.core.instants import parse_instant
from service.core.parsing import Schema
from service.core.traits import TraitType

# Numbers whose names ready-made traits have are declared: else the service would derive them from
# events, of which these customers have none, and what callers give would be read by nobody.
TYPES = (
    {each.name: TraitType.INSTANT for each in INSTANTS}
    | {each.name: TraitType.NUMBER for each in NUMBERS if each.name in READY_MADE}
    | {"app_version": TraitType.VERSION}
)


def compiled(conditions: list[dict[str, Any]]) -> Catalog:
    """A catalog whose segment `NNNNN` is the condition of that index."""
    definitions = (
        Definition(f"{index:05}", 1, f"Segment {index}", condition)
        for index, condition in enumerate(conditions)
    )
    catalog = compile_catalog(definitions, Schema(zone=UTC, types=TYPES))
    assert not catalog.refused, catalog.refused[:3]
    return catalog


def bitset(conditions: list[dict[str, Any]], now_us: int) -> Callable[[dict[str, Any]], int]:
    """Answers the integer whose bits are the segments: what the service works with."""
    match = compiled(conditions).matcher.match
    return lambda profile: match(profile, now_us)


def prepare(conditions: list[dict[str, Any]], now_us: int) -> Callable[[dict[str, Any]], list[int]]:
    """Answers indices, as the peers do."""
    catalog = compiled(conditions)
    match, index_of = catalog.matcher.match, [int(key) for key in catalog.keys]
    return lambda profile: [index_of[bit] for bit in positions_of(match(profile, now_us))]


def block(
    profiles: list[dict[str, Any]], conditions: list[dict[str, Any]]
) -> tuple[BlockPlan, Block]:
    """The plan of a catalog, and profiles as typed columns: instants as whole microseconds."""
    plan = BlockPlan(compiled(conditions))
    plain = Block.from_profiles(profiles, plan.fields)
    columns = dict(plain.columns)
    for each in INSTANTS:
        micros = [parse_instant(profile.get(each.name) or "", UTC) for profile in profiles]
        valid = np.array([value is not None for value in micros])
        values = np.array([value or 0 for value in micros], np.int64)
        columns[each.name] = Column((Instants(values, valid),))
    return plan, Block(plain.size, columns)
