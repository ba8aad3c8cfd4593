"""Aggregates over timelines are what a plain look through all events says, at every instant."""

from collections import Counter
from datetime import UTC, tzinfo
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.aggregate_parsing import parse_named
from service.core.aggregates import TIMED, Aggregate
from service.core.conditions import Rule
from service.core.deriving import Derivations
from service.core.english import aggregate_english
from service.core.events import Event
from service.core.horizons import next_window_change
from service.core.instants import DAY, MINUTE, parse_duration, parse_instant, shift
from service.core.parsing import Invalid, Schema, parse_condition
from service.core.timelines import Timeline
from service.core.traits import ABSENT, freeze

ZONES: tuple[tzinfo, ...] = (UTC, ZoneInfo("Europe/Prague"), ZoneInfo("America/New_York"))
ANY = Schema(UTC)
START = parse_instant("2026-03-29T10:00:00Z", UTC) or 0
WINDOWS: tuple[dict[str, Any], ...] = (
    {}, {"within": "1h"}, {"within": "3d"}, {"within": "30d"}, {"within": "1mo"}, {"within": "1y"},
    {"between": ["30d", "3d"]}, {"between": ["2mo", "1mo"]},
)  # fmt: skip
SHOES = {"combinator": "and", "rules": [{"field": "item.kind", "operator": "=", "value": "Shoes"}]}
LARGE = {"combinator": "and", "rules": [{"field": "properties.n", "operator": ">", "value": 1}]}
SERIES: tuple[dict[str, Any], ...] = (
    {"of": "properties.n"},
    {"of": "properties.name"},
    {"of": "properties.mixed"},
    {"of": "properties.n", "where": LARGE},
    {"each": "properties.items", "of": "item.price"},
    {"each": "properties.items", "of": "item.price", "where": SHOES},
    {"each": "properties.items", "of": "properties.n", "where": SHOES},
)
NUMBERS = st.one_of(
    st.integers(-5, 5), st.sampled_from([0.1, 0.2, 0.3, 19.99, 1e-7, -0.05, 12345678.25, 2**70])
)
MIXED = st.one_of(NUMBERS, st.booleans(), st.sampled_from(["a", "A", "b", ""]), st.none())
ITEM = st.fixed_dictionaries(
    {}, optional={"price": NUMBERS, "kind": st.sampled_from(["shoes", "hats"])}
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "n": NUMBERS,
        "name": st.sampled_from(["ann", "Ann", "bob"]),
        "mixed": MIXED,
        "items": st.one_of(st.lists(st.one_of(ITEM, st.none()), max_size=3), st.just("none")),
    },
)
# Few, so that events often stand at the very edge of a window, around the end of February.
DAYS = (-366, -365, -364, -61, -59, -33, -31, -30, -29, -28, -4, -3, -2, -1, 0, 1, 2, 3, 30, 31)
INSTANTS = st.builds(
    lambda days, minutes, rest: START + days * DAY + minutes * MINUTE + rest,
    st.sampled_from(DAYS),
    st.sampled_from([0, 0, 0, -60, 30, 60, 540]),
    st.sampled_from([0, 0, 0, -1, 1]),
)
EVENTS = st.lists(st.tuples(INSTANTS, PROPERTIES), max_size=12)
AGGREGATES = st.builds(
    lambda function, series, window: {
        "function": function,
        **({k: v for k, v in series.items() if k != "of"} if function in TIMED else series),
        **window,
    },
    st.sampled_from(
        [
            "count",
            "sum",
            "avg",
            "min",
            "max",
            "first",
            "last",
            "distinct",
            "mode",
            "medianGap",
            "sessions",
        ]
    ),
    st.sampled_from(SERIES),
    st.sampled_from(WINDOWS),
)


def parsed(document: dict[str, Any], zone: tzinfo = UTC) -> Aggregate:
    rule = {"field": "event:Bought", "aggregate": document, "operator": "notNull"}
    condition = parse_condition({"combinator": "and", "rules": [rule]}, Schema(zone))
    (only,) = condition.rules  # type: ignore[union-attr]
    assert isinstance(only, Rule)
    assert only.field.aggregate is not None
    return only.field.aggregate


