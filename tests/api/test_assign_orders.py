"""Orders told by `/assign`: one record each, counted once, worth what is left of them."""

from typing import Any

import pytest

from service.core.instants import DAY, format_instant
from tests.api.test_assign_events import keys, put
from tests.running import NOW, Clock
from tests.serving import Service

SPENT = {"function": "sum", "of": "properties.net"}
BOUGHT = {"function": "count"}


@pytest.fixture
def clock(fresh: Service) -> Clock:
    told = fresh.process.services.clock
    assert isinstance(told, Clock)
    return told


def told(name: str, message_id: str, at: int = NOW, **properties: Any) -> dict[str, Any]:
    return {
        "event": name,
        "message_id": message_id,
        "timestamp": format_instant(at),
        "properties": {"order_id": "o-1", **properties},
    }


def save(service: Service, key: str, aggregate: Any, operator: str, value: Any) -> None:
    put_ = {"field": "event:Order Completed", "aggregate": aggregate, "operator": operator}
    document = {"condition": {"combinator": "and", "rules": [{**put_, "value": value}]}}
    answer = service.ask("put", f"/segments/{key}", json=document)
    assert answer.is_success, answer.text


def test_an_order_counts_once_however_often_it_is_told(fresh: Service) -> None:
    save(fresh, "one", BOUGHT, "=", 1)
    save(fresh, "net-of-90", SPENT, "=", 90)
    order = {"total": "121.00", "tax": 21, "shipping": "10"}
    for number, name in enumerate(("Order Completed", "Completed Order", "Order Updated")):
        answer = fresh.assign("c-1", events=[told(name, f"m-{number}", **order)])
        assert sorted(keys(answer)) == ["net-of-90", "one"]
    [(store, net)] = fresh.rows("select store, net from orders")
    assert (store, float(net)) == ("default", 90)


def test_refunds_and_cancellations(fresh: Service, clock: Clock) -> None:
    save(fresh, "spenders", SPENT, ">=", 100)
    save(fresh, "buyers", BOUGHT, ">=", 1)
    answer = fresh.assign("c-1", events=[told("Order Completed", "m-1", total=120)])
    assert sorted(keys(answer)) == ["buyers", "spenders"]
    clock.now += DAY
    refund = told("Order Refunded", "m-2", clock.now, total=30)
    answer = fresh.assign("c-1", events=[refund])
    assert keys(answer) == ["buyers"]
    assert answer["exited"] == [
        {"key": "spenders", "reason": {"kind": "event", "event": "Order Refunded"}}
    ]
    answer = fresh.assign("c-1", events=[told("Order Cancelled", "m-3", clock.now)])
    assert keys(answer) == []


def test_what_comes_before_its_order_settles_when_it_comes(fresh: Service) -> None:
    save(fresh, "spenders", SPENT, ">=", 100)
    save(fresh, "some", SPENT, "between", [89, 91])
    refund = told("Order Refunded", "m-2", NOW - DAY, total=30)
    assert keys(fresh.assign("c-1", events=[refund])) == []
    order = told("Order Completed", "m-1", NOW - 2 * DAY, total=120)
    assert keys(fresh.assign("c-1", events=[order])) == ["some"]


def test_a_refund_that_somebody_else_tells_of_moves_the_owner(fresh: Service) -> None:
    save(fresh, "spenders", SPENT, ">=", 100)
    fresh.assign("c-1", events=[told("Order Completed", "m-1", total=120)])
    fresh.assign("till", events=[told("Order Refunded", "m-2", total=30)])
    assert fresh.get("/segments/spenders/members")["items"] == []
    [latest, _] = fresh.get("/customers/c-1/transitions")["items"]
    assert latest["reason"] == {"kind": "event", "event": "Order Completed"}
    # Both at once, in one batch of the writer.
    bodies = [
        {
            "customer_id": "c-1",
            "events": [told("Order Completed", "m-3", order_id="o-2", total=50)],
        },
        {"customer_id": "till", "events": [told("Order Refunded", "m-4", order_id="o-2", total=1)]},
    ]
    answer = fresh.ask("post", "/assign/batch", json={"customers": bodies})
    assert [len(each["segments"]) for each in answer.json()["results"]] == [1, 0]


def test_a_definition_counts_the_orders_before_it(fresh: Service) -> None:
    products = [{"category": "Shoes", "quantity": 2, "price": 10}]
    fresh.assign("c-1", events=[told("Order Completed", "m-1", total=20, products=products)])
    shoes = {"combinator": "and", "rules": [
        {"field": "item.category", "operator": "=", "value": "shoes"}]}  # fmt: skip
    aggregate = {
        "function": "sum", "each": "properties.products", "of": "item.quantity", "where": shoes,
        "within": "1y",
    }  # fmt: skip
    save(fresh, "shod", aggregate, ">=", 2)
    fresh.settle()
    members = fresh.get("/segments/shod/members")["items"]
    assert [each["customer_id"] for each in members] == ["c-1"]


