"""Orders that are only asked about come to what they would if they were kept."""

from datetime import UTC
from typing import Any

from service.core.events import Event
from service.core.imagined import imagined

HOUR = 3_600_000_000


def told(name: str, number: int, at: int = 0, **properties: Any) -> Event:
    return Event(name, at, properties, f"m-{number}", "assign")


def orders(*events: Event) -> list[dict[str, Any]]:
    found = imagined(events, "USD", UTC)
    return [dict(each.properties) for each in found if each.name == "Order Completed"]


def test_an_order_is_priced() -> None:
    [order] = orders(told("Order Completed", 1, order_id="o-1", total=120, shipping=20))
    assert (order["net"], order["gross"], order["order_id"]) == (100, 120, "o-1")


def test_an_order_counts_once_with_all_that_is_told_of_it() -> None:
    placed = told("Order Completed", 1, order_id="o-1", total=100)
    again = told("Order Completed", 2, HOUR, order_id="o-1", total=90)
    refund = told("Order Refunded", 3, HOUR, order_id="o-1", total=30)
    other = told("Order Completed", 4, order_id="o-2", total=5)
    assert [each["net"] for each in orders(placed, again, refund, other)] == [60, 5]
    assert sorted(each["net"] for each in orders(refund, other, again, placed)) == [5, 60]
    gone = told("Order Cancelled", 5, HOUR, order_id="o-1")
    assert [each["net"] for each in orders(placed, gone, other)] == [5]
    # What is told of an order that nobody knows of makes none.
    assert orders(refund, gone) == []


def test_what_is_no_order_is_left_as_it_is() -> None:
    views = [told("Product Viewed", 1), told("Order Refunded", 2, order_id="o-1")]
    assert imagined(views, "USD", UTC) == views
    assert imagined((), "USD", UTC) == []


def test_without_a_rate_an_order_counts_without_its_amounts() -> None:
    [order] = orders(told("Order Completed", 1, order_id="o-1", total=10, currency="EUR"))
    assert order == {"order_id": "o-1", "currency": "EUR"}
    gone = told("Order Cancelled", 2, order_id="o-1")
    placed = told("Order Completed", 1, order_id="o-1", total=10, currency="EUR")
    assert orders(placed, gone) == []