def told(events: list[tuple[int, dict[str, Any]]]) -> list[Event]:
    return [Event("Bought", at, each, str(i), "test") for i, (at, each) in enumerate(events)]


def plainly(document: dict[str, Any], events: list[Event], now: int, zone: tzinfo) -> Any:
    """What the documents say, looking through all events."""
    kept = []
    for event in events:
        if not _in_window(document, event.at, now, zone):
            continue
        items: list[Any] = [None]
        if "each" in document:
            found = event.properties.get("items")
            items = [each for each in found if each is not None] if type(found) is list else []
        for item in items:
            where = document.get("where")
            if where is LARGE and not event.properties.get("n", 0) > 1:
                continue
            if where is SHOES and item.get("kind", "").casefold() != "shoes":
                continue
            root, _, name = document.get("of", "properties.").partition(".")
            value = (item if root == "item" else event.properties).get(name)
            if "of" not in document or value is not None:
                kept.append((event.at, value))
    kept.sort(key=lambda entry: (entry[0], _order(entry[1])))
    return _made(document["function"], "of" in document, kept)


def _in_window(document: dict[str, Any], at: int, now: int, zone: tzinfo) -> bool:
    def ago(text: str) -> int:
        duration = parse_duration(text)
        assert duration is not None
        return shift(now, duration, zone, -1)

    if "within" in document:
        return ago(document["within"]) < at <= now
    if "between" in document:
        began, ended = document["between"]
        return ago(began) < at <= ago(ended)
    return at <= now


def _order(value: Any) -> tuple[int, Any]:
    if type(value) in (int, float):
        return 0, value
    return 1, {True: "true", False: "false"}.get(value, f'"{value}"')


def _made(function: str, has_of: bool, kept: list[tuple[int, Any]]) -> Any:
    values = [value for _, value in kept]
    numbers = [Decimal(repr(value)) for value in values if type(value) in (int, float)]
    gaps = [after - before for (before, _), (after, _) in pairwise(kept)]
    match function:
        case "count":
            return len(kept)
        case "sum":
            return sum(numbers)
        case "distinct":
            return len({freeze(value) for value in values})
        case "avg":
            return sum(numbers) / len(numbers) if numbers else ABSENT
        case "min" | "max":
            return (min if function == "min" else max)(numbers, default=ABSENT)
        case "first" | "last":
            place = 0 if function == "first" else -1
            return kept[place][1 if has_of else 0] if kept else ABSENT
        case "mode":
            counts = Counter(map(freeze, values))
            most = [value for value in values if counts[freeze(value)] == max(counts.values())]
            return most[-1] if most else ABSENT
        case "sessions":
            return sum(gap >= 30 * MINUTE for gap in gaps) + (1 if kept else 0)
        case _:
            return median(gaps) / DAY if gaps else ABSENT


def same(value: Any, plain: Any) -> bool:
    if isinstance(plain, Decimal):
        return type(value) in (int, float) and float(value) == float(plain)
    if type(value) is str and type(plain) is int:
        return parse_instant(value, UTC) == plain
    return type(value) is type(plain) and bool(value == plain)


def at_an_edge(
    window: dict[str, Any], times: list[int], now: int, zone: tzinfo, random: Any
) -> int:
    """Half the time, an instant at which an event is just about to pass an edge of the window."""
    texts = [window["within"]] if "within" in window else window.get("between", ["1s"])
    duration = parse_duration(random.choice(texts))
    assert duration is not None
    if not times or random.random() < 0.5:
        return now
    return shift(random.choice(times), duration, zone, 1) + random.choice([-1, 0, 0, 1])


