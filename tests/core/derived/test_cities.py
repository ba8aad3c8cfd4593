"""Facts of cities: whichever way a name is written, and always the same one of several."""

import random
import unicodedata
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.derived.cities import parse_city
from service.core.derived.compiling import compile_derived
from service.core.derived.gazetteer import City, Gazetteer, Row, folded
from service.core.parsing import Invalid, Schema
from service.core.traits import TraitType

SCHEMA = Schema(UTC)
COUNTRIES = {"CZ": "CZ", "CZE": "CZ", "Czechia": "CZ", "US": "US", "United States": "US"}
REGIONS = {("US", "ME"): "ME", ("US", "Maine"): "ME", ("US", "Oregon"): "OR"}


def row(country: str, region: str, names: list[str], people: int, lat: float = 1.0) -> Row:
    return Row(country, region, names, City(lat, 2.0, people))


ROWS = [
    row("CZ", "", ["Brno", "Brünn", "BRQ"], 380_000, 49.19522),
    row("US", "OR", ["Portland", "Rose City"], 650_000),
    row("US", "ME", ["Portland"], 66_000),
    row("US", "", ["Little Rock", "Rose City"], 900_000),
    row("US", "", ["Rose City"], 20_000),
    row("CZ", "", ["Ústí nad Labem"], 93_000),
    row("CZ", "", ["", "  "], 1),
]
TABLE = Gazetteer(ROWS, COUNTRIES, REGIONS)


def people(name: str, country: str, region: str | None = None) -> int | None:
    city = TABLE.find(name, country, region)
    return None if city is None else city.population


@pytest.mark.parametrize(
    ("name", "country", "region", "expected"),
    [
        ("Brno", "CZ", None, 380_000),
        ("BRNO ", "czechia", None, 380_000),
        ("brunn", "CZE", None, 380_000),
        ("Brno", "US", None, None),
        ("Brno", "Atlantis", None, None),
        ("", "CZ", None, None),
        ("--", "CZ", None, None),
        ("usti-nad-labem", "cz", None, 93_000),
        ("Portland", "US", None, 650_000),
        ("Portland", "US", "Maine", 66_000),
        ("Portland", "US", "me", 66_000),
        ("Portland", "US", "Nowhere", 650_000),
        # There is none in this part of it.
        ("Little Rock", "US", "Oregon", 900_000),
        # The one that is called so, before larger ones that are also called so.
        ("Rose City", "US", None, 20_000),
    ],
)
def test_cities_are_found(
    name: str, country: str, region: str | None, expected: int | None
) -> None:
    assert people(name, country, region) == expected


@given(st.permutations(ROWS))
def test_the_order_of_the_table_decides_nothing(rows: list[Row]) -> None:
    table = Gazetteer(rows, COUNTRIES, REGIONS)
    for each in ROWS:
        for name in each.names:
            assert table.find(name, each.country, None) == TABLE.find(name, each.country, None)


@given(st.text(st.characters(categories=["L", "N", "Z", "P"]), max_size=20), st.randoms())
def test_spelling_decides_nothing(name: str, chance: random.Random) -> None:
    written = unicodedata.normalize(chance.choice(["NFC", "NFD"]), name)
    written = chance.choice([" ", "-", ""]) + written + chance.choice([" ", "."])
    assert folded(written) == folded(name)
    assert folded(folded(name)) == folded(name)


def test_of_two_as_large_the_same_one_is_found() -> None:
    twins = [row("CZ", "", ["Nová Ves"], 500, 50.1), row("CZ", "", ["Nová Ves"], 500, 49.2)]
    found = {
        Gazetteer(order, COUNTRIES, {}).find("Nova Ves", "CZ", None)
        for order in (twins, twins[::-1])
    }
    assert found == {City(49.2, 2.0, 500)}


BRNO = {"address": {"city": "Brno", "country": "CZ"}}
FACT = {
    "name": ["address.city", "city"], "country": ["address.country", "country"], "region": "state",
}  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (BRNO, {"lat": 49.19522, "lon": 2.0}),
        ({"city": "Brno", "country": "CZ"}, {"lat": 49.19522, "lon": 2.0}),
        ({"address": {"city": "", "country": 7}, "city": "Brno", "country": "CZ"},
         {"lat": 49.19522, "lon": 2.0}),
        ({"address": {"city": "Brno"}}, None),
        ({"address": {"country": "CZ"}}, None),
        ({"address": "Brno, CZ"}, None),
        ({"city": "Portland", "country": "US", "state": "Maine"}, {"lat": 1.0, "lon": 2.0}),
        ({}, None),
    ],
)  # fmt: skip
def test_a_fact_is_of_the_city_that_traits_name(profile: dict[str, Any], expected: Any) -> None:
    fact = parse_city({"fact": "location", **FACT}, SCHEMA)
    assert fact.type is TraitType.POINT
    assert fact.compiled(lambda: TABLE)(profile) == expected


def test_nothing_is_loaded_for_who_has_no_city() -> None:
    def loaded() -> Gazetteer:
        raise AssertionError("the table was asked for")

    fact = parse_city({"fact": "population", **FACT}, SCHEMA)
    assert fact.type is TraitType.NUMBER
    assert fact.compiled(loaded)({"address": {"street": "Husova 5"}}) is None


def test_facts_are_told_in_english() -> None:
    plain = parse_city({"fact": "population", "name": "city", "country": "country"}, SCHEMA)
    assert plain.english() == (
        "The population of the city named by city, in the country named by country."
    )
    assert parse_city({"fact": "location", **FACT}, SCHEMA).english() == (
        "The location of the city named by address's city or city, in the country named by "
        "address's country or country, in the part of it named by state."
    )


@pytest.mark.parametrize(
    ("document", "place", "code"),
    [
        ("Brno", "", "type"),
        ({**FACT}, "/fact", "bad_value"),
        ({**FACT, "fact": "mayor"}, "/fact", "bad_value"),
        ({"fact": "location", "name": "city"}, "/country", "required"),
        ({**FACT, "fact": "location", "name": []}, "/name", "bad_value"),
        ({**FACT, "fact": "location", "name": ["a"] * 6}, "/name", "bad_value"),
        ({**FACT, "fact": "location", "name": ["city", "segment:vip"]}, "/name/1", "bad_value"),
        ({**FACT, "fact": "location", "country": "age"}, "/country", "type"),
        ({**FACT, "fact": "location", "zip": "x"}, "/zip", "unknown_property"),
    ],
)
def test_faults_are_located(document: Any, place: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_city(document, Schema(UTC, {"age": TraitType.NUMBER}))
    assert (f"/city{place}", code) in [(each.pointer, each.code) for each in caught.value.problems]


def test_without_a_table_there_are_no_facts() -> None:
    documents = {"home": {"city": {"fact": "location", **FACT}}}
    refused = compile_derived(documents, SCHEMA).refused
    assert [each.code for each in refused["home"]] == ["not_available"]
    assert compile_derived(documents, SCHEMA, cities=True).traits.keys() == {"home"}
    # Ready-made ones are not there at all: whoever is given a location is read as ever.
    assert not compile_derived({}, SCHEMA, documents).traits
