"""Random lives: events, late ones among them, and time going by. At every decision the memberships
are what a plain look at all events says, and until `valid_until` that stays so."""

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
from service.core.decisions import Input, State
from service.core.deriving import Derivations
from service.core.events import Event
from service.core.instants import DAY, HOUR, LAST, parse_instant
from service.core.parsing import Schema
from service.core.timelines import Timeline
from service.store.events import decode, encode
from tests.core.specification import members

START = parse_instant("2026-01-25T12:00:00Z", UTC) or 0
ZONES: tuple[tzinfo, ...] = (UTC, ZoneInfo("Europe/Prague"))
FUNCTIONS: tuple[tuple[dict[str, Any], str, Any], ...] = (
    ({"function": "count"}, ">=", 2),
    ({"function": "count"}, "=", 0),
    ({"function": "sum", "of": "properties.n"}, ">", 3),
    ({"function": "min", "of": "properties.n"}, "<", 2),
    ({"function": "last", "of": "properties.n"}, "=", 1),
    ({"function": "mode", "of": "properties.n"}, "!=", 1),
    ({"function": "last"}, "withinLast", "2d"),
    ({"function": "medianGap"}, "<", 1),
)
WINDOWS: tuple[dict[str, Any], ...] = (
    {}, {"within": "1d"}, {"within": "3d"}, {"within": "1mo"}, {"between": ["3d", "1d"]},
)  # fmt: skip


def random_rule(random: Random, keys: list[str]) -> dict[str, Any]:
    chance = random.random()
    if keys and chance < 0.2:
        wanted = random.random() < 0.5
        return {"field": f"segment:{random.choice(keys)}", "operator": "=", "value": wanted}
    if chance < 0.3:
        return {"field": "seen", "operator": "withinLast", "value": random.choice(["1d", "4d"])}
    aggregate, operator, value = random.choice(FUNCTIONS)
    return {
        "field": f"event:{random.choice(['A', 'B'])}",
        "aggregate": {**aggregate, **random.choice(WINDOWS)},
        "operator": operator,
        "value": value,
    }


def random_catalog(random: Random, zone: tzinfo) -> Catalog:
    definitions: list[Definition] = []
    for number in range(random.randint(1, 5)):
        rules = [
            random_rule(random, [each.key for each in definitions if each.scheme is None])
            for _ in range(random.randint(1, 3))
        ]
        combinator, negated = random.choice(["and", "or"]), random.random() < 0.2
        condition = {"combinator": combinator, "not": negated, "rules": rules}
        scheme = ("s", number) if random.random() < 0.3 else (None, None)
        definitions.append(Definition(f"k{number}", 1, "", condition, *scheme))
    catalog = compile_catalog(definitions, Schema(zone), revision=1)
    assert not catalog.refused
    return catalog


def plainly(catalog: Catalog, state: State, events: list[Event], now: int) -> set[str]:
    derivations = catalog.derivations
    histories = Derivations(derivations.aggregates, derivations.zone).histories(events)
    profile = {**state.traits, **derivations.values({}, histories, now)}
    return set(members(catalog, profile, now, frozenset()))


@given(st.randoms(use_true_random=False), st.sampled_from(ZONES))
@settings(deadline=None)
def test_a_life(random: Random, zone: tzinfo) -> None:
    catalog = random_catalog(random, zone)
    state = State("c", START, START)
    events: list[Event] = []
    now = START
    for step in range(8):
        due = state.due_at
        if due is not None and random.random() < 0.5:
            now = min(max(now, due + random.choice([-1, 0, 1])), LAST - 400 * DAY)
        else:
            now += random.choice([0, 1, HOUR, DAY, 3 * DAY, 30 * DAY])
        told = [
            Event(
                random.choice(["A", "B", "C"]),
                now - random.choice([0, 0, HOUR, DAY, 3 * DAY, 40 * DAY, -5 * HOUR]),
                {"n": random.choice([1, 2, 3, "x", None])},
                f"{step}-{number}",
                "test",
            )
            for number in range(random.randint(0, 3))
        ]
        events += told
        traits = {"seen": "2026-01-26T00:00:00Z"} if random.random() < 0.2 else {}
        decision = decide(catalog, state, now, Input(traits, now, events=told))
        state = decision.state
        assert set(state.memberships) == plainly(catalog, state, events, now)
        until = decision.horizon.valid_until
        latest = now + 400 * DAY if until is None else until - 1
        for at in (latest, random.randint(now, max(now, latest)), min(now + 1, latest)):
            if at > now:
                assert plainly(catalog, state, events, at) == set(state.memberships)
        for position, end in decision.horizon.by_position.items():
            key = catalog.keys[position]
            if key in state.memberships and end - 1 > now:
                assert key in plainly(catalog, state, events, end - 1)


@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_the_order_of_arrival_does_not_matter(chunks: int) -> None:
    random = Random(7)
    catalog = random_catalog(random, UTC)
    events = [
        Event(
            "A",
            START + random.randint(0, 5) * DAY,
            {"n": random.choice([1, 2.5, "x"])},
            str(i),
            "t",
        )
        for i in range(20)
    ]
    now = START + 10 * DAY
    ends = []
    for _ in range(5):
        random.shuffle(events)
        state = State("c", START, START)
        for start in range(0, len(events), chunks):
            state = decide(
                catalog, state, now, Input({}, now, events=events[start : start + chunks])
            ).state
        ends.append((state.histories, set(state.memberships)))
    assert all(end == ends[0] for end in ends)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, 1, 2.5, 10**19, "x", True]))))
def test_a_stored_timeline_is_what_it_was(entries: list[tuple[int, Any]]) -> None:
    kept = [entry for entry in entries if (entry[1] is None) == (entries[0][1] is None)]
    timeline = Timeline.of(kept)
    stored = decode(encode({"a": timeline}, ["a", "b"]))
    assert encode(stored, ["a", "b"]) == encode({"a": timeline}, ["a", "b"])
    assert deepcopy(stored["a"]) == stored["a"] == timeline
    assert len(stored["b"]) == 0
    again = decode(encode({"a": timeline}, ["a"]))["a"]
    again.add(kept[:1])
    timeline.add(kept[:1])
    assert again == timeline
    assert decode(encode({"a": again}, ["a"]))["a"] == timeline
