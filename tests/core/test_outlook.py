"""The short way past matching comes to what the plain way comes to, and what is looked ahead for is
never later than what happens."""

from copy import deepcopy
from datetime import UTC, tzinfo
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.deciding import decide
from service.core.decisions import Decision, Input, Patch, State
from service.core.events import Event
from service.core.horizons import next_window_change
from service.core.instants import DAY, HOUR, MINUTE, parse_instant
from service.core.merging import Written
from service.core.parsing import Schema
from service.core.timelines import Timeline

START = parse_instant("2026-01-25T12:00:00Z", UTC) or 0
ZONES: tuple[tzinfo, ...] = (UTC, ZoneInfo("Europe/Prague"))
FUNCTIONS: tuple[tuple[dict[str, Any], list[tuple[str, Any]]], ...] = (
    ({"function": "count"}, [(">=", 2), (">", 4), ("=", 3), ("between", [2, 5]), ("in", [1, 4])]),
    ({"function": "sum", "of": "properties.n"}, [(">", 3), ("<=", 5.5), ("between", [2, 9])]),
    ({"function": "distinct", "of": "properties.n"}, [(">=", 2), ("<", 3)]),
    ({"function": "max", "of": "properties.n"}, [(">=", 2), ("<", 2.5)]),
    ({"function": "min", "of": "properties.n"}, [("<", 2), ("notNull", None)]),
    ({"function": "avg", "of": "properties.n"}, [("<", 2), (">=", 1.5)]),
    ({"function": "last", "of": "properties.n"}, [("=", 1), ("=", "x")]),
    ({"function": "first", "of": "properties.n"}, [("=", 2)]),
    ({"function": "mode", "of": "properties.n"}, [("!=", 1)]),
    ({"function": "last"}, [("withinLast", "2d"), ("notWithinLast", "1mo")]),
    ({"function": "medianGap"}, [("<", 1)]),
)  # fmt: skip
WINDOWS: tuple[dict[str, Any], ...] = (
    {}, {"within": "1d"}, {"within": "3d"}, {"within": "30d"}, {"within": "1mo"},
    {"between": ["3d", "1d"]},
)  # fmt: skip
NUMBERS = ([0, 1, 2, 2.5], [0, 1, -1, 2], [0, 1, 2, "x", None])
DERIVED: dict[str, dict[str, Any]] = {
    "visits": {"aggregate": {"event": "A", "function": "count", "within": "3d"}},
    "calls": {"aggregate": {"event": "B", "function": "count", "within": "30d"}},
    "share": {"ratio": {"numerator": "visits", "denominator": "calls"}},
    "spree": {"score": {"points": [{"event": "B", "points": 3}], "half_life": "2d"}},
}


NAMED = (("visits", ">=", 2), ("share", ">", 0.5), ("spree", ">=", 2), ("calls", "=", 1))


def rule(random: Random, keys: list[str], *, derived: bool) -> dict[str, Any]:
    chance = random.random()
    if derived and chance > 0.7:
        field, operator, value = random.choice(NAMED)
        return {"field": field, "operator": operator, "value": value}
    if keys and chance < 0.15:
        wanted = random.random() < 0.5
        return {"field": f"segment:{random.choice(keys)}", "operator": "=", "value": wanted}
    if chance < 0.2:
        return {"field": "seen", "operator": "withinLast", "value": random.choice(["1d", "4d"])}
    if chance < 0.25:
        return {"field": "customer.last_seen", "operator": "withinLast", "value": "1d"}
    aggregate, tests = random.choice(FUNCTIONS)
    operator, value = random.choice(tests)
    return {
        "field": f"event:{random.choice(['A', 'B'])}",
        "aggregate": {**aggregate, **random.choice(WINDOWS)},
        "operator": operator,
    } | ({} if value is None else {"value": value})


