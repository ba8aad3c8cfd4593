"""`/assign` with events: stored once, counted within their windows, for as long as they last."""

from typing import Any

import pytest

from service.core.instants import DAY, HOUR, MINUTE, format_instant
from tests.running import NOW, Clock
from tests.serving import Service

COUNT = {"function": "count", "within": "30d"}


@pytest.fixture
def clock(fresh: Service) -> Clock:
    told = fresh.process.services.clock
    assert isinstance(told, Clock)
    return told


def rule(aggregate: dict[str, Any], operator: str, value: Any, name: str = "Bought") -> Any:
    return {
        "combinator": "and",
        "rules": [
            {
                "field": f"event:{name}",
                "aggregate": aggregate,
                "operator": operator,
                "value": value,
            }
        ],
    }


def put(service: Service, key: str, aggregate: dict[str, Any], operator: str, value: Any) -> Any:
    document = {"condition": rule(aggregate, operator, value)}
    answer = service.ask("put", f"/segments/{key}", json=document)
    assert answer.is_success, answer.text
    return answer.json()


def bought(number: int, at: int | None = None, **properties: Any) -> dict[str, Any]:
    event = {"event": "Bought", "message_id": f"m-{number}", "properties": properties}
    return event if at is None else {**event, "timestamp": format_instant(at)}


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def test_events_are_counted_and_leave_their_window(fresh: Service, clock: Clock) -> None:
    saved = put(fresh, "regulars", COUNT, ">=", 2)
    assert saved["summary"] == "The number of “Bought” in the last 30 days is at least 2."
    assert keys(fresh.assign("c-1", events=[bought(1, NOW - DAY)])) == []
    answer = fresh.assign("c-1", events=[bought(2)])
    assert keys(answer) == ["regulars"]
    assert answer["entered"] == ["regulars"]
    end = format_instant(NOW + 29 * DAY)
    assert answer["valid_until"] == end
    assert answer["segments"][0]["valid_until"] == end
    clock.now = NOW + 29 * DAY - 1
    assert keys(fresh.assign("c-1")) == ["regulars"]
    clock.now += 1
    answer = fresh.assign("c-1")
    assert keys(answer) == []
    assert answer["exited"] == [{"key": "regulars", "reason": {"kind": "time"}}]
    [latest, first] = fresh.get("/customers/c-1/transitions")["items"]
    assert latest["at"] == end
    assert first["reason"] == {"kind": "event", "event": "Bought"}


def test_a_message_counts_once(fresh: Service) -> None:
    put(fresh, "once", COUNT, "=", 1)
    put(fresh, "twice", COUNT, "=", 2)
    first = fresh.assign("c-1", events=[bought(1), bought(1)])
    again = fresh.assign("c-1", events=[bought(1)])
    assert keys(first) == keys(again) == ["once"]
    assert again["entered"] == []
    assert again["sequence"] == first["sequence"]
    # Another customer can't have it either: an id names one message of its source.
    assert keys(fresh.assign("c-2", events=[bought(1)])) == []
    # Without an id, what is told with its time is one message, and without a time each is new.
    told = {"event": "Bought", "timestamp": format_instant(NOW - HOUR)}
    assert keys(fresh.assign("c-3", events=[told])) == ["once"]
    assert keys(fresh.assign("c-3", events=[told])) == ["once"]
    assert keys(fresh.assign("c-3", events=[{"event": "Bought"}])) == ["twice"]
    assert fresh.rows("select count(*) from events") == [(3,)]


def test_what_came_before_a_definition_counts_for_it(fresh: Service) -> None:
    fresh.assign("c-1", events=[bought(1, total=20), bought(2, NOW - DAY, total=10.5)])
    put(fresh, "buyers", {"function": "count"}, ">=", 1)
    fresh.settle()
    put(fresh, "spenders", {"function": "sum", "of": "properties.total"}, ">=", 30.5)
    fresh.settle()
    assert [m["customer_id"] for m in fresh.get("/segments/spenders/members")["items"]] == ["c-1"]
    [transition, before] = fresh.get("/customers/c-1/transitions")["items"]
    assert (transition["segment"], before["segment"]) == ("spenders", "buyers")
    assert transition["reason"] == {"kind": "definition"}
    answer = fresh.assign("c-1", events=[bought(3, total=-0.01)])
    assert keys(answer) == ["buyers"]


