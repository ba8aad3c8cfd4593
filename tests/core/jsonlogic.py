"""JSONLogic and conditions, written shortly, and the traits they ask about."""

from datetime import UTC
from typing import Any

from service.core.parsing import Schema
from service.core.traits import TraitType

TYPES = {
    "age": TraitType.NUMBER,
    "spent": TraitType.MONEY,
    "vip": TraitType.BOOLEAN,
    "country": TraitType.STRING,
    "tags": TraitType.LIST,
    "seen": TraitType.INSTANT,
    "app": TraitType.VERSION,
    "home": TraitType.POINT,
    "box.length": TraitType.NUMBER,
}
SCHEMA = Schema(zone=UTC, types=TYPES)


def var(name: Any, *default: Any) -> dict[str, Any]:
    return {"var": [name, *default] if default else name}


def rule(field: str, operator: str, *value: Any, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator} | ({"value": value[0]} if value else {}) | more


def group(combinator: str, *rules: Any) -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules)}
