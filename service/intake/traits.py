"""Given traits as messages carry them: names folded, those that no trait may have left out, and
from browsers those that only servers may write."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from service.core.merging import check_names
from service.core.parsing import Problem, escape

# Segment's reserved traits, whose camel-case forms are the same traits.
_FOLDED = {
    "createdAt": "created_at",
    "firstName": "first_name",
    "lastName": "last_name",
}
_FOLDED_INSIDE = {
    "address": {"postalCode": "postal_code"},
    "company": {"employeeCount": "employee_count"},
}
_POINT = {"lat", "lon"}


def folded(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Traits with the reserved names in snake case; where both forms are there, that one counts."""
    result = _renamed(traits, _FOLDED)
    for name, inside in _FOLDED_INSIDE.items():
        value = result.get(name)
        if isinstance(value, dict):
            result[name] = _renamed(value, inside)
    return result


def folded_company(traits: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of a group, which become the customer's `company`."""
    return _renamed(folded(traits), _FOLDED_INSIDE["company"])


def _renamed(traits: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    if names.keys().isdisjoint(traits):
        return dict(traits)
    return {names.get(name, name): value for name, value in traits.items() if name in names} | {
        name: value for name, value in traits.items() if name not in names
    }


def fitting(
    traits: dict[str, Any], pointer: str, faults: list[Problem], *, top: bool = True
) -> dict[str, Any]:
    """Traits without the names that no trait may have, which are told as `faults`. `top`: whether
    they are traits themselves, and not what is below one."""
    if not check_names(traits, "/traits" if top else ""):
        return traits
    kept: dict[str, Any] = {}
    for name, value in traits.items():
        fault = _fault(name, top)
        if fault is not None:
            faults.append(Problem(f"{pointer}/{escape(name)}", fault.code, fault.detail))
        elif isinstance(value, dict):
            kept[name] = fitting(value, f"{pointer}/{escape(name)}", faults, top=False)
        else:
            kept[name] = value
    return kept


@lru_cache(maxsize=1_024)
def _fault(name: str, top: bool) -> Problem | None:
    """What speaks against a name by itself."""
    return next(iter(check_names({name: None}, "/traits" if top else "")), None)


class Withheld:
    """Paths of traits that a source may not write: nothing at them, below them, or above them that
    would replace them."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self.paths = frozenset(paths)
        self._tree: dict[str, Any] = {}
        for path in sorted(self.paths):  # the shorter of two comes first, and covers the longer
            node, (*above, last) = self._tree, path.split(".")
            for step in above:
                node = node.setdefault(step, {})
                if node is None:
                    break
            else:
                node[last] = None

    def without(
        self, traits: dict[str, Any], pointer: str, faults: list[Problem]
    ) -> dict[str, Any]:
        """Traits without what is withheld, which is told as `faults`."""
        return _without(traits, self._tree, pointer, faults) if self._tree else traits


NOTHING_WITHHELD = Withheld()


def _without(
    traits: dict[str, Any], tree: Mapping[str, Any], pointer: str, faults: list[Problem]
) -> dict[str, Any]:
    shared = [name for name in traits if name in tree]
    if not shared:
        return traits
    kept = dict(traits)
    for name in shared:
        below, value = tree[name], traits[name]
        here = f"{pointer}/{escape(name)}"
        if below is not None and isinstance(value, dict) and value.keys() != _POINT:
            kept[name] = _without(value, below, here, faults)
            if kept[name] or not value:
                continue
        else:
            faults.append(Problem(here, "server_only", "only servers may write this trait"))
        del kept[name]
    return kept
