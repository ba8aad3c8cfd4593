"""Fragments: what was told of each customer id that belongs to one person.

Nothing that is told of one id is lost in the others: the person's traits are what all fragments'
messages come to together, and each fragment is whole again when it is taken out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.decisions import GUEST, PERSON
from service.core.exclusion import IS_BOT
from service.core.identities import is_generated
from service.core.merging import Merge, Written, value_at, write_paths

_OF_MACHINES = frozenset({IS_BOT})
_NOTHING = frozenset[str]()


@dataclass(slots=True)
class Fragment:
    """What was told of one customer id. Instants are microseconds since the epoch; `sequence`: of
    the last transition that was told under this id."""

    customer_id: str
    first_seen: int
    last_seen: int
    type: str = PERSON
    traits: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Written] = field(default_factory=dict)
    sequence: int = 0


def joined(root: str, fragments: Iterable[Fragment]) -> tuple[dict[str, Any], dict[str, Written]]:
    """The traits of the person whom `root` names, and when each was set: what all their messages
    come to had they been told under one id, but what is `left_aside`. Values without message ids
    are of different instants, as they arrived."""
    result = Merge({}, {})
    for fragment in sorted(fragments, key=lambda each: each.customer_id):
        aside = left_aside(fragment.customer_id, fragment.type, root)
        write_paths(result, _paths(fragment, aside))
    return result.traits, result.times


def left_aside(customer_id: str, type_: str, root: str) -> frozenset[str]:
    """Traits that say nothing of the person whom `root` names where they came with another of their
    ids, that of a customer of this type. What a machine says of itself, once opened by somebody
    whom we know, must not leave them out of everything: it takes who tells it of them."""
    visitor = is_generated(customer_id) and type_ != GUEST
    return _OF_MACHINES if visitor and not is_generated(root) else _NOTHING


def _paths(fragment: Fragment, aside: frozenset[str]) -> Iterable[tuple[str, Any, Written]]:
    """Every path that was written, with what it holds."""
    for path, written in fragment.times.items():
        if path.partition(".")[0] in aside:
            continue
        value = {} if path.endswith(".") else value_at(fragment.traits, path)
        yield path, value, written


@dataclass(frozen=True, slots=True)
class Regrouping:
    """How persons change when ids are joined or parted. `people`: by root, the fragments of each
    person who has others than before; `gone`: roots that are no persons any more; `links`: ids that
    are another's now, `alone`: those that no longer are."""

    people: Mapping[str, list[Fragment]]
    gone: frozenset[str]
    links: Mapping[str, str]
    alone: frozenset[str]


def regroup(
    before: Mapping[str, str], after: Mapping[str, str], fragments: Mapping[str, Fragment]
) -> Regrouping:
    """What changes when ids that were joined as in `before` are joined as in `after`: both give the
    root of each id that has another. `fragments`: by id, of those that anything came with."""
    was = _grouped(before, fragments)
    becomes = _grouped(after, fragments)
    return Regrouping(
        people={
            root: [fragments[each] for each in sorted(ids)]
            for root, ids in becomes.items()
            if ids != was.get(root)
        },
        gone=frozenset(was.keys() - becomes.keys()),
        links={each: root for each, root in after.items() if before.get(each) != root},
        alone=frozenset(before.keys() - after.keys()),
    )


def _grouped(roots: Mapping[str, str], ids: Iterable[str]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for each in ids:
        groups.setdefault(roots.get(each, each), set()).add(each)
    return groups
