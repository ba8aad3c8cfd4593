"""The starter segments have the sizes that were counted independently of the engine.

Of those that ask for events themselves, `test_whole` tells.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.core.bits import positions_of
from service.core.blocks import BlockPlan, match_block
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.columns import Block
from service.core.instants import from_datetime
from service.core.parsing import Schema
from service.core.traits import TraitType
from service.demo.starter import starter_segments
from service.demo.traits import GIVEN, derived_traits

OF_EVENTS = {
    segment["key"] for segment in starter_segments() if "event:" in json.dumps(segment["condition"])
}
SIZES = {
    key: size
    for key, size in json.loads((Path(__file__).parent / "sizes.json").read_text()).items()
    if key not in OF_EVENTS
}
NOW = from_datetime(datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    schema = Schema(UTC, {trait.name: TraitType(trait.type) for trait in GIVEN})
    definitions = [
        Definition(
            each["key"], 1, each["name"], each["condition"], each.get("scheme"),
            each.get("priority"),
        )
        for each in starter_segments()
        if each.get("status", "active") == "active" and each["key"] not in OF_EVENTS
    ]  # fmt: skip
    return compile_catalog(definitions, schema)


def test_every_active_starter_segment_is_served(catalog: Catalog) -> None:
    assert catalog.refused == ()
    assert len(catalog.segments) >= 24


def test_sizes_one_customer_at_a_time(catalog: Catalog, traits: dict[str, dict[str, Any]]) -> None:
    sizes = dict.fromkeys(catalog.keys, 0)
    for customer_id, known in traits.items():
        profile = {**known, "customer_id": customer_id}
        for position in positions_of(catalog.matcher.match(profile, NOW)):
            sizes[catalog.keys[position]] += 1
    assert {key: sizes[key] for key in SIZES} == SIZES


def test_who_never_did_anything_is_in_no_segment(catalog: Catalog) -> None:
    """Counts, sums and scores over nothing are 0."""
    zeros = {
        name: 0
        for name, definition in derived_traits().items()
        if "score" in definition
        or definition.get("aggregate", {}).get("function") in {"count", "sum", "distinct"}
    }
    profile = {**zeros, "orders": 0, "revenue": 0, "customer_id": "new"}
    assert {"r_score", "baby_orders_365d", "campaigns_received"} <= profile.keys()
    assert positions_of(catalog.matcher.match(profile, NOW)) == []


def test_sizes_as_a_block(catalog: Catalog, traits: dict[str, dict[str, Any]]) -> None:
    plan = BlockPlan(catalog)
    profiles = [{**known, "customer_id": customer_id} for customer_id, known in traits.items()]
    found = match_block(plan, Block.from_profiles(profiles, plan.fields), NOW)
    assert {key: int(found.members(key).sum()) for key in SIZES} == SIZES
