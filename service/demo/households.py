"""The households of the data set, each with what is told of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Self

from service.demo.campaigns import campaign_events
from service.demo.given import given_traits
from service.demo.household import Household
from service.demo.journey import Journey
from service.demo.orders import Orders
from service.demo.tables import WEEK, read_tables


class Households:
    """All households that have a basket. Each is told as it is asked for: all their lines at once
    would fill a gigabyte."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._numbers = journey.households.tolist()
        self._traits = given_traits(journey)
        self._campaigns = campaign_events(journey)
        self._orders = Orders(journey)

    @classmethod
    def read(cls, now: datetime) -> Self:
        """The installed data set; some seconds. `now` (aware) places it in time: see
        `tables.shift`."""
        return cls(Journey.of(read_tables(), now))

    @property
    def weeks(self) -> int:
        """By how many weeks dates were moved."""
        return self._journey.moved // WEEK

    @property
    def orders(self) -> int:
        """How many orders all of them have."""
        return len(self._journey.baskets)

    @property
    def customer_ids(self) -> list[str]:
        """Their ids, in the order in which they are told."""
        return [f"household-{number}" for number in self._numbers]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Household]:
        for index, number in enumerate(self._numbers):
            events = (*self._campaigns[number], *self._orders.of(index))
            yield Household(f"household-{number}", self._traits[index], events)
