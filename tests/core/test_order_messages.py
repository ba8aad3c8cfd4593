"""What a message tells of an order: its id, its facts, and every fault at its place."""

from typing import Any

import pytest

from service.core.events import Event
from service.core.order_messages import OrderMessage, order_message
from tests.core.ordering import CANCELLED, NOON, PLACED, REFUNDED, SHOES, UPDATED, message


def refused(name: str = PLACED, **told: Any) -> list[tuple[str, str]]:
    """The faults of an event's properties as (pointer, code)."""
    read = order_message(Event(name, NOON, {"order_id": "o-1", **told}, "m-1", "web"), "shop")
    assert not isinstance(read, OrderMessage)
    assert all(problem.detail for problem in read)
    return [(problem.pointer, problem.code) for problem in read]


@pytest.mark.parametrize(
    ("told", "order_id"),
    [(17, "17"), (17.0, "17"), (" a 1 ", "a 1"), ("017", "017"), ("é" * 256, "é" * 256)],
)
def test_order_ids_are_texts(told: Any, order_id: str) -> None:
    assert message(PLACED, order_id=told).key == ("shop", order_id)


def test_an_order_without_an_id_is_its_message() -> None:
    for told in (None, "", "  "):
        assert message("m:" + PLACED, order_id=told).order_id == "message:m"
        for name in (UPDATED, REFUNDED, CANCELLED):
            assert refused(name, order_id=told) == [("/properties/order_id", "required")]


def test_what_is_null_or_empty_is_not_told() -> None:
    told = dict.fromkeys(("revenue", "discount", "coupon", "products", "currency"), None)
    assert message(PLACED, total=5, **told) == message(PLACED, total=5)
    assert message(PLACED, tax="", currency=" ") == message(PLACED)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"total": "free"}, ("/properties/total", "bad_value")),
        ({"total": "1,200.50"}, ("/properties/total", "bad_value")),
        ({"total": True}, ("/properties/total", "bad_value")),
        ({"total": -1}, ("/properties/total", "bad_value")),
        ({"total": 10**15}, ("/properties/total", "bad_value")),
        ({"total": "0.12345678901234567890"}, ("/properties/total", "bad_value")),
        ({"tax": {}}, ("/properties/tax", "bad_value")),
        ({"currency": "euro"}, ("/properties/currency", "bad_value")),
        ({"currency": 978}, ("/properties/currency", "bad_value")),
        ({"order_id": True}, ("/properties/order_id", "bad_value")),
        ({"order_id": 1.5}, ("/properties/order_id", "bad_value")),
        ({"order_id": "x" * 257}, ("/properties/order_id", "bad_value")),
        ({"order_id": 10**5000}, ("/properties/order_id", "bad_value")),
        ({"products": {}}, ("/properties/products", "type")),
        ({"products": ["shoes"]}, ("/properties/products/0", "type")),
        ({"products": [SHOES, {"price": "?"}]}, ("/properties/products/1/price", "bad_value")),
        ({"products": [{"quantity": -1}]}, ("/properties/products/0/quantity", "bad_value")),
        ({"products": [{"sku": []}]}, ("/properties/products/0/sku", "bad_value")),
    ],
)
def test_what_is_faulty_is_refused_with_its_place(
    told: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert refused(**told) == [fault]


def test_all_faults_are_told_at_once() -> None:
    faults = refused(total="x", currency="x", products=[{"price": "x"}])
    assert [pointer for pointer, _ in faults] == [
        "/properties/total", "/properties/currency", "/properties/products/0/price",
    ]  # fmt: skip
