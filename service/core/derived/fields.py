"""The fields that a derived trait reads, each with its place in the definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.conditions import Field, Source
from service.core.parsing import CUSTOMER_FACTS, Schema
from service.core.problems import Invalid, Problem, escape
from service.core.traits import TraitType, type_english

NAME_LENGTH = 512
NUMBERS = frozenset({TraitType.NUMBER, TraitType.MONEY})
TIMES = frozenset({TraitType.INSTANT, TraitType.DATE})

# Why derived traits don't read what is decided after them.
LATER = {
    "segment": "segments are decided after all traits, so no trait can read one",
    "model": "models are asked after all traits, so no trait can read one's answer",
    "event": "give the aggregate of these events a name, as a trait of its own, and read that",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A field that a definition reads, and the JSON pointer at which it does."""

    pointer: str
    field: Field

    @property
    def name(self) -> str:
        """The trait that the field is, or is a part of; a fact of the customer's record."""
        field = self.field
        return field.path[0] if field.source is Source.TRAIT else field.name


def parse_field(
    name: Any, schema: Schema, pointer: str, types: frozenset[TraitType], purpose: str
) -> Field:
    """A trait or a fact of the customer's record that may be of these types. Raises Invalid.

    `purpose`: what the types are for, as the middle of a sentence: `a ratio divides numbers`.
    """
    field = _field(name, schema, pointer)
    if field.type is not None and field.type not in types:
        detail = f"{field.name} is {type_english(field.type)}; {purpose}"
        raise Invalid([Problem(pointer, "type", detail)])
    return field


def _field(name: Any, schema: Schema, pointer: str) -> Field:
    if not isinstance(name, str) or not name:
        raise Invalid([Problem(pointer, "required", "expected a trait's name or path")])
    if len(name) > NAME_LENGTH:
        detail = f"a field's name holds {NAME_LENGTH} characters at most"
        raise Invalid([Problem(pointer, "bad_value", detail)])
    kind, colon, _ = name.partition(":")
    if colon:
        if kind in LATER:
            raise Invalid([Problem(pointer, "bad_value", LATER[kind])])
        detail = f'"{kind}:" is not a kind of field'
        raise Invalid([Problem(pointer, "unknown_field", detail)])
    if name == "customer_id":
        return Field(name, Source.CUSTOMER, (name,), TraitType.STRING)
    if name.startswith("customer."):
        fact = name.removeprefix("customer.")
        if fact not in CUSTOMER_FACTS:
            names = ", ".join(f"customer.{known}" for known in CUSTOMER_FACTS)
            detail = f"of the customer record one can ask {names}"
            raise Invalid([Problem(pointer, "unknown_field", detail)])
        return Field(name, Source.CUSTOMER, (name,), CUSTOMER_FACTS[fact])
    path = tuple(name.split("."))
    if not all(path):
        detail = "a path has a name before and after each dot"
        raise Invalid([Problem(pointer, "unknown_field", detail)])
    return Field(name, Source.TRAIT, path, schema.type_of(name))


def unknown_properties(
    document: Mapping[str, Any], known: tuple[str, ...], pointer: str
) -> list[Problem]:
    """A problem for each property that is not understood."""
    return [
        Problem(
            f"{pointer}/{escape(name)}",
            "unknown_property",
            f'"{name}" is not understood here, and ignoring it could change the meaning',
        )
        for name in document
        if name not in known
    ]
