"""What callers send is not kept without end, and what can't be served does not look empty."""

from datetime import UTC
from typing import Any

from service.core.catalog import Definition, compile_catalog
from service.core.instants import _parse_instant, parse_instant
from service.core.merging import without_nulls
from service.core.parsing import Schema
from service.core.traits import REMEMBERED_LENGTH, _fold_remembered, fold


def test_long_texts_are_folded_and_not_remembered() -> None:
    before = _fold_remembered.cache_info().currsize
    assert fold("Ä" * (REMEMBERED_LENGTH + 1)) == "ä" * (REMEMBERED_LENGTH + 1)
    assert _fold_remembered.cache_info().currsize == before


def test_texts_too_long_for_instants_are_not_remembered() -> None:
    before = _parse_instant.cache_info().currsize
    assert parse_instant("2026-11-20T10:00:00Z" + "0" * 100, UTC) is None
    assert _parse_instant.cache_info().currsize == before


def test_nulls_inside_unnamed_traits_are_as_if_merged() -> None:
    traits: dict[str, Any] = {"address": {"city": None, "zip": "1"}, "old": None, "age": 31}
    assert without_nulls(traits) == {"address": {"zip": "1"}, "age": 31}


def test_segments_of_a_refused_model_are_refused_and_keep_their_members() -> None:
    reads = {"combinator": "and", "rules": [
        {"field": "model:tiers.label", "operator": "=", "value": "tier-1"}]}  # fmt: skip
    refers = {"combinator": "and", "rules": [
        {"field": "segment:top", "operator": "=", "value": True}]}  # fmt: skip
    plain = {"combinator": "and", "rules": [{"field": "age", "operator": ">", "value": 1}]}
    definitions = [
        Definition("top", 1, "Top", reads),
        Definition("leans", 1, "Leans", refers),
        Definition("plain", 1, "Plain", plain),
    ]
    catalog = compile_catalog(
        definitions, Schema(UTC), missing_models={"tiers": "its file is damaged"}
    )
    assert set(catalog.segments) == {"plain"}
    assert catalog.refused_keys == {"top", "leans"}
    (top,) = [refusal for refusal in catalog.refused if refusal.key == "top"]
    assert top.problems[0].code == "model_refused"
    assert "its file is damaged" in top.problems[0].detail
