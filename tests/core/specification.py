"""What the evaluators are held to: the semantics of segments, written as plainly as possible."""

from collections.abc import Set
from typing import Any

from service.core.catalog import Catalog
from service.core.comparisons import Truth
from service.core.instants import Moment
from service.core.interpreting import evaluate


def members(
    catalog: Catalog, profile: dict[str, Any], now: int, lists: Set[str] | None
) -> frozenset[str]:
    """Keys of the segments that a profile is in at an instant, by the interpreter alone."""
    moment = Moment(now, catalog.schema.zone)
    known: dict[str, Truth] = {}

    def holds(key: str) -> Truth:
        condition = catalog.segments[key].condition
        if condition is None:
            return None if lists is None else key in lists
        return evaluate(condition, profile, moment, member)

    def member(key: str) -> Truth:
        if key not in known:
            truth = holds(key)
            scheme = catalog.segments[key].definition.scheme
            if catalog.segments[key].condition is not None:
                truth = truth is True
            if truth is True and scheme is not None:
                winner = next(other for other in catalog.schemes[scheme] if holds(other) is True)
                truth = winner == key
            known[key] = truth
        return known[key]

    return frozenset(key for key in catalog.segments if member(key) is True)


def keys_of(catalog: Catalog, bits: int) -> frozenset[str]:
    """The keys behind a bitset that the index answers."""
    assert bits >> len(catalog.keys) == 0
    return frozenset(key for place, key in enumerate(catalog.keys) if bits >> place & 1)
