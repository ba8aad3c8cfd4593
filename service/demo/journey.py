"""The data set as arrays: every basket and product line, placed in time, by household.

A household is an index `0..H-1` in the order of its number, a basket a row of `Journey.baskets`.
Money is whole cents, exact; instants are UTC without a zone, as pandas keeps them fastest.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from service.demo.products import FUEL
from service.demo.tables import Tables, shift

# The published instants are UTC; the data's own `week` turns at midnight of this zone, summer
# and winter, so it is where the stores are.
STORES_ZONE = "America/New_York"

Ints = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Journey:
    """The tables as arrays, dates moved. `baskets` is sorted by household, then instant."""

    tables: Tables
    now: pd.Timestamp  # like every instant here: UTC, without a zone
    moved: timedelta
    households: Ints  # their numbers, ascending
    baskets: Any  # household, number, store, at, local, cents, discount, coupon; one row each
    line_household: Ints
    line_basket: Ints  # row in `baskets`
    line_product: Ints  # row in `tables.products`; -1 where the product is unknown
    line_cents: Ints

    @classmethod
    def of(cls, tables: Tables, now: datetime) -> Self:
        """Place the tables in time: the last basket in the seven days up to `now` (aware)."""
        moved = shift(tables, now)
        lines = tables.transactions
        households, household = np.unique(lines["household_id"].to_numpy(), return_inverse=True)
        numbers, first, basket = np.unique(
            lines["basket_id"].to_numpy(), return_index=True, return_inverse=True
        )
        paid_at = lines["transaction_timestamp"].iloc[first].reset_index(drop=True)
        cents = _cents(lines["sales_value"])
        retail, coupon, match = (
            sums(basket, _cents(lines[f"{kind}_disc"]), len(first))
            for kind in ("retail", "coupon", "coupon_match")
        )
        baskets = pd.DataFrame(
            {
                "household": household[first],
                "number": numbers,
                "store": lines["store_id"].to_numpy()[first],
                "at": paid_at + moved,
                "local": paid_at.dt.tz_localize("UTC").dt.tz_convert(STORES_ZONE),
                "cents": sums(basket, cents, len(first)),
                "discount": retail + coupon + match,
                "coupon": coupon,
            }
        )
        order = np.lexsort((baskets["at"].to_numpy(), baskets["household"].to_numpy()))
        position = np.empty(len(order), dtype=np.int64)
        position[order] = np.arange(len(order))
        return cls(
            tables=tables,
            now=pd.Timestamp(now).tz_convert("UTC").tz_localize(None),
            moved=moved,
            households=households,
            baskets=baskets.iloc[order].reset_index(drop=True),
            line_household=household,
            line_basket=position[basket],
            line_product=pd.Index(tables.products["product_id"]).get_indexer(lines["product_id"]),
            line_cents=cents,
        )

    @property
    def size(self) -> int:
        """How many households there are."""
        return len(self.households)

    @property
    def index(self) -> Any:
        """The households as a pandas index."""
        return pd.RangeIndex(self.size)

    @property
    def every_basket(self) -> Flags:
        return np.ones(len(self.baskets), dtype=np.bool_)

    @property
    def every_line(self) -> Flags:
        return np.ones(len(self.line_cents), dtype=np.bool_)

    def within(self, days: int, until: int = 0) -> Flags:
        """Which baskets lie in (now - days, now - until]."""
        at = self.baskets["at"]
        recent = (at > self.now - timedelta(days=days)) & (at <= self.now - timedelta(days=until))
        return np.asarray(recent, dtype=np.bool_)

    def matching(self, pattern: str) -> Flags:
        """Which products' texts hold the pattern (see `products.py`)."""
        codes, texts = self._product_texts
        found = texts.str.contains(pattern, regex=True)
        return np.asarray(found, dtype=np.bool_)[codes]

    @cached_property
    def _product_texts(self) -> tuple[Ints, Any]:
        # 92,331 products share some 2,600 texts: each pattern is searched in those only.
        table = self.tables.products
        levels = [table[c].fillna("") for c in ("department", "product_category", "product_type")]
        codes, texts = pd.factorize(levels[0].str.cat(levels[1:], sep="|"))
        return codes, texts.to_series()

    @cached_property
    def departments(self) -> tuple[Ints, list[str]]:
        """The department of each product as a place among the names; -1: none. Fuel is sold under
        three departments; it is one."""
        fuel = self.matching(FUEL)
        codes, names = pd.factorize(
            self.tables.products["department"].mask(fuel, "FUEL"), sort=True
        )
        return codes, names.tolist()

    def lines_of(self, products: Flags) -> Flags:
        """Which lines are of the flagged products; an unknown product is of none."""
        return np.append(products, False)[self.line_product]

    def baskets_with(self, lines: Flags) -> Flags:
        """Which baskets hold one of the flagged lines."""
        return counts(self.line_basket[lines], len(self.baskets)) > 0

    def orders(self, baskets: Flags) -> Ints:
        """How many of the flagged baskets each household has."""
        return counts(self.baskets["household"].to_numpy()[baskets], self.size)

    def total(self, baskets: Flags, column: str = "cents") -> Ints:
        """Cents of each household over the flagged baskets: what they cost, or a discount."""
        rows = self.baskets[baskets]
        return sums(rows["household"].to_numpy(), rows[column].to_numpy(), self.size)

    def last(self, baskets: Flags) -> Any:
        """The latest instant of the flagged baskets, by household."""
        return self.baskets[baskets].groupby("household")["at"].last().reindex(self.index)

    def spend(self, lines: Flags) -> Ints:
        """Cents of each household over the flagged lines."""
        return sums(self.line_household[lines], self.line_cents[lines], self.size)


def _cents(dollars: Any) -> Ints:
    cents: Ints = np.rint(dollars.to_numpy() * 100).astype(np.int64)
    return cents


def micros(instants: Any) -> list[int]:
    """Instants as microseconds since the epoch."""
    found: list[int] = instants.to_numpy().astype("datetime64[us]").astype("int64").tolist()
    return found


def counts(index: Ints, size: int) -> Ints:
    """How often each of `0..size-1` occurs."""
    return np.bincount(index, minlength=size)


def sums(index: Ints, values: Ints, size: int) -> Ints:
    """The values added up by index."""
    # bincount adds doubles: exact, as cents stay far below 2**53.
    return np.bincount(index, weights=values, minlength=size).astype(np.int64)


def smaller(values: Ints) -> Ints:
    """For each value, how many of all are strictly smaller."""
    return np.searchsorted(np.sort(values), values, side="left").astype(np.int64)


def ratio(part: Ints, whole: Ints) -> Any:
    """part / whole, missing where the whole is 0."""
    return pd.Series(part / np.where(whole == 0, 1, whole)).where(whole != 0)
