"""Orders from rows: grouped, exact, with what was given back; whole or not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.order_messages import OrderMessage, order_message
from service.core.orders import settled
from service.core.rates import Rates
from tests.intake.imports.reading import faults, pieces, told

COLUMNS = "Invoice|StockCode|Quantity|InvoiceDate|Price|Customer ID"
DAY = "2026-01-02 10:00:00"


def orders(found: Any) -> dict[str, tuple[Any, Any, Any]]:
    """By order id, its gross, net and refunded; None where it doesn't count."""
    from datetime import UTC

    shown = {}
    for each in found.pieces.values():
        for piece in each:
            messages = [order_message(event, event.store) for event in piece.events]
            assert all(isinstance(message, OrderMessage) for message in messages)
            order = settled(messages, Rates("USD", UTC))  # type: ignore[arg-type]  # just asked
            amounts = (order.gross, order.net, order.refunded)
            shown[order.order_id] = tuple(map(str, amounts)) if order.counts else None
    return shown


def test_what_is_set_is_the_same_in_every_line_and_order() -> None:
    found = told(
        COLUMNS,
        ["1", "a", "2", DAY, "2.50", "c-1"],
        ["2", "", "", DAY, "", "c-2"],
        **{"set": {"item.category": "tea", "properties.campaign": "May", "properties.total": 9}},
    )
    first, second = [piece["events"][0][1] for piece in pieces(found)]
    product = {"sku": "a", "price": "2.5", "quantity": "2", "category": "tea"}
    assert first == {"order_id": "1", "products": [product], "campaign": "May", "total": 9}
    assert second == {"order_id": "2", "campaign": "May", "total": 9}


def test_rows_are_grouped_to_orders_wherever_they_stand() -> None:
    found = told(
        COLUMNS,
        ["1", "a", "2", DAY, "2.50", "c-1"],
        ["2", "b", "1", DAY, "0.10", "c-2"],
        ["1", "c", "3", DAY, "0.10", "c-1"],
    )
    assert faults(found) == []
    assert found.counts == {"orders": 2, "lines": 3}
    first, second = pieces(found)
    assert first["rows"] == [2, 4]
    assert first["customer_id"] == "c-1"
    assert first["at"] == "2026-01-02T10:00:00Z"
    assert first["events"] == [
        (
            "Order Completed",
            {
                "order_id": "1",
                "products": [
                    {"sku": "a", "price": "2.5", "quantity": "2"},
                    {"sku": "c", "price": "0.1", "quantity": "3"},
                ],
            },
        )
    ]
    assert second["rows"] == [3]
    assert orders(found) == {"1": ("5.3", "5.3", "0"), "2": ("0.1", "0.1", "0")}


def test_lines_below_zero_are_refunds_of_their_order() -> None:
    found = told(
        COLUMNS,
        ["1", "a", "2", DAY, "2.50", "c-1"],
        ["1", "a", "-1", DAY, "2.50", "c-1"],
        ["C2", "a", "-1", DAY, "2.50", "c-1"],
    )
    assert orders(found) == {"1": ("5.0", "2.5", "2.5")}
    assert faults(found) == [(4, "Quantity", "no_order")]
    assert found.counts == {"orders": 1, "refunds": 1, "lines": 1}


def test_where_the_order_tells_its_total_lines_below_zero_are_in_it_already() -> None:
    found = told(
        f"{COLUMNS}|Total",
        ["1", "a", "2", DAY, "10", "c-1", "10"],
        ["1", "a", "-1", DAY, "10", "c-1", ""],
    )
    assert orders(found) == {"1": ("10", "10", "0")}


@pytest.mark.parametrize(
    ("status", "cancelled_at", "refunded", "expected"),
    [
        ("paid", "", "", ("20", "20", "0")),
        ("paid", "", "0.00", ("20", "20", "0")),
        ("partially_refunded", "", "5", ("20", "15", "5")),
        ("refunded", "", "", ("20", "0", "20")),
        ("refunded", "", "20.00", ("20", "0", "20")),
        ("Canceled", "", "", None),
        ("paid", "2026-01-05 10:00:00", "", None),
    ],
)
def test_cancelled_and_refunded_orders(
    status: str, cancelled_at: str, refunded: str, expected: Any
) -> None:
    found = told(
        "order_id|customer_id|created_at|total|status|cancelled_at|refunded",
        ["1", "c-1", DAY, "20", status, cancelled_at, refunded],
    )
    assert orders(found) == {"1": expected}


def test_one_row_that_cannot_be_read_keeps_its_whole_order_out() -> None:
    found = told(
        COLUMNS,
        ["1", "a", "2", DAY, "2.50", "c-1"],
        ["1", "b", "x", DAY, "2.50", "c-1"],
        ["2", "b", "1", DAY, "2.50", "c-1"],
    )
    assert [each["rows"] for each in pieces(found)] == [[4]]
    assert faults(found) == [(2, None, "order_refused"), (3, "Quantity", "bad_value")]
    assert found.bad[0].detail == "row 3 of its order 1 is faulty"


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (["", "a", "2", DAY, "2.50", "c-1"], "Invoice", "required"),
        (["1", "a", "2", "", "2.50", "c-1"], "InvoiceDate", "required"),
        (["1", "a", "2", "soon", "2.50", "c-1"], "InvoiceDate", "bad_value"),
        (["1", "a", "2", "2099-01-02", "2.50", "c-1"], "InvoiceDate", "in_the_future"),
        (["1", "a", "2", DAY, "-2.50", "c-1"], "Price", "bad_value"),
        (["1", "a", "2", DAY, "2.50", ""], None, "no_customer"),
        (["1", "a", "2", DAY, "2.50", "c" * 257], "Customer ID", "bad_value"),
        (["1" * 257, "a", "2", DAY, "2.50", "c-1"], "Invoice", "too_long"),
        (["1", "a" * 257, "2", DAY, "2.50", "c-1"], "StockCode", "too_long"),
    ],
)
def test_rows_that_are_refused(row: list[Any], column: str | None, code: str) -> None:
    found = told(COLUMNS, row)
    assert faults(found) == [(2, column, code)]
    assert not found.pieces


