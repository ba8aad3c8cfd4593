"""Values of traits and properties: by the type that was said, else by what the file shows.

A CSV file has texts only. A column is of numbers if all its cells are plain numbers, and so on;
whatever is told apart by its digits, such as a postal code, stays a text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from service.core.instants import format_instant, parse_day, parse_instant
from service.core.traits import TraitType, describe
from service.intake.imports.cells import Instants, Unreadable, amount, flag, text
from service.intake.imports.fields import snake

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?", re.ASCII)
_BOOLEANS = frozenset({"true", "false"})
# Names whose digits are no number.
_SPELT = frozenset(
    {"phone", "mobile", "zip", "postcode", "code", "id", "sku", "ean", "vat", "iban"}
)


class Inference:
    """Looks through the cells of columns for what they hold."""

    def __init__(self, paths: Iterable[str]) -> None:
        """`paths`: traits and properties, each with a column of its own."""
        self._candidates: dict[str, list[TraitType]] = {}
        self._seen: set[str] = set()
        for path in paths:
            spelt = not _SPELT.isdisjoint(snake(path).split("_"))
            kinds = [TraitType.BOOLEAN, TraitType.DATE, TraitType.INSTANT]
            self._candidates[path] = kinds if spelt else [TraitType.NUMBER, *kinds]

    def look(self, path: str, cell: Any) -> None:
        """Take a cell of a column into account."""
        candidates = self._candidates[path]
        if not candidates or cell is None or cell == "":
            return
        if type(cell) is not str:  # it says itself what it is
            candidates.clear()
            return
        found = cell.strip()
        if found:
            self._seen.add(path)
            candidates[:] = [kind for kind in candidates if _may_be(kind, found)]

    def types(self) -> dict[str, str]:
        """By path, the type of columns that are not just texts."""
        return {
            path: str(kinds[0])
            for path, kinds in self._candidates.items()
            if kinds and path in self._seen
        }


def _may_be(kind: TraitType, found: str) -> bool:
    if kind is TraitType.NUMBER:
        return _NUMBER.fullmatch(found) is not None
    if kind is TraitType.BOOLEAN:
        return found.casefold() in _BOOLEANS
    if kind is TraitType.DATE:
        return parse_day(found) is not None
    return len(found) > 10 and parse_instant(found, UTC) is not None


def value(cell: Any, kind: str | None, instants: Instants, decimal: str = ".") -> Any:
    """A cell as a trait or property of a type; None where it is empty. Raises Unreadable."""
    if cell is None or (type(cell) is str and not cell.strip()) or cell != cell:  # noqa: PLR0124 - NaN
        return None
    if kind is None:
        return cell.strip() if type(cell) is str else cell
    match TraitType(kind):
        case TraitType.NUMBER | TraitType.MONEY:
            exact = amount(cell, decimal)
            return None if exact is None else _number(exact)
        case TraitType.BOOLEAN:
            return flag(cell)
        case TraitType.LIST:
            return _list(cell)
        case TraitType.INSTANT:
            instant = instants.read(cell)
            return None if instant is None else format_instant(instant)
        case TraitType.DATE:
            found = text(cell)
            if found is not None and parse_day(found) is None:
                raise Unreadable(f"expected a date such as 2026-11-20, got {describe(cell)}")
            return found
        case _:
            return text(cell)


def _number(exact: str) -> int | float:
    return float(exact) if "." in exact else int(exact)


def _list(cell: Any) -> list[Any] | None:
    if isinstance(cell, list):
        return cell
    found = text(cell)
    if found is None:
        return None
    if found.startswith("["):
        try:
            read = json.loads(found)
        except ValueError:
            read = None
        if isinstance(read, list):
            return read
    return [part for each in found.split(",") if (part := each.strip().strip('"').strip())]


def put(tree: dict[str, Any], path: str, found: Any) -> None:
    """Put a value at a dotted path."""
    *above, last = path.split(".")
    for step in above:
        below = tree.get(step)
        if not isinstance(below, dict):
            below = tree[step] = {}
        tree = below
    tree[last] = found


def merged(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two patches as one; where both tell, the other."""
    for name, found in other.items():
        known = one.get(name)
        both = isinstance(known, dict) and isinstance(found, Mapping)
        one[name] = merged(known, found) if both else found  # type: ignore[arg-type]  # both are
    return one
