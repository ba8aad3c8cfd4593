"""Fragments: what was told of each customer id that belongs to one person.

Nothing that is told of one id is lost in the others: the person's traits are what all fragments'
messages come to together, and each fragment is whole again when it is taken out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.merging import Merge, Written, value_at, write_paths


@dataclass(slots=True)
class Fragment:
    """What was told of one customer id. Instants are microseconds since the epoch; `sequence`: of
    the last transition that was told under this id."""

    customer_id: str
    first_seen: int
    last_seen: int
    type: str = "person"
    traits: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Written] = field(default_factory=dict)
    sequence: int = 0


def joined(fragments: Iterable[Fragment]) -> tuple[dict[str, Any], dict[str, Written]]:
    """The traits of a person, and when each was set: what all their messages come to had they been
    told under one id. Of values written at one instant without message ids, the one of the later
    customer id counts."""
    result = Merge({}, {})
    for fragment in sorted(fragments, key=lambda each: each.customer_id):
        write_paths(result, _paths(fragment.traits, fragment.times))
    return result.traits, result.times


def _paths(
    traits: Mapping[str, Any], times: Mapping[str, Written]
) -> Iterable[tuple[str, Any, Written]]:
    """Every path that was written, with what it holds."""
    for path, written in times.items():
        value = {} if path.endswith(".") else value_at(traits, path)
        yield path, value, written
