"""Facts of the city that a customer lives in: where it is, and how large."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core.conditions import Field
from service.core.derived.fields import Place, parse_field, unknown_properties
from service.core.derived.gazetteer import Gazetteer
from service.core.english import field_english
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.traits import Profile, TraitType, describe

PROPERTIES = ("fact", "name", "country", "region")
NAMES_LIMIT = 5

# Loads the table, which may take a while, and only when somebody asks for a city.
Cities = Callable[[], Gazetteer]


class Fact(StrEnum):
    """What is told of a city."""

    LOCATION = "location"
    POPULATION = "population"


@dataclass(frozen=True, slots=True)
class CityFact:
    """A fact of the city that traits name: of each of the three, the first of its traits that is a
    text counts. Missing where the name or the country is, and where no such city is known.

    `{lat, lon}` in degrees, or the number of its inhabitants.
    """

    fact: Fact
    name: tuple[Field, ...]
    country: tuple[Field, ...]
    region: tuple[Field, ...]
    places: tuple[Place, ...]

    @property
    def type(self) -> TraitType:
        """A point or a number."""
        return TraitType.POINT if self.fact is Fact.LOCATION else TraitType.NUMBER

    def compiled(self, cities: Cities) -> Callable[[Profile], Any]:
        """The value for a profile; None: missing."""
        is_location = self.fact is Fact.LOCATION

        def value(profile: Profile) -> Any:
            name, country = _first(self.name, profile), _first(self.country, profile)
            if name is None or country is None:
                return None
            city = cities().find(name, country, _first(self.region, profile))
            if city is None:
                return None
            return {"lat": city.lat, "lon": city.lon} if is_location else city.population

        return value

    def english(self) -> str:
        """`The population of the city named by city, in the country named by country.`"""
        text = f"The {self.fact} of the city named by {_either(self.name)}, in the country named by"
        text += f" {_either(self.country)}"
        return f"{text}, in the part of it named by {_either(self.region)}." if self.region else (
            f"{text}."
        )  # fmt: skip


def _first(fields: tuple[Field, ...], profile: Profile) -> str | None:
    for field in fields:
        value = field.read(profile)
        if isinstance(value, str) and value:
            return value
    return None


def _either(fields: tuple[Field, ...]) -> str:
    return " or ".join(map(field_english, fields))


def parse_city(document: Any, schema: Schema, pointer: str = "/city") -> CityFact:
    """`{"fact": "location" | "population", "name": FIELDS, "country": FIELDS, "region": FIELDS}`,
    where FIELDS is one or a list of them. Raises Invalid."""
    if not isinstance(document, dict):
        detail = f"expected fact, name and country, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    problems = unknown_properties(document, PROPERTIES, pointer)
    fact = document.get("fact")
    if fact not in list(Fact):
        detail = f"the fact is one of {', '.join(Fact)}"
        problems.append(Problem(f"{pointer}/fact", "bad_value", detail))
    found: dict[str, list[Place]] = {}
    for part in PROPERTIES[1:]:
        if part == "region" and document.get(part) is None:
            found[part] = []
            continue
        try:
            found[part] = _places(document.get(part), schema, f"{pointer}/{part}")
        except Invalid as fault:
            problems += fault.problems
    if problems:
        raise Invalid(problems)
    name, country, region = (tuple(place.field for place in found[part]) for part in PROPERTIES[1:])
    every = tuple(place for places in found.values() for place in places)
    return CityFact(Fact(str(fact)), name, country, region, every)


def _places(written: Any, schema: Schema, pointer: str) -> list[Place]:
    if not isinstance(written, list):
        return [_place(written, schema, pointer)]
    if not 1 <= len(written) <= NAMES_LIMIT:
        detail = f"expected a trait, or a list of 1-{NAMES_LIMIT}"
        raise Invalid([Problem(pointer, "bad_value", detail)])
    return [_place(each, schema, f"{pointer}/{index}") for index, each in enumerate(written)]


def _place(written: Any, schema: Schema, pointer: str) -> Place:
    text = frozenset({TraitType.STRING})
    return Place(pointer, parse_field(written, schema, pointer, text, "names are texts"))
