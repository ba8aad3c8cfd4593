"""What documents read as they are written is what they read as they are parsed."""

from typing import Any

import pytest

from service.core.aggregate_parsing import parse_named
from service.core.derived.definitions import KINDS, parse_definition
from service.core.derived.ready_made import READY_MADE
from service.core.instants import zone_named
from service.core.parsing import Schema, parse_condition
from service.core.written import made_of, reads_written, touches

CONDITION = {"combinator": "or", "rules": [
    {"field": "a.b", "operator": "=", "value": "x"},
    {"combinator": "and", "rules": [
        {"field": "c", "operator": "<", "value": "d", "valueSource": "field"}]}]}  # fmt: skip
DOCUMENTS: dict[str, dict[str, Any]] = {
    **{name: dict(document) for name, document in READY_MADE.items()},
    "of-score": {"score": {"points": [
        {"event": "A", "points": 1}, {"condition": CONDITION, "points": 2}]}},
    "of-rank": {"rank": {"of": "pay", "order": "desc", "among": CONDITION}},
    "of-formula": {"formula": "(pay.net - `a b`) * -2 / čas"},
    "of-instant": {"formula": "born + 1mo - 3d"},
    "of-ratio": {"ratio": {"numerator": "x.y", "denominator": "z"}},
    "of-city": {"city": {"fact": "location", "name": "town", "country": ["land", "a.land"]}},
}  # fmt: skip
SCHEMA = Schema(zone=zone_named("UTC"))


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_what_is_read(name: str) -> None:
    def aggregate(document: Any, schema: Schema, pointer: str) -> Any:
        return parse_named(document, pointer, lambda group, at: parse_condition(group, schema, at))

    parsed = parse_definition(name, DOCUMENTS[name], SCHEMA, aggregate)
    read = {place.field.name for place in parsed.places}
    assert set(reads_written(DOCUMENTS[name])) == read


def test_every_kind_is_tried() -> None:
    assert {kind for kind in KINDS for document in DOCUMENTS.values() if kind in document} == set(
        KINDS
    )


@pytest.mark.parametrize("document", [
    {"formula": "salary * ("}, {"formula": 7}, {"ratio": ["salary"]}, {"score": {"points": "x"}},
    {"score": {"points": [1, {"condition": {"rules": [None, {"field": 3}]}}]}}, {"rank": None},
    {"rank": {"of": {"x": 1}, "among": 4}}, {},
])  # fmt: skip
def test_what_is_no_definition_is_read_as_far_as_it_goes(document: dict[str, Any]) -> None:
    named = {"salary"} if document.get("formula") == "salary * (" else set()
    assert set(reads_written(document)) == named


def test_what_comes_of_a_trait_by_way_of_others() -> None:
    documents = {
        "monthly": {"formula": "pay.net / 12"}, "double": {"formula": "monthly * 2"},
        "other": {"formula": "payment"}, "gross": {"formula": "pay.gross"},
        "all": {"ratio": {"numerator": "pay", "denominator": "age"}},
    }  # fmt: skip
    assert made_of(["pay.net"], documents) == {"monthly", "double", "all"}
    assert made_of(["pay"], documents) == {"monthly", "double", "all", "gross"}
    assert made_of(["consent.email"], {}) == {"reachable"}
    assert made_of([], documents) == frozenset()
    scored = {"score": {"points": [{"points": 1, "condition": {"combinator": "and", "rules": [
        {"field": "model:tiers.label", "operator": "=", "value": "x"}]}}]}}  # fmt: skip
    models = {"tiers": ["monthly", "age"], "ages": ["age"]}
    made = made_of(["pay.net"], {**documents, "scored": scored}, models)
    assert made == {"monthly", "double", "all", "model:tiers", "scored"}
    assert touches(["a.b"], ["a.b.c"])
    assert not touches(["a.b"], ["a.bc", "b"])