def catalog_of(random: Random, zone: tzinfo) -> Catalog:
    derived = DERIVED if random.random() < 0.5 else {}
    definitions: list[Definition] = []
    for number in range(random.randint(1, 6)):
        plain = [each.key for each in definitions if each.scheme is None]
        rules = [rule(random, plain, derived=bool(derived)) for _ in range(random.randint(1, 3))]
        condition = {
            "combinator": random.choice(["and", "or"]),
            "not": random.random() < 0.2,
            "rules": rules,
        }
        scheme = ("s", number) if random.random() < 0.3 else (None, None)
        definitions.append(Definition(f"k{number}", 1, "", condition, *scheme))
    catalog = compile_catalog(definitions, Schema(zone), revision=1, derived=derived)
    assert not catalog.refused
    return catalog


def told(random: Random, now: int, step: int, numbers: list[Any]) -> list[Event]:
    return [
        Event(
            random.choice(["A", "B", "C"]),
            now - random.choice([0, 0, 0, MINUTE, HOUR, DAY, 3 * DAY, 40 * DAY, -5 * HOUR]),
            {"n": random.choice(numbers)},
            f"{step}-{number}",
            "test",
        )
        for number in range(random.choice([0, 1, 1, 2, 4]))
    ]


@given(st.randoms(use_true_random=False), st.sampled_from(ZONES))
@settings(deadline=None)
def test_what_nobody_is_told_comes_to_the_same(random: Random, zone: tzinfo) -> None:
    catalog = catalog_of(random, zone)
    numbers = random.choice(NUMBERS)
    plain, short = State("c", START, START), State("c", START, START)
    now = START
    for step in range(12):
        due = short.due_at
        if due is not None and random.random() < 0.4:
            now = max(now, min(due, now + 60 * DAY) + random.choice([-1, 0, 1]))
        else:
            now += random.choice([0, 1, MINUTE, HOUR, DAY, 3 * DAY, 30 * DAY])
        events = told(random, now, step, numbers)
        written = Written(now, f"{step}", "test")
        patches = []
        if random.random() < 0.2:
            value = random.choice(["2026-01-26T00:00:00Z", "2026-01-27T00:00:00Z"])
            patches.append(Patch({random.choice(["seen", "other"]): value}, written))
        moves: list[list[Any]] = []
        for state, answered in ((plain, True), (short, False)):
            shared = Input({}, now, patches=patches, events=events, answered=answered)
            decision: Decision = decide(catalog, state, now, deepcopy(shared))
            moves.append(decision.transitions)
        assert moves[0] == moves[1]
        assert plain.memberships == short.memberships
        assert plain.histories == short.histories
        assert (plain.traits, plain.times) == (short.traits, short.times)
        assert (plain.sequence, plain.last_seen) == (short.sequence, short.last_seen)
        until = short.due_at
        latest = now + 100 * DAY if until is None else until - 1
        for at in {latest, random.randint(now, max(now, latest)), min(now + 1, latest)}:
            if at > now:
                looked = deepcopy(plain)
                assert decide(catalog, looked, at).state.memberships == plain.memberships


@given(st.randoms(use_true_random=False), st.sampled_from(ZONES))
@settings(deadline=None)
def test_an_aggregate_is_seen_the_same_until_it_changes(random: Random, zone: tzinfo) -> None:
    catalog = catalog_of(random, zone)
    numbers = random.choice(NUMBERS)
    now = START
    histories = catalog.derivations.histories(
        event for step in range(4) for event in told(random, now - step * HOUR, step, numbers)
    )
    for watched in catalog.outlook.watched.values():
        timeline = histories[watched.aggregate.series.key]
        seen = watched.out(watched.value(timeline, now), now)
        standing = watched.standing(timeline, now)
        for change in (watched.next_change(timeline, now), standing.until):
            at = next_window_change(watched.aggregate, timeline.times, now, zone)
            while at is not None and (change is None or at < change):
                assert watched.out(watched.value(timeline, at), now) == seen
                at = next_window_change(watched.aggregate, timeline.times, at, zone)
        later = now + random.randrange(60 * DAY)
        if watched.standing(timeline, later).out == standing.out:
            assert watched.out(watched.value(timeline, later), later) == seen


