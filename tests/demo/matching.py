"""The starter segments as the engine serves them, without a service, and how large they are."""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from service.core.blocks import BlockPlan, match_block
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.columns import Block
from service.core.instants import from_datetime
from service.core.parsing import Schema
from service.core.traits import TraitType
from service.demo.starter import starter_segments
from service.demo.traits import GIVEN
from tests.demo import oracle

OF_EVENTS = {
    segment["key"] for segment in starter_segments() if "event:" in json.dumps(segment["condition"])
}


def starter_catalog() -> Catalog:
    """The active starter segments but for those that ask for events themselves."""
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


def sizes_of(catalog: Catalog, traits: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """By segment, how many of these customers are in it."""
    plan = BlockPlan(catalog)
    profiles = [{**known, "customer_id": customer_id} for customer_id, known in traits.items()]
    block = Block.from_profiles(profiles, plan.fields)
    found = match_block(plan, block, from_datetime(oracle.NOW))
    return {key: int(found.members(key).sum()) for key in catalog.keys}
