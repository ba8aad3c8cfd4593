import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.core.consent import KNOWN_OF_ALL
from service.core.derived.ready_made import READY_MADE
from service.core.operators import OPERATORS
from service.core.parsing import Schema, parse_condition
from service.core.traits import TraitType
from service.demo import starter
from service.demo.starter import starter_segments
from service.demo.traits import GIVEN, derived_traits

SEGMENTS = starter_segments()
# Nobody tells a household's address.
KNOWN = {trait.name for trait in GIVEN} | derived_traits().keys() | READY_MADE.keys()
KNOWN -= {"location", "city_population"}
ACTIVE = [segment for segment in SEGMENTS if segment["status"] == "active"]
BY_KEY = {segment["key"]: segment for segment in SEGMENTS}
DIMENSIONS = {
    "demographic",
    "geographic",
    "psychographic",
    "technographic",
    "behavioral",
    "needs",
    "value",
    "firmographic",
}
PROPERTIES = {
    "key",
    "name",
    "description",
    "dimensions",
    "condition",
    "scheme",
    "priority",
    "status",
    "tags",
    "persona",
    "treatment",
    "limits",
    "goals",
}
LIFECYCLE = ["prospect", "first-time", "repeat-active", "at-risk", "lapsed", "lost"]


def rules(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for node in group["rules"]:
        if "rules" in node:
            yield from rules(node)
        else:
            yield node


def test_all_dimensions_are_there_and_most_segments_active() -> None:
    assert {dimension for s in SEGMENTS for dimension in s["dimensions"]} == DIMENSIONS
    assert len(SEGMENTS) >= 30
    assert len(ACTIVE) >= 24
    # The thirty that practitioners expect of commerce data carry the tag.
    assert sum("starter" in s.get("tags", []) for s in SEGMENTS) == 30


@pytest.mark.parametrize("segment", SEGMENTS, ids=lambda segment: segment["key"])
def test_a_definition_is_what_the_api_takes(segment: dict[str, Any]) -> None:
    types = {trait.name: TraitType(trait.type) for trait in GIVEN}
    assert re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", segment["key"])
    assert segment["name"]
    assert segment.keys() <= PROPERTIES
    assert segment["status"] in ("active", "draft")
    assert segment["description"].startswith("Needs: ") == (segment["status"] == "draft")
    assert ("scheme" in segment) == ("priority" in segment)
    parse_condition(segment["condition"], Schema(ZoneInfo("UTC"), types))


def test_keys_are_unique() -> None:
    assert len(BY_KEY) == len(SEGMENTS)


def test_an_active_segment_reads_what_the_demo_has() -> None:
    known = KNOWN | {"customer_id", "model:household-tiers.label"}
    known |= {f"event:{name}" for name in ("Order Completed", "Campaign Received")}
    known |= {f"segment:{segment['key']}" for segment in ACTIVE} | KNOWN_OF_ALL
    read = {rule["field"] for s in ACTIVE for rule in rules(s["condition"])}
    # A survey may tell more than the baskets; eco-minded takes either.
    assert read - known == {"survey_values"}


def test_a_draft_lacks_a_trait() -> None:
    for segment in SEGMENTS:
        if segment["status"] == "draft":
            assert {rule["field"] for rule in rules(segment["condition"])} - KNOWN


def test_every_operator_family_is_shown() -> None:
    shown = {rule["operator"] for s in SEGMENTS for rule in rules(s["condition"])}
    assert {OPERATORS[name].family for name in shown} == {o.family for o in OPERATORS.values()}


def test_schemes_rank_their_segments_without_ties() -> None:
    members: dict[str, list[str]] = {}
    for segment in sorted(SEGMENTS, key=lambda s: s.get("priority", 0)):
        if segment.get("scheme"):
            members.setdefault(segment["scheme"], []).append(segment["key"])
    assert members["lifecycle"] == LIFECYCLE
    assert len(members["rfm"]) == 10
    for keys in members.values():
        assert [BY_KEY[key]["priority"] for key in keys] == list(range(1, len(keys) + 1))


def test_the_treatments_to_edit_are_there() -> None:
    for key in ("young-adults", "mature", "families", "corporate"):
        assert BY_KEY[key]["treatment"].keys() == {"channels", "tone", "message", "offer"}


def test_the_lifecycle_follows_the_households_rhythm(traits: dict[str, dict[str, Any]]) -> None:
    gaps = sorted(t["median_gap_days"] for t in traits.values() if "median_gap_days" in t)
    gap = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) / 2
    assert round(gap, 2) == 5.08
    cutoffs = {
        rule["value"]
        for key in LIFECYCLE
        for rule in rules(BY_KEY[key]["condition"])
        if rule["field"] == "last_order_at"
    }
    assert cutoffs == {f"{round(times * gap / 7)}w" for times in (4, 8, 16)}


def test_the_file_inside_a_wheel_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packaged = tmp_path / "starter.yaml"
    packaged.write_text("version: 1\nsegments: [{key: packaged}]\n")
    monkeypatch.setattr(starter, "_IN_WHEEL", packaged)
    assert starter_segments() == [{"key": "packaged"}]


def test_an_unknown_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    newer = tmp_path / "starter.yaml"
    newer.write_text("version: 2\nsegments: []\n")
    monkeypatch.setattr(starter, "_IN_WHEEL", newer)
    with pytest.raises(ValueError, match="version 2"):
        starter_segments()


def test_the_checkout_has_one_copy() -> None:
    assert not (resources.files("service.demo") / "starter.yaml").is_file()