def passing(*rules: dict[str, Any], derived: dict[str, dict[str, Any]] | None = None) -> Catalog:
    definitions = [
        Definition(f"k{place}", 1, "", {"combinator": "and", "rules": [each]})
        for place, each in enumerate(rules)
    ]
    catalog = compile_catalog(definitions, Schema(UTC), revision=1, derived=derived)
    assert not catalog.refused
    return catalog


def count(operator: str, value: Any, within: str | None = "30d") -> dict[str, Any]:
    window = {} if within is None else {"within": within}
    aggregate = {"function": "count", **window}
    return {"field": "event:A", "aggregate": aggregate, "operator": operator, "value": value}


def lived(catalog: Catalog, events: int, name: str = "A") -> State:
    told_ = [Event(name, START - place * HOUR, {}, f"{place}", "test") for place in range(events)]
    given_ = Input({}, START, events=told_)
    return decide(catalog, State("c", START, START), START, given_).state


def another(catalog: Catalog, state: State, name: str = "A", at: int = START) -> Decision:
    told_ = [Event(name, at, {}, "another", "test")]
    return decide(catalog, state, at, Input({}, at, events=told_, answered=False))


def test_a_count_far_from_its_cut_stores_nothing_but_the_event() -> None:
    catalog = passing(count(">=", 50))
    state = lived(catalog, 7)
    assert state.due_at is None
    decision = another(catalog, state)
    assert decision.remembered
    assert not decision.stored
    assert len(next(iter(decision.state.histories.values()))) == 8


def test_a_count_that_falls_is_due_when_it_passes_its_cut() -> None:
    catalog = passing(count(">=", 3))
    state = lived(catalog, 5)
    # Of events at 0, -1 ... -4 hours two may leave.
    assert state.due_at == START - 2 * HOUR + 30 * DAY


@pytest.mark.parametrize(("ago", "until"), [(29 * DAY, DAY), (20 * DAY, 5 * DAY)])
def test_a_count_stands_until_something_leaves_or_comes(ago: int, until: int) -> None:
    [watched] = passing(count(">=", 1)).outlook.watched.values()
    timeline = Timeline.of([(START - ago, None), (START + 5 * DAY, None)])
    assert watched.standing(timeline, START).until == START + until


def test_an_event_that_passes_a_cut_is_decided() -> None:
    catalog = passing(count(">=", 8))
    decision = another(catalog, lived(catalog, 7))
    assert [each.segment for each in decision.transitions] == ["k0"]
    assert decision.transitions[0].reason == {"kind": "event", "event": "A"}


def test_an_event_that_nobody_asks_about_touches_nothing() -> None:
    catalog = passing(count(">=", 8))
    decision = another(catalog, lived(catalog, 7), name="B")
    assert not decision.stored
    assert not decision.remembered


def test_last_seen_is_stored_once_a_minute_without_a_decision() -> None:
    catalog = passing(count(">=", 8))
    state = lived(catalog, 7)
    assert not another(catalog, state, "B", START + MINUTE - 1).stored
    decision = another(catalog, state, "B", START + MINUTE)
    assert decision.stored
    assert decision.state.last_seen == START + MINUTE
    assert not decision.transitions


@pytest.mark.parametrize("kind", ["formula", "field"])
def test_what_is_read_by_more_than_conditions_counts_with_each_value(kind: str) -> None:
    derived = {"visits": {"aggregate": {"event": "A", "function": "count"}}}
    if kind == "formula":
        derived["double"] = {"formula": "visits * 2"}
        catalog = passing({"field": "double", "operator": "=", "value": 16}, derived=derived)
    else:
        rule_ = {"field": "visits", "operator": "=", "valueSource": "field", "value": "wanted"}
        catalog = passing(rule_, derived=derived)
    state = lived(catalog, 7)
    state.traits["wanted"] = 8
    assert [each.segment for each in another(catalog, state).transitions] == ["k0"]


