"""Windows of time in proofs: they must hold whatever the instant.

What a window asks is put as ages (now - value) that rule each other out. Days are exact; calendar
months differ in length, so their windows are taken as long, or as short, as no window of theirs
could be. That bound holds at every instant of the years 200 to 9800.
"""

from dataclasses import replace

from service.core.comparisons import Interval
from service.core.instants import DAY, Duration
from service.core.lanes import complement
from service.core.operators import Operator

# The mean month of the Gregorian calendar, 146,097 days in 4,800 months.
_MONTH = 146_097 * DAY // 4_800
# Months of different lengths, leap days and clock changes shift a window's end by less.
_SLACK = 6 * DAY
# Longer windows reach out of the calendar and end at its first day: they are no shorter than this.
_MONTHS_ESTIMATED = 1_200


def shortest(duration: Duration) -> int:
    """Microseconds that a duration lasts at least."""
    if not duration.months:
        return duration.micros
    return max(27 * DAY, min(duration.months, _MONTHS_ESTIMATED) * _MONTH - _SLACK)


def longest(duration: Duration) -> int:
    """Microseconds that a duration lasts at most."""
    return duration.micros if not duration.months else duration.months * _MONTH + _SLACK


def ages_out(operator: Operator, duration: Duration, wanted: bool) -> list[Interval]:
    """The ages that surely rule out a window's having the wanted truth."""
    assert operator.interval is not None  # noqa: S101 - every window has its interval of ages
    micros = longest(duration) if wanted else shortest(duration)
    window = operator.interval(replace(duration, months=0, micros=micros))
    return complement([window]) if wanted else [window]


def gaps_out(duration: Duration, wanted: bool) -> list[Interval]:
    """The stretches of time until the coming anniversary that surely rule out its being within a
    duration, or its not being."""
    if wanted:
        return [((longest(duration), 1), None)]
    return [(None, (shortest(duration), 1))]
