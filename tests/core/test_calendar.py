"""Time: instants as text, days without a gap, shifts, durations and anniversaries."""

from datetime import date, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.core import instants
from service.core.instants import parse_duration
from tests.core import pools
from tests.core.fuzzing import fuzz


@fuzz
@given(
    st.integers(instants.FIRST, instants.LAST),
    st.sampled_from(pools.ZONES),
)
def test_instants_print_and_parse(instant: int, zone: Any) -> None:
    text = instants.format_instant(instant)
    assert instants.parse_instant(text, zone) == instant
    assert instants.from_datetime(instants.to_datetime(instant)) == instant


@fuzz
@given(st.dates(date(2, 1, 1), date(9998, 12, 31)), st.sampled_from(pools.ZONES))
def test_days_follow_each_other_without_a_gap(day: date, zone: Any) -> None:
    start, end = instants.start_of_day(day, zone), instants.end_of_day(day, zone)
    assert 22 * instants.HOUR <= end - start <= 26 * instants.HOUR
    assert instants.local_day(start, zone) == day
    assert instants.local_day(end - 1, zone) == day
    assert instants.local_day(end, zone) != day


@fuzz
@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.sampled_from(pools.DURATIONS[:-1]),
    st.sampled_from(pools.ZONES),
)
def test_a_shift_there_and_back_ends_within_days(moment: Any, text: str, zone: Any) -> None:
    instant = instants.from_datetime(moment)
    duration = parse_duration(text)
    assert duration is not None
    there = instants.shift(instant, duration, zone, 1)
    back = instants.shift(there, duration, zone, -1)
    assert there > instant
    assert abs(back - instant) <= (4 * instants.DAY if duration.months else 0)


def test_durations() -> None:
    month, year = parse_duration("2mo"), parse_duration("1y")
    assert month is not None
    assert year is not None
    assert (month.months, month.micros, month.english) == (2, 0, "2 months")
    assert (year.months, year.english) == (12, "1 year")
    for text in ("30m", "0d", "", "d", "1.5h", "-1d", "+1d", "1 d", "1D", "1000000d", "1d1h", "١d"):
        assert parse_duration(text) is None


def test_anniversaries_of_leap_days() -> None:
    leap = date(2000, 2, 29)
    for today, expected in (
        (date(2026, 1, 1), date(2026, 2, 28)),
        (date(2026, 2, 28), date(2026, 2, 28)),
        (date(2026, 3, 1), date(2027, 2, 28)),
        (date(2027, 12, 31), date(2028, 2, 29)),
        (date(2028, 2, 28), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 2, 29)),
    ):
        assert instants.next_anniversary(leap, today) == expected
    assert instants.next_anniversary(date(2000, 1, 1), date(9999, 12, 31)) is None