def test_who_is_on_other_lists_by_now_is_decided() -> None:
    definitions = [Definition("listed", 1, "", None)]
    catalog = compile_catalog(definitions, Schema(UTC), revision=1)
    state = lived(catalog, 1)
    assert not another(catalog, state).transitions
    state.lists = frozenset({"listed", "of another catalog"})
    assert [each.segment for each in another(catalog, state).transitions] == ["listed"]
    assert not another(catalog, state).transitions


def test_an_answer_is_whole_where_somebody_waits_for_it() -> None:
    catalog = passing(count("<", 50))
    state = lived(catalog, 7)
    events = [Event("A", START, {}, "another", "test")]
    decision = decide(catalog, state, START, Input({}, START, events=events))
    assert decision.truths == 1
    assert decision.stored
    assert list(decision.derived.values()) == [8]


def test_who_an_event_shows_to_be_a_machine_leaves() -> None:
    flag = {"aggregate": {"event": "A", "function": "last", "of": "properties.bot"}}
    catalog = passing(count("<", 50), derived={"is_bot": flag})
    state = lived(catalog, 7)
    assert list(state.memberships) == ["k0"]
    events = [Event("A", START, {"bot": True}, "another", "test")]
    decision = decide(catalog, state, START, Input({}, START, events=events, answered=False))
    assert [each.entered for each in decision.transitions] == [False]


def test_what_would_have_been_seen_otherwise_before_it_is_due_counts_too() -> None:
    """Two views would be none before the call is too old, and none is as good as the call; two more
    change that, long before they are too old themselves."""
    call = {"field": "event:B", "aggregate": {"function": "count", "within": "40d"}}
    either = {"combinator": "or", "rules": [count("<", 2), {**call, "operator": ">=", "value": 1}]}
    catalog = compile_catalog([Definition("k0", 1, "", either)], Schema(UTC), revision=1)
    views = [Event("A", START - 20 * DAY - place, {}, f"a-{place}", "test") for place in range(2)]
    told_ = [*views, Event("B", START - 20 * DAY, {}, "b", "test")]
    state = decide(catalog, State("c", START, START), START, Input({}, START, events=told_)).state
    assert state.due_at is None
    events = [Event("A", START, {}, f"new-{place}", "test") for place in range(2)]
    decide(catalog, state, START, Input({}, START, events=events, answered=False))
    assert state.due_at is not None
    assert state.due_at <= START + 20 * DAY
    left = decide(catalog, state, START + 20 * DAY)
    assert [(each.entered, each.at) for each in left.transitions] == [(False, START + 20 * DAY)]


def test_a_sum_may_rise_when_something_negative_leaves() -> None:
    total = {"function": "sum", "of": "properties.n", "within": "30d"}
    rule_ = {"field": "event:A", "aggregate": total, "operator": ">=", "value": 3}
    catalog = passing(rule_)
    told_ = [
        Event("A", START - (3 - place) * HOUR, {"n": n}, f"{place}", "test")
        for place, n in enumerate([-5, 5, 1])
    ]
    given_ = Input({}, START, events=told_)
    state = decide(catalog, State("c", START, START), START, given_).state
    assert state.due_at == START - 3 * HOUR + 30 * DAY


@pytest.mark.parametrize(
    ("latest", "leaves"),
    [
        # Between its values lies a cut: eight of ten leave, and the mean is still what it was.
        (1, 2),
        # None of its values is another: it is missing when the last is gone.
        (2, 0),
    ],
)
def test_a_mean_is_walked_event_by_event_where_it_could_pass_a_cut(
    latest: int, leaves: int
) -> None:
    mean = {"function": "avg", "of": "properties.n", "within": "30d"}
    catalog = passing({"field": "event:A", "aggregate": mean, "operator": ">", "value": 1})
    told_ = [
        Event("A", START - place * HOUR, {"n": 2 if place else latest}, f"{place}", "test")
        for place in range(10)
    ]
    given_ = Input({}, START, events=told_)
    state = decide(catalog, State("c", START, START), START, given_).state
    assert state.due_at == START - leaves * HOUR + 30 * DAY
