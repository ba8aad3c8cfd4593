"""Derived traits: what the events beside a customer come to at an instant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from service.core.aggregates import Aggregate, Series
from service.core.events import Event
from service.core.horizons import next_window_change
from service.core.orders import COMPLETED
from service.core.timelines import Entry, Timeline
from service.core.traits import ABSENT

# By the series' key; a series that is not there has no event.
Histories = Mapping[str, Timeline]
_EMPTY = Timeline()


@dataclass(frozen=True)
class Derivations:
    """All aggregates that a catalog evaluates, by the name of the field that holds each."""

    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    zone: tzinfo | None = None
    # What orders are converted to.
    base_currency: str = "USD"

    def __post_init__(self) -> None:
        series = {each.series.key: each.series for each in self.aggregates.values()}
        by_event: dict[str, list[Series]] = {}
        for each in series.values():
            by_event.setdefault(each.event, []).append(each)
        object.__setattr__(self, "series", series)
        object.__setattr__(self, "by_event", by_event)
        object.__setattr__(self, "nothing", self.values({}, 0))

    # Every series that an aggregate reads, by its key; those of an event, by its name; and what
    # the aggregates are where nothing ever happened.
    series: Mapping[str, Series] = field(init=False)
    by_event: Mapping[str, list[Series]] = field(init=False)
    nothing: Mapping[str, Any] = field(init=False)

    @property
    def moving(self) -> frozenset[str]:
        """The fields that time alone can change."""
        return frozenset(name for name, each in self.aggregates.items() if each.moves)

    def values(self, histories: Histories, now: int) -> dict[str, Any]:
        """The value of each aggregate at an instant; missing ones are left out."""
        if not self.aggregates:
            return {}
        assert self.zone is not None  # noqa: S101 - whoever gives aggregates gives the zone
        found = {}
        for name, aggregate in self.aggregates.items():
            timeline = histories.get(aggregate.series.key, _EMPTY)
            value = aggregate.value(timeline, now, self.zone)
            if value is not ABSENT:
                found[name] = value
        return found

    def next_change(self, histories: Histories, now: int) -> int | None:
        """The first instant after `now` at which time alone could change a value: a lower bound;
        None: never."""
        changes = []
        for aggregate in self.aggregates.values():
            timeline = histories.get(aggregate.series.key)
            if timeline is not None and timeline.times:
                assert self.zone is not None  # noqa: S101
                change = next_window_change(aggregate, timeline.times, now, self.zone)
                if change is not None:
                    changes.append(change)
        return min(changes, default=None)

    def entries(self, events: Iterable[Event]) -> dict[str, list[Entry]]:
        """What events add to each series, by its key."""
        found: dict[str, list[Entry]] = {}
        for event in events:
            for series in self.by_event.get(event.name, ()):
                assert self.zone is not None  # noqa: S101
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

    def histories(self, events: Iterable[Event]) -> dict[str, Timeline]:
        """The timelines of every series over all events of a customer."""
        entries = self.entries(events)
        return {key: Timeline.of(entries.get(key, ())) for key in self.series}


NO_DERIVATIONS = Derivations()