def test_an_order_of_two_customers_is_refused() -> None:
    found = told(COLUMNS, ["1", "a", "2", DAY, "1", "c-1"], ["1", "b", "2", DAY, "1", "c-2"])
    assert {code for _, _, code in faults(found)} == {"conflict", "order_refused"}


def test_further_rows_may_leave_out_what_the_first_tells() -> None:
    found = told(
        "order_id|customer_id|created_at|total|sku|quantity",
        ["1", "c-1", DAY, "20", "a", "1"],
        ["1", "", "", "", "b", "2"],
    )
    (piece,) = pieces(found)
    assert piece["rows"] == [2, 3]
    ((_, properties),) = piece["events"]
    assert properties["total"] == "20"
    assert [line["sku"] for line in properties["products"]] == ["a", "b"]


def test_the_price_of_one_follows_from_the_lines_total() -> None:
    said = {"as": "orders", "map": {"item.total": "line total"}}
    found = told(
        "order_id|customer_id|created_at|total|sku|quantity|line total",
        ["1", "c-1", DAY, "20", "a", "4", "10"],
        ["1", "c-1", DAY, "20", "b", "3", "10"],
        **said,
    )
    lines = pieces(found)[0]["events"][0][1]["products"]
    assert [line["price"] for line in lines] == ["2.5", "3.333333"]


def test_amounts_currency_and_properties_of_an_order() -> None:
    said = {"as": "orders", "map": {"properties.channel": "channel", "traits.city": "city"}}
    found = told(
        "order_id|customer_id|created_at|total|subtotal|shipping|tax|discount|currency|coupon|"
        "channel|city",
        ["1", "c-1", DAY, "135.50", "110", "5.50", "20", "-10", "eur", "X", "web", "Brno"],
        **said,
    )
    (piece,) = pieces(found)
    assert piece["traits"] == {"city": "Brno"}
    assert piece["events"][0][1] == {
        "channel": "web", "order_id": "1", "total": "135.5", "revenue": "110", "shipping": "5.5",
        "tax": "20", "discount": "10", "coupon": "X", "currency": "EUR",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "cell"), [("total", "-1"), ("currency", "euro"), ("total", "much")]
)
def test_amounts_and_currencies_that_are_none(column: str, cell: str) -> None:
    found = told(f"order_id|customer_id|created_at|{column}", ["1", "c-1", DAY, cell])
    assert faults(found) == [(2, column, "bad_value")]


def test_products_of_json_are_taken_as_they_stand_and_checked() -> None:
    columns = "order_id|customer_id|created_at|products"
    found = told(
        columns,
        ["1", "c-1", DAY, [{"sku": "a", "price": "2.5", "quantity": 2}]],
        ["2", "c-1", DAY, [{"sku": "a", "price": "x"}]],
    )
    assert orders(found) == {"1": ("5.0", "5.0", "0")}
    assert faults(found) == [(3, None, "bad_value")]


def test_the_same_order_has_the_same_message_id_and_another_store_another() -> None:
    row = ["1", "a", "2", DAY, "2.50", "c-1"]
    ids = [
        found.events[0].message_id
        for said in ({}, {}, {"store": "eu"})
        for each in told(COLUMNS, row, **said).pieces.values()
        for found in each
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("field", ["status", "coupon", "currency"])
@pytest.mark.parametrize("cell", [{"a": 1}, [1]])
def test_what_is_no_text_refuses_its_order_alone(field: str, cell: Any) -> None:
    found = told(
        f"order_id|customer_id|placed_at|total|{field}",
        ["1", "c-1", DAY, "5", cell],
        ["2", "c-1", DAY, "5", None],
    )
    assert orders(found) == {"2": ("5", "5", "0")}
    assert faults(found) == [(2, field, "bad_value")]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(1, 9), st.integers(0, 99_999)),
        min_size=1,
        max_size=30,
    ),
    st.randoms(),
)
def test_no_order_of_rows_changes_what_orders_come_to(lines: Any, random: Any) -> None:
    rows = [
        [f"o-{order}", f"s-{sku}", str(count), DAY, f"{cents / 100:.2f}", f"c-{order % 3}"]
        for order, sku, count, cents in lines
    ]
    exact: dict[str, int] = {}
    for order, _, count, cents in lines:
        exact[f"o-{order}"] = exact.get(f"o-{order}", 0) + count * cents
    shuffled = list(rows)
    random.shuffle(shuffled)
    for each in (rows, shuffled):
        found = told(COLUMNS, *each)
        assert faults(found) == []
        assert {key: round(float(net) * 100) for key, (_, net, _) in orders(found).items()} == exact
