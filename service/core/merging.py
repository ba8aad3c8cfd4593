"""Merging given traits: RFC 7396 patches, the latest time wins whatever the order of arrival.

Each path keeps when it was last set. `{lat, lon}` points, arrays, and values declared as objects
replace whole; other objects merge member by member. A removal is remembered like a value, so that
an older value that arrives later does not revive what was removed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.core import consent
from service.core.parsing import Problem, Schema, escape
from service.core.traits import WRONG_TYPE, TraitType, Uncoercible, coerce, is_number, read

# Removals are told from values only by looking, so short records are left alone.
REMOVALS_REMEMBERED = 100
REMOVALS_COUNTED_FROM = 400

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
    written: Written


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
    return value.keys() == {"lat", "lon"} and all(map(is_number, value.values()))


def leaves(patch: Mapping[str, Any], schema: Schema, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every path that a patch sets, with its value; None removes. An empty object, which only
    says that there is one, comes as its path and a dot."""
    for name, value in patch.items():
        path = prefix + name
        whole = schema.types.get(path) in (TraitType.OBJECT, TraitType.POINT)
        if not isinstance(value, dict) or whole or _is_point(value):
            yield path, value
        elif value:
            yield from leaves(value, schema, path + ".")
        else:
            yield path + ".", value


_PLAIN = frozenset({str, int, float, bool, list})
_READ_AS_THEY_STAND = frozenset(
    {TraitType.INSTANT, TraitType.DATE, TraitType.VERSION, TraitType.POINT}
)


def stands(patch: Mapping[str, Any], schema: Schema) -> bool:
    """Whether a patch plainly is what it comes to: every value is of its declared type, and none
    is a removal or an object to look into. Most are; telling costs a fraction of `coerced`."""
    if not consent.SHAPED.isdisjoint(patch):
        return False
    natural = schema.natural
    for name, value in patch.items():
        if type(value) in natural.get(name, _PLAIN):
            if value != value:  # noqa: PLR0124 - NaN
                return False
            continue
        kind = schema.types.get(name)
        if kind is None:
            if type(value) is not dict or not _is_point(value):
                return False
        elif kind not in _READ_AS_THEY_STAND or read(kind, value, schema.zone) is WRONG_TYPE:
            return False
    return True


def coerced(patch: Mapping[str, Any], schema: Schema) -> tuple[Mapping[str, Any], list[Problem]]:
    """A patch with declared types applied; values that can't be taken are left out and told."""
    problems: list[Problem] = []
    if not consent.SHAPED.isdisjoint(patch):
        patch, problems = consent.fitting(patch)
    if not schema.types or stands(patch, schema):
        return patch, problems
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
    if len(result.times) > REMOVALS_COUNTED_FROM:
        _forget_old_removals(result)
    return result


def write_paths(result: Merge, paths: Iterable[tuple[str, Any, Written]]) -> None:
    """Write paths one by one into `result`, which is changed: each a path as `leaves` gives them,
    its value (None removes) and when it was written."""
    for path, value, written in paths:
        _write(result, path, _copied(value) if isinstance(value, dict) else value, written)


def value_at(traits: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    node: Any = traits
    for step in path.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def count_traits(traits: Mapping[str, Any], times: Mapping[str, Written]) -> int:
    """How many paths hold a value: those that were only removed don't count."""
    return sum(value_at(traits, path) is not None for path in times)


def _forget_old_removals(result: Merge) -> None:
    """Names that come and go must not pile up: the latest removals are remembered."""
    times = result.times
    removed = [path for path in times if value_at(result.traits, path) is None]
    removed.sort(key=lambda path: times[path].at)
    for path in removed[:-REMOVALS_REMEMBERED]:
        del times[path]


def _copied(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _copied(inner) if isinstance(inner, dict) else inner for name, inner in value.items()
    }


def _write(result: Merge, path: str, value: Any, written: Written) -> None:
    """Set a path, remove it (None), or, for a path that ends in a dot, see that it is an object."""
    times = result.times
    steps = path.split(".")
    for length in range(1, len(steps) + 1):
        known = times.get(".".join(steps[:length]))
        if known is not None and _later(known, written):
            return
    *above, last = steps
    times[path] = written
    parent, made = _object(result.traits, above)
    if made and (value is None or not last):
        result.changes.append(Change(".".join(above), {}, written))
    if not last:
        return
    current = parent.get(last)
    wanted = value
    if isinstance(current, dict):
        later = _forget_below(times, path, written)
        if later:
            # What was set below this path later on stands; only what is older goes.
            wanted = _copied(value) if isinstance(value, dict) else {}
            for below in later:
                _carry(current, wanted, below.split("."))
    if same(current, wanted):
        return
    result.changes.append(Change(path, value, written))
    if wanted is None:
        del parent[last]
    else:
        parent[last] = wanted


def _later(known: Written, written: Written) -> bool:
    """Whether what is known was written after what arrives. Of one instant, messages stand in the
    order of their ids, whichever arrives first, and everything else in that of its arrival."""
    if known.at != written.at or known.message_id is None or written.message_id is None:
        return known.at > written.at
    return (known.message_id, known.source) > (written.message_id, written.source)


def _object(traits: dict[str, Any], steps: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """The object at a path, and whether it had to be made where something else, or nothing, was."""
    node, made = traits, False
    for step in steps:
        inner = node.get(step)
        if not isinstance(inner, dict):
            inner = node[step] = {}
            made = True
        node = inner
    return node, made


def _forget_below(times: dict[str, Written], path: str, written: Written) -> list[str]:
    """Forget what was written below a path earlier; what was written later, shortest first."""
    prefix = path + "."
    later = []
    for below in [known for known in times if known.startswith(prefix)]:
        if _later(times[below], written):
            later.append(below.removeprefix(prefix))
        else:
            del times[below]
    return sorted(later, key=len)


def _carry(source: Mapping[str, Any], target: dict[str, Any], steps: Sequence[str]) -> None:
    """Make a path of `target` what it is in `source`: a value, or nothing."""
    *above, last = steps
    found: Any = source
    for step in above:
        found = found[step]
        inner = target.get(step)
        if not isinstance(inner, dict):
            inner = target[step] = {}
        target = inner
    if not last:
        return
    if last in found:
        target[last] = found[last]
    else:
        target.pop(last, None)


def without_nulls(patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """A patch as it would stand merged into nothing: what it removes is not there."""
    return {
        name: without_nulls(value) if type(value) is dict else value
        for name, value in patch.items()
        if value is not None
    }


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
