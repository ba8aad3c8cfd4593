"""The next change that an index promises is a true lower bound: time alone changes nothing
before it, and nothing ever where there is none."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core import instants
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.instants import DAY, HOUR, LAST, from_datetime, parse_duration, to_datetime
from service.core.lookahead import Ahead
from service.core.parsing import Schema
from service.core.traits import TraitType
from tests.core import pools, strategies
from tests.core.specification import keys_of, members

FACTOR = int(os.environ.get("SEGSERVE_FUZZ_FACTOR", "1"))

ZONES: tuple[tzinfo, ...] = (
    UTC,
    ZoneInfo("Europe/Prague"),
    ZoneInfo("America/New_York"),
    ZoneInfo("America/Sao_Paulo"),  # midnights that did not exist, until 2018
    ZoneInfo("Australia/Lord_Howe"),  # half an hour of daylight saving
    ZoneInfo("Pacific/Apia"),  # a day that did not exist, in 2011
)
DURATIONS = ("1s", "45min", "1h", "23h", "1d", "7d", "30d", "1mo", "2mo", "6mo", "1y", "4y", "400d")
OPERATORS = ("withinLast", "notWithinLast", "withinNext", "anniversaryWithin")
# Days around which calendars are odd: ends of months, leap days, changes of the clock.
ODD_DAYS = (
    "2024-02-28", "2024-02-29", "2024-03-01", "2025-02-28", "2025-03-01", "2026-01-30",
    "2026-01-31", "2026-02-28", "2026-03-08", "2026-03-29", "2026-03-31", "2026-04-05",
    "2026-04-30", "2026-10-04", "2026-10-25", "2026-11-01", "2026-11-30", "2026-12-31",
    "2017-10-15", "2018-02-18", "2018-11-04", "2011-12-29", "2011-12-31",
)  # fmt: skip
_CLOCKS = st.sampled_from(
    (timedelta(), timedelta(hours=1), timedelta(hours=2, minutes=30), timedelta(hours=3),
     timedelta(hours=12), timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999))
)  # fmt: skip


@st.composite
def moments(draw: st.DrawFn) -> int:
    """Instants of odd days, and near them."""
    day = datetime.fromisoformat(draw(st.sampled_from(ODD_DAYS))).replace(tzinfo=UTC)
    near = draw(st.integers(-3, 3)) * DAY + draw(st.sampled_from((-1, 0, 1)))
    return from_datetime(day + draw(_CLOCKS)) + near


def catalog_of(rule: dict[str, Any], zone: tzinfo) -> Catalog:
    condition = {"combinator": "and", "rules": [rule]}
    definition = Definition("s", 1, "", condition)
    return compile_catalog([definition], Schema(zone=zone, types={"t": TraitType.INSTANT}))


def telling_instants(value: int, duration: str, zone: tzinfo, now: int) -> list[int]:
    """Where a truth could change if the bound were wrong: about the value moved by the duration,
    about midnights and clock changes of those days."""
    length = parse_duration(duration)
    assert length is not None
    centres = {value, now}
    for centre in (value, now):
        for sign in (-1, 1):
            centres.add(instants.shift(centre, length, zone, sign))
    found = set()
    for centre in centres:
        day = instants.local_day(centre, zone)
        for offset in range(-4, 5):
            found.add(centre + offset * DAY)
            try:
                found.add(instants.start_of_day(day + timedelta(days=offset), zone))
            except OverflowError:
                continue
    return sorted(point + by for point in found for by in (-HOUR, -1, 0, 1, HOUR // 2))


@pytest.mark.parametrize("operator", OPERATORS)
def test_no_rule_changes_before_its_bound(operator: str) -> None:
    compared: Counter[str] = Counter()

    @settings(
        max_examples=250 * FACTOR,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(ZONES),
        st.sampled_from(DURATIONS),
        moments(),
        moments(),
        st.lists(st.floats(0, 1), min_size=8, max_size=8),
    )
    def holds(zone, duration, value, now, fractions):  # type: ignore[no-untyped-def]
        catalog = catalog_of({"field": "t", "operator": operator, "value": duration}, zone)
        prepared = catalog.matcher.prepare({"t": to_datetime(value)})
        truth = prepared.at(now)
        bound = Ahead(prepared, now).pop()
        assert bound is None or bound > now
        end = now + 500 * DAY if bound is None else bound
        inside = [now + 1, end - 1, *(now + int((end - now) * part) for part in fractions)]
        inside += telling_instants(value, duration, zone, now)
        for probe in inside:
            if now < probe < end:
                assert prepared.at(probe) == truth, (to_datetime(probe), to_datetime(end))
                compared["probes"] += 1
        if bound is not None and prepared.at(bound) != truth:
            compared["changes at the bound"] += 1
        compared["never"] += bound is None

    holds()
    assert compared["probes"] > 5_000
    assert compared["changes at the bound"] > 20
    assert compared["never"] > 10 or operator == "anniversaryWithin"


def test_no_catalog_changes_before_its_bound() -> None:
    compared: Counter[str] = Counter()
    timed = [
        shape
        for shape in strategies.SHAPES
        if shape.operator.name in OPERATORS and shape.field in ("seen", "born", "a", "work.since")
    ]

    @st.composite
    def timed_catalogs(draw: st.DrawFn) -> Catalog:
        zone = draw(st.sampled_from(ZONES))
        leaves = st.one_of(strategies.rules(timed), strategies.rules(timed), strategies.rules())
        definitions = []
        for place in range(4):
            shape = strategies.bushy(leaves) if place == 0 else strategies.groups(leaves)
            scheme = "s" if place > 1 else None
            definitions.append(
                Definition(f"s{place}", 1, "", draw(shape), scheme, place if scheme else None)
            )
        return compile_catalog(definitions, Schema(zone=zone, types=pools.TYPES))

    @settings(
        max_examples=40 * FACTOR,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        timed_catalogs(),
        strategies.profiles(8),
        strategies.nows(),
        st.lists(st.floats(0, 1), min_size=4, max_size=4),
    )
    def holds(catalog, customers, now, fractions):  # type: ignore[no-untyped-def]
        for profile in customers:
            prepared = catalog.matcher.prepare(profile)
            at = now
            # A few steps of a walk from bound to bound.
            for _ in range(4):
                truth, bound = prepared.at(at), Ahead(prepared, at).pop()
                assert bound is None or bound > at
                end = min(at + 4_000 * DAY, LAST) if bound is None else bound
                for part in (*fractions, None):
                    probe = end - 1 if part is None else at + int((end - at) * part)
                    if at < probe < end:
                        assert prepared.at(probe) == truth
                        compared["probes"] += 1
                assert keys_of(catalog, truth) == members(catalog, profile, at, frozenset())
                if bound is None:
                    compared["ends"] += 1
                    break
                at = bound

    holds()
    assert compared["probes"] > 1_000
    # However the examples fall: 43 to 119 were seen.
    assert compared["ends"] > 20


def test_fixed_windows_change_at_their_bound_exactly() -> None:
    now = from_datetime(datetime(2026, 11, 20, 10, tzinfo=UTC))
    value = to_datetime(now - DAY)
    for operator, duration, expected in (
        ("withinLast", "2d", now + DAY),
        ("withinLast", "1d", None),
        ("notWithinLast", "2d", now + DAY),
        ("withinNext", "2d", None),
    ):
        catalog = catalog_of({"field": "t", "operator": operator, "value": duration}, UTC)
        assert Ahead(catalog.matcher.prepare({"t": value}), now).pop() == expected
    future = to_datetime(now + 3 * DAY)
    for operator, duration, expected in (
        ("withinLast", "2d", now + 3 * DAY),
        ("withinNext", "1d", now + 2 * DAY),
        ("withinNext", "5d", now + 3 * DAY),
    ):
        catalog = catalog_of({"field": "t", "operator": operator, "value": duration}, UTC)
        assert Ahead(catalog.matcher.prepare({"t": future}), now).pop() == expected


def test_what_does_not_look_at_time_never_changes() -> None:
    catalog = catalog_of({"field": "t", "operator": "<", "value": "2026-11-20"}, UTC)
    assert Ahead(catalog.matcher.prepare({"t": "2026-11-19"}), 0).pop() is None
    timed = catalog_of({"field": "t", "operator": "withinLast", "value": "1d"}, UTC)
    assert Ahead(timed.matcher.prepare({}), 0).pop() is None
    assert Ahead(timed.matcher.prepare({"t": "never"}), 0).pop() is None


def test_months_in_the_last_hours_there_are_keep_their_length() -> None:
    """East of Greenwich it is the year 10000 already, which no calendar here knows."""
    served = catalog_of({"field": "t", "operator": "withinLast", "value": "1mo"}, ZONES[1])
    prepared = served.matcher.prepare({"t": "2026-10-20T10:00:00Z"})
    assert [prepared.at(LAST - before) for before in (0, HOUR, 2 * HOUR, DAY)] == [0, 0, 0, 0]
