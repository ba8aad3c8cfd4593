"""Rules and groups written shortly, and the segments that proofs of them follow."""

from datetime import UTC
from typing import Any

from service.core.catalog import Definition, compile_catalog
from service.core.parsing import Schema, parse_condition
from service.core.proofs.definitions import prove
from service.core.proofs.findings import Finding
from service.core.traits import TraitType

SCHEMA = Schema(
    zone=UTC,
    types={
        "total_spent": TraitType.MONEY,
        "age": TraitType.NUMBER,
        "name": TraitType.STRING,
        "seen": TraitType.INSTANT,
        "born": TraitType.DATE,
        "home": TraitType.POINT,
        "app": TraitType.VERSION,
        "tags": TraitType.LIST,
    },
)


def rule(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value} | more


def every(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)} | more


def some(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "or", "rules": list(rules)} | more


def beside(field: str, operator: str, value: Any) -> dict[str, Any]:
    return rule(field, operator, value, valueSource="field")


def sample(percent: float, **more: Any) -> dict[str, Any]:
    return rule("customer_id", "sample", {"percent": percent, "salt": "x"}, **more)


def near(lat: float, lon: float, km: float) -> dict[str, Any]:
    return rule("home", "withinDistance", {"lat": lat, "lon": lon, "km": km})


BASE = compile_catalog(
    [
        Definition("team", 1, "team", None),
        Definition("adult", 1, "adult", every(rule("age", ">=", 18))),
        Definition("gold", 1, "gold", every(rule("total_spent", ">=", 100)), "tier", 1),
        Definition("silver", 1, "silver", every(rule("total_spent", ">=", 10)), "tier", 2),
    ],
    SCHEMA,
)


def proved(document: dict[str, Any]) -> list[Finding]:
    return prove(parse_condition(document, SCHEMA, ""), BASE.segments, "")