def test_what_is_no_order_is_refused(fresh: Service) -> None:
    for properties, place in (({"total": "much"}, "/total"), ({"order_id": None}, None)):
        event = told("Order Refunded", "m-1", **properties)
        answer = fresh.ask("post", "/assign", json={"customer_id": "c-1", "events": [event]})
        assert answer.status_code == 422
        pointer = answer.json()["errors"][0]["pointer"]
        assert pointer == f"/events/0/properties{place or '/order_id'}"
    assert fresh.rows("select count(*) from events") == [(0,)]


def test_an_event_of_a_customer_that_fails_is_not_kept(fresh: Service) -> None:
    put(fresh, "any", BOUGHT, ">=", 1)
    bought = {"event": "Bought", "message_id": "m-1"}
    much = {f"t{i}": i for i in range(300)}
    fresh.assign("c-1", traits=much)
    more = {f"u{i}": i for i in range(300)}
    bodies = [
        {"customer_id": "c-1", "traits": more, "events": [bought]},
        {"customer_id": "c-2", "events": [{**bought, "message_id": "m-2"}]},
    ]
    answer = fresh.ask("post", "/assign/batch", json={"customers": bodies}).json()["results"]
    assert answer[0]["error"]["status"] == 422
    assert keys(answer[1]) == ["any"]
    assert fresh.rows("select message_id from events") == [("m-2",)]
    assert keys(fresh.assign("c-1", events=[bought])) == ["any"]


def test_a_person_is_handed_out_and_erased_with_events_and_orders(fresh: Service) -> None:
    save(fresh, "buyers", BOUGHT, ">=", 1)
    seen = {"event": "Page Viewed", "message_id": "m-0", "properties": {"url": "/shoes"}}
    order = told("Order Completed", "m-1", NOW - DAY, total="12.50")
    fresh.assign("c-1", events=[seen, order])
    export = fresh.get("/customers/c-1/export")
    assert [event["name"] for event in export["events"]] == ["Order Completed", "Page Viewed"]
    assert [(each["order_id"], each["net"]) for each in export["orders"]] == [("o-1", "12.5")]
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    tables = fresh.rows(
        "select table_name from information_schema.columns where column_name = 'customer_id'"
    )
    assert {"events", "orders", "histories", "customers"} <= {name for (name,) in tables}
    for (table,) in tables:
        assert fresh.rows(f"select count(*) from {table}") == [(0,)], table


def test_an_order_waits_for_its_rate(fresh: Service) -> None:
    save(fresh, "spenders", SPENT, ">=", 100)
    order = told("Order Completed", "m-1", total=100, currency="EUR")
    assert keys(fresh.assign("c-1", events=[order])) == []
    nobodys = told("Order Refunded", "m-2", order_id="o-2", total=1, currency="EUR")
    fresh.assign("c-2", events=[nobodys])
    day = format_instant(NOW)[:10]
    rates = {"rates": [{"currency": "EUR", "day": day, "rate": "1.08"}]}
    assert fresh.ask("put", "/rates", json=rates).is_success
    fresh.settle()
    members = fresh.get("/segments/spenders/members")["items"]
    assert [each["customer_id"] for each in members] == ["c-1"]
    assert [
        float(net) for (net,) in fresh.rows("select net from orders where net is not null")
    ] == [108]


def test_segments_are_worth_the_orders_of_their_members(fresh: Service) -> None:
    fresh.save("all", ("age", "notNull", None))
    orders = [told("Order Completed", f"m-{n}", order_id=f"o-{n}", total=10.5) for n in range(3)]
    gone = told("Order Cancelled", "m-9", order_id="o-2")
    fresh.assign("c-1", traits={"age": 31, "revenue": "much"}, events=[*orders, gone])
    fresh.assign("c-2", traits={"age": 32, "revenue": 4, "orders": 1})
    # What was given counts, as it does in conditions.
    other = told("Order Completed", "m-8", order_id="o-8", total=99)
    fresh.assign("c-3", traits={"age": 33, "revenue": 0.5, "orders": 0}, events=[other])
    fresh.measure()
    metrics = fresh.get("/segments/all/metrics")
    told_ = {name: metrics[name] for name in ("revenue", "orders", "repeat_rate")}
    assert told_ == {"revenue": 25.5, "orders": 3, "repeat_rate": 0.5}