def test_late_events_count_from_now_on(fresh: Service, clock: Clock) -> None:
    put(fresh, "first", {"function": "first", "of": "properties.shop"}, "=", "web")
    fresh.assign("c-1", events=[bought(1, NOW, shop="till")])
    clock.now = NOW + DAY
    answer = fresh.assign("c-1", events=[bought(2, NOW - DAY, shop="web")])
    assert keys(answer) == ["first"]
    assert answer["segments"][0]["since"] == format_instant(NOW + DAY)


def test_items_are_counted(fresh: Service) -> None:
    shoes = {"combinator": "and", "rules": [
        {"field": "item.category", "operator": "=", "value": "Shoes"}]}  # fmt: skip
    aggregate = {
        "function": "sum", "each": "properties.products", "of": "item.quantity",
        "where": shoes, "within": "1y",
    }  # fmt: skip
    put(fresh, "shod", aggregate, ">=", 2)
    products = [{"category": "shoes", "quantity": 1}, {"category": "hats", "quantity": 5}, "?"]
    assert keys(fresh.assign("c-1", events=[bought(1, products=products)])) == []
    assert keys(fresh.assign("c-1", events=[bought(2, products=products)])) == ["shod"]


def test_nothing_is_stored_of_what_is_only_asked(fresh: Service, clock: Clock) -> None:
    put(fresh, "twice", COUNT, ">=", 2)
    put(fresh, "never", COUNT, "=", 0)
    assert keys(fresh.assign()) == ["never"]
    unnamed = fresh.assign(events=[bought(1, NOW - DAY), bought(2)])
    assert keys(unnamed) == ["twice"]
    assert unnamed["valid_until"] == format_instant(NOW + 29 * DAY)
    fresh.assign("c-1", events=[bought(1)])
    assert keys(fresh.assign("c-1", events=[bought(2)], record=False)) == ["twice"]
    assert keys(fresh.assign("c-1")) == []
    assert fresh.rows("select count(*) from events") == [(1,)]


FAULTS = [
    ("x", "", "type"),
    ({}, "/event", "required"),
    ({"event": ""}, "/event", "required"),
    ({"event": "x", "name": "y"}, "/name", "unknown_property"),
    ({"event": "x", "properties": []}, "/properties", "type"),
    ({"event": "x", "timestamp": "yesterday"}, "/timestamp", "bad_value"),
    ({"event": "x", "timestamp": 5}, "/timestamp", "bad_value"),
    (bought(1, NOW + 5 * MINUTE + 1), "/timestamp", "in_the_future"),
    ({"event": "x", "message_id": "m" * 101}, "/message_id", "bad_value"),
    ({"event": "x", "properties": {"a": "\0"}}, "/properties/a", "bad_value"),
]


@pytest.mark.parametrize(("event", "place", "code"), FAULTS, ids=str)
def test_faults_are_located(fresh: Service, event: Any, place: str, code: str) -> None:
    answer = fresh.ask(
        "post", "/assign", json={"customer_id": "c-1", "events": [{"event": "a"}, event]}
    )
    assert answer.status_code == 422
    told = [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]
    assert told == [(f"/events/1{place}", code)]
    assert fresh.rows("select count(*) from customers") == [(0,)]


def test_a_little_ahead_is_believed(fresh: Service) -> None:
    put(fresh, "buyers", COUNT, ">=", 1)
    answer = fresh.assign("c-1", events=[bought(1, NOW + MINUTE)])
    assert keys(answer) == []
    assert answer["valid_until"] == format_instant(NOW + MINUTE)


def test_too_many_events(fresh: Service) -> None:
    answer = fresh.ask("post", "/assign", json={"events": [{"event": "a"}] * 101})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/events"
