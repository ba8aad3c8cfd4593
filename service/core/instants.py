"""Instants, durations and calendar arithmetic. Nothing here reads a clock.

An *instant* is an integer: microseconds since 1970-01-01T00:00:00Z. Integers compare exactly,
hash well and cost nothing to subtract.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = -62_135_596_800 * SECOND  # 0001-01-01T00:00:00Z
LAST = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999Z

# RFC 3339 section 5.6, with a time zone that may be left out (a naive instant is UTC).
_DATE_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):\d{2}:\d{2})(?:\.(\d{1,9})\d*)?"
    r"([Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
LONGEST_INSTANT = 64
# The lengths of 2026-11-20T10:30:00Z, and of the same with three or six decimals.
_USUAL = (20, 24, 27)
_DURATION = re.compile(r"(\d{1,6})(s|min|h|d|w|mo|y)", re.ASCII)
_UNIT = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_MONTHS = {"mo": 1, "y": 12}
_UNIT_ENGLISH = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}


class Span(NamedTuple):
    """A half-open stretch of time in microseconds since the epoch: one instant, or a whole day."""

    start: int
    end: int


class Moment(NamedTuple):
    """The instant and the workspace's zone under which a condition is evaluated."""

    now: int
    zone: tzinfo


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; a naive one is read as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def to_datetime(instant: int) -> datetime:
    """The aware UTC datetime of an instant; instants outside years 1-9999 are clamped."""
    return _EPOCH + timedelta(microseconds=min(max(instant, FIRST), LAST))


@lru_cache(maxsize=4_096)
def format_instant(instant: int) -> str:
    """RFC 3339 text in UTC, with as many decimals as it needs (none, or six)."""
    days, micros = divmod(min(max(instant, FIRST), LAST), DAY)
    seconds, micros = divmod(micros, SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{_day_text(days)}T{hours:02}:{minutes:02}:{seconds:02}"
    return f"{clock}.{micros:06}Z" if micros else clock + "Z"


@lru_cache(maxsize=16_384)
def _day_text(days: int) -> str:
    """The calendar day so many days after 1 January 1970."""
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def parse_instant(text: str, zone: tzinfo) -> int | None:
    """Microseconds since the epoch of RFC 3339 text, or None when it is something else.

    A date without a time is the start of that day in `zone`; a time without a zone is UTC.
    """
    # Asked before what is remembered: callers send texts as long as they like.
    return None if len(text) > LONGEST_INSTANT else _parse_instant(text, zone)


@lru_cache(maxsize=65_536)
def _parse_instant(text: str, zone: tzinfo) -> int | None:
    usual = _parse_usual(text)
    if usual is not None:
        return usual
    if _DATE.fullmatch(text):
        day = _parse_date(text)
        return None if day is None else start_of_day(day, zone)
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    day_text, clock, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day_text}T{clock}{_offset(offset)}")
        instant = from_datetime(moment)
    except (ValueError, OverflowError):
        return None
    instant += int((fraction or "0").ljust(6, "0")[:6])
    return instant if FIRST <= instant <= LAST else None


def _parse_usual(text: str) -> int | None:
    """An instant in the form of most, `2026-11-20T10:30:00.123Z`, at a fraction of the cost;
    None where it may be one of another form."""
    if (
        len(text) in _USUAL
        and text[4] == text[7] == "-"
        and text[10] == "T"
        and text[13] == text[16] == ":"
        and text[19] in "Z."
        and text[-1] == "Z"
    ):
        try:
            return from_datetime(datetime.fromisoformat(text))
        except ValueError:
            return None
    return None


def _offset(offset: str | None) -> str:
    return "+00:00" if offset in (None, "Z", "z") else str(offset)


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parse_day(text: str) -> date | None:
    """The calendar day that a date-only text (`2026-11-20`) names, else None."""
    return _parse_date(text) if _DATE.fullmatch(text) else None


@lru_cache(maxsize=16_384)
def start_of_day(day: date, zone: tzinfo) -> int:
    """The first instant of a calendar day in a zone, clamped to years 1-9999."""
    try:
        return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
    except OverflowError:
        return FIRST if day.year < 5_000 else LAST


def end_of_day(day: date, zone: tzinfo) -> int:
    """The first instant of the next calendar day in a zone (days are half open)."""
    try:
        return start_of_day(day + timedelta(days=1), zone)
    except OverflowError:
        return LAST


def local_day(instant: int, zone: tzinfo) -> date:
    """The calendar day of an instant in a zone."""
    try:
        return to_datetime(instant).astimezone(zone).date()
    except OverflowError:
        return to_datetime(instant).date()


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: whole calendar months, or microseconds; one of the two is zero."""

    months: int
    micros: int
    text: str

    @property
    def english(self) -> str:
        """`30d` -> `30 days`."""
        match = _DURATION.fullmatch(self.text)
        assert match is not None  # noqa: S101 - a Duration is made by parse_duration only
        count, unit = int(match[1]), _UNIT_ENGLISH[match[2]]
        return f"{count:,} {unit}{'' if count == 1 else 's'}"


def parse_duration(text: str) -> Duration | None:
    """`30d`, `2mo`, `1y`, `45min` ... as a Duration; None when it is none or not positive."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        return None
    count, unit = int(match[1]), match[2]
    if unit in _MONTHS:
        return Duration(count * _MONTHS[unit], 0, text)
    return Duration(0, count * _UNIT[unit], text)


def shift(instant: int, duration: Duration, zone: tzinfo, sign: int) -> int:
    """The instant one duration later (sign 1) or earlier (sign -1).

    Months keep the wall clock in `zone` and clamp the day (31 March - 1 month = 28 February);
    a result in months is clamped to years 1-9999.
    """
    if not duration.months:
        return instant + sign * duration.micros
    local = to_datetime(instant)
    # In the first and the last hours there are, the zone's own year may not exist.
    with suppress(OverflowError):
        local = local.astimezone(zone)
    month = local.year * 12 + local.month - 1 + sign * duration.months
    year, month = divmod(month, 12)
    if not 1 <= year <= 9999:
        return FIRST if sign < 0 else LAST
    moved = local.replace(
        year=year, month=month + 1, day=min(local.day, _days_in_month(year, month + 1))
    )
    try:
        return from_datetime(moved)
    except OverflowError:
        return FIRST if sign < 0 else LAST


def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


def next_anniversary(day: date, today: date) -> date | None:
    """The coming anniversary of `day` on or after `today`; 29 February falls on the 28th in
    common years. None past year 9999."""
    for year in (today.year, today.year + 1):
        if year > 9999:
            return None
        anniversary = date(year, day.month, min(day.day, _days_in_month(year, day.month)))
        if anniversary >= today:
            return anniversary
    return None


def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone of that name; raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)