@given(AGGREGATES, EVENTS, INSTANTS, st.sampled_from(ZONES), st.randoms())
def test_what_a_plain_look_says(
    document: dict[str, Any],
    events: list[tuple[int, dict[str, Any]]],
    now: int,
    zone: tzinfo,
    random: Any,
) -> None:
    aggregate = parsed(document, zone)
    now = at_an_edge(document, [at for at, _ in events], now, zone, random)
    known = told(events)
    derivations = Derivations({"x": aggregate}, zone)
    histories: dict[str, Timeline] = {}
    shuffled = list(known)
    random.shuffle(shuffled)
    for event in shuffled:  # one by one, as they arrive
        for key, entries in derivations.entries([event]).items():
            histories.setdefault(key, Timeline()).add(entries)
    value = derivations.values({}, histories, now).get("x", ABSENT)
    assert same(value, plainly(document, known, now, zone))
    assert derivations.values({}, derivations.histories(known), now).get("x", ABSENT) == value


@given(
    st.sampled_from(WINDOWS),
    st.lists(INSTANTS, max_size=6),
    INSTANTS,
    st.sampled_from(ZONES),
    st.randoms(),
    st.data(),
)
def test_nothing_changes_before_the_next_change(
    window: dict[str, Any],
    times: list[int],
    now: int,
    zone: tzinfo,
    random: Any,
    data: st.DataObject,
) -> None:
    aggregate = parsed({"function": "count", **window}, zone)
    times = sorted(times)
    now = at_an_edge(window, times, now, zone, random)
    change = next_window_change(aggregate, times, now, zone)
    before = aggregate.window(times, now, zone)
    latest = now + 900 * DAY if change is None else change - 1
    if change is not None:
        assert change > now
    if latest <= now:
        return
    near = data.draw(st.one_of(INSTANTS, st.integers(now, latest)))
    for at in {min(max(near, now), latest), latest, min(now + 1, latest)}:
        assert aggregate.window(times, at, zone) == before


def named(document: dict[str, Any]) -> Aggregate:
    return parse_named(document, "/aggregate", lambda group, at: parse_condition(group, ANY, at))


@given(AGGREGATES, EVENTS, INSTANTS, st.data())
def test_events_of_several_names_are_one_series(
    document: dict[str, Any],
    events: list[tuple[int, dict[str, Any]]],
    now: int,
    data: st.DataObject,
) -> None:
    names = data.draw(st.lists(st.sampled_from("ABC"), min_size=len(events), max_size=len(events)))
    known = [
        Event(name, each.at, each.properties, each.message_id, each.source)
        for name, each in zip(names, told(events), strict=True)
    ]
    derivations = Derivations({"x": named({"event": ["B", "A"], **document})})
    value = derivations.values({}, derivations.histories(known), now).get("x", ABSENT)
    mine = [each for each in known if each.name != "C"]
    assert same(value, plainly(document, mine, now, UTC))


def test_names_are_the_same_in_any_order() -> None:
    count = {"function": "count"}
    one, other = named({"event": ["A", "B"], **count}), named({"event": ["B", "A", "B"], **count})
    assert one.series.key == other.series.key
    # A list of one name is that name: what is kept of its events stays.
    assert named({"event": ["A"], **count}).series.key == named({"event": "A", **count}).series.key
    assert aggregate_english(one) == "the number of “A” or “B”"
    sessions = {"event": ["A", "B", "C"], "function": "sessions"}
    assert aggregate_english(named(sessions)) == "the number of sessions of “A”, “B” or “C”"


@pytest.mark.parametrize("event", [None, "", [], [""], ["A", 1], "x" * 257, ["A"] * 11, {}])
def test_names_that_are_none(event: Any) -> None:
    with pytest.raises(Invalid) as caught:
        named({"event": event, "function": "count"})
    assert [problem.pointer for problem in caught.value.problems] == ["/aggregate/event"]


