"""Merging given traits: RFC 7396 patches, the latest time wins whatever the order of arrival.

Each path keeps when it was last set. `{lat, lon}` points, arrays, and values declared as objects
replace whole; other objects merge member by member. A removal is remembered like a value, so that
an older value that arrives later does not revive what was removed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.core.parsing import Problem, Schema, escape
from service.core.traits import TraitType, Uncoercible, coerce, is_number

RESERVED = frozenset({"customer", "customer_id"})


class Written(NamedTuple):
    """When, by which message and by whom a path was last set."""

    at: int
    message_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Change:
    """A trait that took another value; None: it was removed."""

    path: str
    value: Any


@dataclass(slots=True)
class Merge:
    """What a patch made of a customer's traits."""

    traits: dict[str, Any]
    times: dict[str, Written]
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def check_names(patch: Mapping[str, Any], pointer: str = "/traits") -> list[Problem]:
    """Names that no trait may have: they would collide with paths or with other fields."""
    problems = []
    for name, value in patch.items():
        here = f"{pointer}/{escape(name)}"
        if not name or "." in name or ":" in name or len(name) > 128:
            problems.append(
                Problem(here, "bad_name", "a trait's name has 1-128 characters, no dot, no colon")
            )
        elif pointer == "/traits" and name in RESERVED:
            problems.append(Problem(here, "bad_name", f'"{name}" is reserved'))
        elif isinstance(value, dict) and not _is_point(value):
            problems.extend(check_names(value, here))
    return problems


def _is_point(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"lat", "lon"}


def leaves(patch: Mapping[str, Any], schema: Schema, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every path that a patch sets, with its value; None removes."""
    for name, value in patch.items():
        path = prefix + name
        whole = schema.types.get(path) in (TraitType.OBJECT, TraitType.POINT)
        if isinstance(value, dict) and value and not whole and not _is_point(value):
            yield from leaves(value, schema, path + ".")
        else:
            yield path, value


def coerced(patch: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any], list[Problem]]:
    """A patch with declared types applied; values that can't be taken are left out and told."""
    if not schema.types:
        return dict(patch), []
    problems: list[Problem] = []
    return _coerced(patch, schema, "", "/traits", problems), problems


def _coerced(
    patch: Mapping[str, Any], schema: Schema, prefix: str, pointer: str, problems: list[Problem]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in patch.items():
        path = prefix + name
        kind = schema.types.get(path)
        if kind is not None and value is not None:
            try:
                result[name] = coerce(kind, value, schema.zone)
            except Uncoercible as fault:
                problems.append(Problem(f"{pointer}/{escape(name)}", "wrong_type", str(fault)))
        elif isinstance(value, dict) and value and not _is_point(value):
            inner = _coerced(value, schema, path + ".", f"{pointer}/{escape(name)}", problems)
            if inner:
                result[name] = inner
        else:
            result[name] = value
    return result


def merge(
    traits: dict[str, Any],
    times: dict[str, Written],
    patch: Mapping[str, Any],
    written: Written,
    schema: Schema,
) -> Merge:
    """Apply a patch written at one instant. The arguments are not changed.

    Values that don't fit their declared type are left out and told as problems.
    """
    fitting, problems = coerced(patch, schema)
    result = Merge(_copied(traits), dict(times), problems=problems)
    for path, value in leaves(fitting, schema):
        _write(result, path, value, written)
    return result


def _copied(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _copied(inner) if isinstance(inner, dict) else inner for name, inner in value.items()
    }


def _write(result: Merge, path: str, value: Any, written: Written) -> None:
    times = result.times
    steps = path.split(".")
    for length in range(1, len(steps) + 1):
        known = times.get(".".join(steps[:length])) if length < len(steps) else times.get(path)
        if known is not None and known.at > written.at:
            return
    parent = _parent(result.traits, steps)
    current = None if parent is None else parent.get(steps[-1])
    times[path] = written
    if isinstance(current, dict) and _newer_below(times, path, written.at):
        # What was set below this path later on stands; only what is older goes.
        _prune(current, times, path, written.at, result.changes)
        return
    if isinstance(current, dict):
        for below in [known for known in times if known.startswith(path + ".")]:
            del times[below]
    if value == {} and isinstance(current, dict):
        return
    if same(current, value):
        return
    result.changes.append(Change(path, value))
    if value is None:
        _remove(result.traits, steps)
    else:
        _set(result.traits, steps, value)


def _parent(traits: dict[str, Any], steps: list[str]) -> dict[str, Any] | None:
    node: Any = traits
    for step in steps[:-1]:
        node = node.get(step)
        if not isinstance(node, dict):
            return None
    return node  # type: ignore[no-any-return]  # narrowed by the loop


def _set(traits: dict[str, Any], steps: list[str], value: Any) -> None:
    node = traits
    for step in steps[:-1]:
        inner = node.get(step)
        if not isinstance(inner, dict):
            inner = node[step] = {}
        node = inner
    node[steps[-1]] = value


def _remove(traits: dict[str, Any], steps: list[str]) -> None:
    parent = _parent(traits, steps)
    if parent is not None:
        parent.pop(steps[-1], None)


def _newer_below(times: Mapping[str, Written], path: str, at: int) -> bool:
    prefix = path + "."
    return any(name.startswith(prefix) and known.at > at for name, known in times.items())


def _prune(
    node: dict[str, Any],
    times: dict[str, Written],
    path: str,
    at: int,
    changes: list[Change],
) -> None:
    for name in list(node):
        here = f"{path}.{name}"
        known = times.get(here)
        if isinstance(node[name], dict) and _newer_below(times, here, at):
            _prune(node[name], times, here, at, changes)
        elif known is None or known.at <= at:
            times.pop(here, None)
            del node[name]
            changes.append(Change(here, None))


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: `1` and `1.0` are, `1`, `"1"` and `true` are not."""
    if is_number(left) and is_number(right):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
