"""Derived traits: what the events beside a customer come to at an instant."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any

from service.core import consent
from service.core.aggregates import Aggregate, Series
from service.core.derived.plan import Plan
from service.core.events import Event
from service.core.instants import Moment
from service.core.orders import COMPLETED
from service.core.timelines import Entry, Timeline
from service.core.traits import ABSENT

# By the series' key; a series that is not there has no event.
Histories = Mapping[str, Timeline]
_EMPTY = Timeline()


class Derivations:
    """All that a catalog derives: aggregates by the name of the field that holds each, then the
    traits that are computed from others."""

    def __init__(
        self,
        aggregates: Mapping[str, Aggregate] | None = None,
        zone: tzinfo = UTC,
        base_currency: str = "USD",
        plan: Plan | None = None,
        ready_made: frozenset[str] = frozenset(),
    ) -> None:
        """`base_currency`: what orders are converted to; `ready_made`: the traits that stand in
        only for customers who were given none of that name."""
        self.zone = zone
        self.base_currency = base_currency
        self.plan = plan if plan is not None and plan.traits else None
        held = {} if plan is None else plan.aggregates
        self.aggregates = {**(aggregates or {}), **held}
        series = [each.series for each in self.aggregates.values()]
        series += () if plan is None else plan.series
        # Every series that anything reads, by its key; those of an event, by its name.
        self.series: Mapping[str, Series] = {each.key: each for each in series}
        self.by_event: dict[str, list[Series]] = {}
        for each in self.series.values():
            for name in each.events:
                self.by_event.setdefault(name, []).append(each)
        # The traits that callers can't give, and the fields that time alone can change.
        computed = () if plan is None else plan.traits
        self.ready_made = ready_made
        self.fields = frozenset((*self.aggregates, *computed))
        own = (name for name in self.fields - ready_made if ":" not in name)
        self.names = frozenset((*own, consent.REACHABLE))
        # What nobody can set: of suppressions events tell.
        self.unwritable = self.names | {consent.SUPPRESSED}
        moving = {name for name, each in self.aggregates.items() if each.moves}
        self.moving = frozenset(moving | (plan.moving if plan is not None else frozenset()))
        self.customer_facts = frozenset[str]() if plan is None else plan.customer_facts
        self._nothing = self._aggregated({}, 0)

    @property
    def any(self) -> bool:
        """Whether anything is derived at all."""
        return bool(self.aggregates) or self.plan is not None

    def values(
        self,
        traits: Mapping[str, Any],
        histories: Histories,
        now: int,
        overridden: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The derived traits of a customer at an instant, by name; missing ones are left out.
        `traits`: those that are given, and facts of the record; `overridden`: values that stand
        in for derived ones."""
        found = self._aggregated(histories, now) if histories else dict(self._nothing)
        return self.completed(traits, found, histories, now, overridden)

    def completed(
        self,
        traits: Mapping[str, Any],
        found: dict[str, Any],
        histories: Histories,
        now: int,
        overridden: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The derived traits of a customer whose aggregates are `found`, which becomes them all."""
        found |= reached(traits)
        if self.ready_made and not self.ready_made.isdisjoint(traits):
            given = {name: traits[name] for name in self.ready_made if name in traits}
            overridden = {**given, **(overridden or {})}
        if overridden:
            found |= overridden
        if self.plan is not None:
            profile = {**self.given(traits), **found}
            consent.fill(profile)
            self.plan.evaluate(profile, Moment(now, self.zone), histories, overridden or ())
            found |= {name: profile[name] for name in self.plan.traits if name in profile}
        return found

    def given(self, traits: Mapping[str, Any]) -> Mapping[str, Any]:
        """Traits without those that are derived: what was given before they were stands no more."""
        if self.names.isdisjoint(traits):
            return traits
        return {name: value for name, value in traits.items() if name not in self.names}

    def _aggregated(self, histories: Histories, now: int) -> dict[str, Any]:
        found = {}
        for name, aggregate in self.aggregates.items():
            timeline = histories.get(aggregate.series.key, _EMPTY)
            value = aggregate.value(timeline, now, self.zone)
            if value is not ABSENT:
                found[name] = value
        return found

    def entries(
        self, events: Iterable[Event], keys: Collection[str] | None = None
    ) -> dict[str, list[Entry]]:
        """What events add to each series, or to those named by `keys`, by its key."""
        found: dict[str, list[Entry]] = {}
        for event in events:
            for series in self.by_event.get(event.name, ()):
                if keys is not None and series.key not in keys:
                    continue
                added = list(series.entries(event, self.zone))
                if added:
                    found.setdefault(series.key, []).extend(added)
        return found

    @property
    def read_orders(self) -> bool:
        """Whether an aggregate reads orders."""
        return COMPLETED in self.by_event

    def of_orders(self, orders: Iterable[Event]) -> dict[str, Timeline]:
        """The timelines of every series over all orders of a customer."""
        entries = self.entries(orders)
        series = self.by_event.get(COMPLETED, ())
        return {each.key: Timeline.of(entries.get(each.key, ())) for each in series}

    def histories(
        self, events: Iterable[Event], keys: Collection[str] | None = None
    ) -> dict[str, Timeline]:
        """The timelines of every series, or of those named by `keys`, over all events of a
        customer."""
        entries = self.entries(events, keys)
        wanted = self.series if keys is None else keys
        return {key: Timeline.of(entries.get(key, ())) for key in wanted}


def reached(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Where a customer with these traits can be reached, as the derived trait; nothing where they
    were never asked: of them conditions read that they can't be."""
    if consent.CONSENT not in traits:
        return {}
    return {consent.REACHABLE: consent.reachable(traits)}


NO_DERIVATIONS = Derivations()