def test_changes_are_exact_for_fixed_durations() -> None:
    aggregate = parsed({"function": "count", "within": "3d"})
    times = [START, START + DAY]
    assert next_window_change(aggregate, times, START - 1, UTC) == START
    assert next_window_change(aggregate, times, START, UTC) == START + DAY
    assert next_window_change(aggregate, times, START + DAY, UTC) == START + 3 * DAY
    assert next_window_change(aggregate, times, START + 3 * DAY, UTC) == START + 4 * DAY
    assert next_window_change(aggregate, times, START + 4 * DAY, UTC) is None


def test_half_an_hour_of_silence_ends_a_session() -> None:
    sessions = parsed({"function": "sessions"})
    times = [0, 30 * MINUTE - 1, 60 * MINUTE - 1, 90 * MINUTE]
    assert sessions.value(Timeline.of([(at, None) for at in times]), 100 * MINUTE, UTC) == 3
    assert sessions.value(Timeline.of([(at, None) for at in times]), 60 * MINUTE, UTC) == 2
    assert sessions.value(Timeline(), 0, UTC) == 0


def test_sums_of_money_are_exact() -> None:
    timeline = Timeline.of([(i, 0.1) for i in range(10)] + [(10, 19.99), (11, 5)])
    aggregate = parsed({"function": "sum", "of": "properties.total"})
    assert aggregate.value(timeline, 100, UTC) == 25.99
    assert aggregate.value(timeline, 9, UTC) == 1


FAULTS = [
    (None, "", "required"),
    ({}, "/function", "bad_value"),
    ({"function": "sum"}, "/of", "required"),
    ({"function": "sum", "of": "total"}, "/of", "bad_value"),
    ({"function": "sum", "of": "item.price"}, "/of", "bad_value"),
    ({"function": "count", "each": "item.list"}, "/each", "bad_value"),
    ({"function": "medianGap", "of": "properties.n"}, "/of", "bad_value"),
    ({"function": "sessions", "of": "properties.n"}, "/of", "bad_value"),
    ({"function": "count", "within": "3m"}, "/within", "bad_value"),
    ({"function": "count", "within": 3}, "/within", "bad_value"),
    ({"function": "count", "between": ["90d", "180d"]}, "/between", "bad_value"),
    ({"function": "count", "between": ["31d", "1mo"]}, "/between", "bad_value"),
    ({"function": "count", "between": ["1mo"]}, "/between", "bad_value"),
    ({"function": "count", "between": ["x", "1mo"]}, "/between/0", "bad_value"),
    ({"function": "count", "within": "1d", "between": ["2d", "1d"]}, "/between", "bad_value"),
    ({"function": "count", "within_last": "1d"}, "/within_last", "unknown_property"),
    ({"function": "count", "where": {"combinator": "and", "rules": []}}, "/where/rules", "empty"),
    ({"function": "count", "where": SHOES}, "/where", "unknown_field"),
]


@pytest.mark.parametrize(("document", "place", "code"), FAULTS, ids=str)
def test_faults_are_located(document: Any, place: str, code: str) -> None:
    rule = {"field": "event:Bought", "aggregate": document, "operator": ">=", "value": 1}
    with pytest.raises(Invalid) as caught:
        parse_condition({"combinator": "and", "rules": [rule]}, Schema(UTC))
    told = [(problem.pointer, problem.code) for problem in caught.value.problems]
    assert (f"/condition/rules/0/aggregate{place}", code) in told


def test_an_event_is_no_value_to_compare_with() -> None:
    rule = {"field": "age", "operator": "=", "valueSource": "field", "value": "event:Bought"}
    with pytest.raises(Invalid, match="an aggregate beside it"):
        parse_condition({"combinator": "and", "rules": [rule]}, Schema(UTC))


def test_rules_of_events_count_as_rules() -> None:
    inner = {"combinator": "and", "rules": [LARGE["rules"][0]] * 3}  # type: ignore[index]
    rule = {
        "field": "event:Bought", "operator": ">", "value": 1,
        "aggregate": {"function": "count", "where": inner},
    }  # fmt: skip
    with pytest.raises(Invalid, match="3 rules at most"):
        parse_condition({"combinator": "and", "rules": [rule]}, Schema(UTC, rules_limit=3))
