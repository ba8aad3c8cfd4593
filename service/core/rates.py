"""Rates of exchange: what one unit of a currency was worth in the workspace's base currency.

A day without a rate of its own has the latest one before it: a Saturday's is Friday's. Tables of a
rate a day skip weekends and holidays, and tables of a rate a month hold for their month; a rate
that is older than both is no longer believed, and there is none.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Protocol

from service.core.instants import local_day, parse_day
from service.core.money import money
from service.core.problems import Problem
from service.core.traits import Uncoercible, describe

LONGEST_HELD = timedelta(days=31)
HIGHEST = 10**9

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,25})?", re.ASCII)
_ONE = Decimal(1)


class Pricing(Protocol):
    """Whoever knows what currencies were worth."""

    @property
    def base(self) -> str:
        """The base currency."""

    def at(self, currency: str, instant: int) -> Decimal | None:
        """What one unit was worth in the base currency; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `currency` was worth `rate` units of the base currency, from `day` on."""

    currency: str
    day: date
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Rates:
    """A table of rates. `table`: by currency, the rates in the order of their days; an instant's
    day is that of `zone`."""

    base: str
    zone: tzinfo
    table: Mapping[str, Sequence[tuple[date, Decimal]]] = field(default_factory=dict)

    def rate(self, currency: str, day: date) -> Decimal | None:
        """The latest rate on or before a day, at most 31 days old; the base currency's is 1."""
        if currency == self.base:
            return _ONE
        known = self.table.get(currency, ())
        place = bisect_right(known, day, key=lambda each: each[0])
        if not place or day - known[place - 1][0] > LONGEST_HELD:
            return None
        return known[place - 1][1]

    def at(self, currency: str, instant: int) -> Decimal | None:
        """The rate of an instant's day."""
        return self.rate(currency, local_day(instant, self.zone))


@dataclass(frozen=True, slots=True)
class KeptRates:
    """The rates that an order was settled with, whatever tables have said since."""

    base: str
    kept: Mapping[str, Decimal]

    def at(self, currency: str, instant: int) -> Decimal | None:
        """The rate that was kept."""
        return _ONE if currency == self.base else self.kept.get(currency)


def table_of(rates: Sequence[Rate]) -> dict[str, list[tuple[date, Decimal]]]:
    """Rates as the table of `Rates`; of two for one day the later one counts."""
    days: dict[str, dict[date, Decimal]] = {}
    for each in rates:
        days.setdefault(each.currency, {})[each.day] = each.rate
    return {currency: sorted(known.items()) for currency, known in days.items()}


def read_currency(value: Any) -> str | None:
    """The code of a currency (ISO 4217) in capitals: `eur` is EUR; None if it is none."""
    code = value.strip().upper() if type(value) is str else ""
    return code if _CURRENCY.fullmatch(code) else None


def read_rate(told: Mapping[str, Any], base: str, place: str) -> Rate | list[Problem]:
    """`{currency, day, rate}` as it was sent, or everything that is wrong with it. `place`: the
    pointer of its members, whose name takes the place of `{}`."""
    problems: list[Problem] = []

    def wrong(member: str, code: str, detail: str) -> None:
        problems.append(Problem(place.format(member), code, detail))

    for member in ("currency", "day", "rate"):
        if told.get(member) in (None, ""):
            wrong(member, "required", f"{member} is missing")
    if problems:
        return problems
    currency = read_currency(told["currency"])
    if currency is None:
        detail = f"a currency is a code such as EUR, not {describe(told['currency'])}"
        wrong("currency", "bad_value", detail)
    elif currency == base:
        wrong("currency", "bad_value", f"{base} is the base currency: its rate is always 1")
    day = parse_day(told["day"].strip()) if type(told["day"]) is str else None
    if day is None:
        detail = f"a day is a date such as 2026-11-20, not {describe(told['day'])}"
        wrong("day", "bad_value", detail)
    rate = _number(told["rate"])
    if rate is None:
        detail = f"a rate is a number such as 1.0852, not {describe(told['rate'])}"
        wrong("rate", "bad_value", detail)
    elif not 0 < rate < HIGHEST:
        wrong("rate", "bad_value", f"a rate is more than 0 and less than {HIGHEST:,}")
    if problems or currency is None or day is None or rate is None:
        return problems
    return Rate(currency, day, rate)


def _number(value: Any) -> Decimal | None:
    """A rate, which as a text may have more digits than a JSON number holds."""
    if type(value) is str:
        return Decimal(value.strip()) if _NUMBER.fullmatch(value.strip()) else None
    try:
        return money(value)
    except Uncoercible:
        return None
