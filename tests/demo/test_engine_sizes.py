"""The starter segments have the sizes that were counted independently of the engine.

Of those that ask for events themselves, `test_loaded` tells.
"""

import json
from pathlib import Path
from typing import Any

from service.core.bits import positions_of
from service.core.catalog import Catalog
from service.core.instants import from_datetime
from service.demo.traits import derived_traits
from tests.demo import oracle
from tests.demo.matching import OF_EVENTS, sizes_of

SIZES = {
    key: size
    for key, size in json.loads((Path(__file__).parent / "sizes.json").read_text()).items()
    if key not in OF_EVENTS
}
NOW = from_datetime(oracle.NOW)


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
    sizes = sizes_of(catalog, traits)
    assert {key: sizes[key] for key in SIZES} == SIZES
