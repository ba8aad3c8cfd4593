"""What an order comes to: told in several ways, counted once, exact to the last digit."""

import random
from datetime import UTC, date
from decimal import Decimal
from typing import Any

import pytest

from service.core.events import Event
from service.core.instants import DAY
from service.core.order_facts import Facts, facts_of, fold
from service.core.order_messages import Kind, OrderMessage, order_message
from service.core.orders import COMPLETED, SOURCE, Pending, currencies, event, settle
from service.core.rates import KeptRates, Rates
from tests.core.ordering import (
    CANCELLED,
    NOON,
    PLACED,
    RATES,
    REFUNDED,
    SHOES,
    SOCKS,
    UPDATED,
    folded,
    message,
    order,
    properties,
)


def test_an_order_as_its_event() -> None:
    told = event(
        order(
            message(
                PLACED, total="141.50", revenue=120, shipping="5.5", tax=16, discount=5,
                coupon="SPRING", currency="usd", affiliation="Brno", products=[SHOES, SOCKS],
            )
        )
    )  # fmt: skip
    assert told is not None
    assert (told.name, told.at, told.source) == (COMPLETED, NOON, SOURCE)
    assert told.properties == {
        "order_id": "o-1",
        "currency": "USD",
        "net": 120,
        "gross": 141.5,
        "total": 141.5,
        "revenue": 120,
        "shipping": 5.5,
        "tax": 16,
        "discount": 5,
        "refunded": 0,
        "coupon": "SPRING",
        "affiliation": "Brno",
        "products": [
            {**SHOES, "price": 60, "quantity": 2, "net": 120},
            {**SOCKS, "quantity": 1, "net": 5.5},
        ],
    }


def test_the_event_is_named_by_store_and_order_alone() -> None:
    one = event(order(message("a:" + PLACED, total=1)))
    other = event(order(message("b:" + UPDATED, 5, source="server", total=2)))
    elsewhere = order_message(Event(PLACED, NOON, {"order_id": "o-1"}, "a", "web"), "other shop")
    assert isinstance(elsewhere, OrderMessage)
    third = event(order(elsewhere))
    assert one is not None
    assert other is not None
    assert third is not None
    assert one.message_id == other.message_id != third.message_id


@pytest.mark.parametrize(
    ("told", "gross", "net"),
    [
        ({"total": 120, "revenue": 100}, 120, 100),
        ({"total": 120, "shipping": 5, "tax": "15"}, 120, 100),
        ({"total": 120, "shipping": 5}, 120, 115),
        ({"total": 120}, 120, 120),
        ({"total": 10, "shipping": 8, "tax": 4}, 10, 0),
        ({"revenue": 100, "shipping": 5, "tax": 15}, 120, 100),
        ({"revenue": 100}, 100, 100),
        ({"total": 0}, 0, 0),
        ({"products": [SHOES, SOCKS], "discount": 5}, 120.5, 120.5),
        ({"products": [SHOES, SOCKS], "shipping": 4, "discount": -5}, 124.5, 120.5),
        ({"products": [SHOES], "total": 99}, 99, 99),
        ({"products": [SOCKS], "discount": 9}, 0, 0),
        # Three times a tenth is three tenths.
        ({"products": [{"price": 0.1, "quantity": 3}]}, 0.3, 0.3),
        ({"total": "0.30", "tax": "0.10"}, 0.3, 0.2),
    ],
)
def test_gross_and_net(told: dict[str, Any], gross: float, net: float) -> None:
    found = properties(message(PLACED, **told))
    assert (found["gross"], found["net"]) == (gross, net)


@pytest.mark.parametrize(
    "told", [{}, {"products": []}, {"products": [SHOES, {"sku": "?"}]}, {"shipping": 5}]
)
def test_a_value_that_nothing_tells_is_unknown(told: dict[str, Any]) -> None:
    found = properties(message(PLACED, **told))
    assert found.keys().isdisjoint({"gross", "net"})
    assert found["order_id"] == "o-1"


ORDER = {"total": 120, "revenue": 100, "shipping": 5, "tax": 15,
         "products": [SHOES | {"price": 45}, SOCKS | {"price": 10}]}  # fmt: skip


@pytest.mark.parametrize(
    ("refunds", "refunded", "net"),
    [
        ([{}], 120, 0),
        ([{"total": 30}], 30, 70),
        ([{"total": "-30"}], 30, 70),
        ([{"total": 30}, {"total": 20}], 50, 50),
        ([{"total": 30, "refund_id": "r"}, {"total": 30, "refund_id": "r"}], 30, 70),
        ([{"total": 30, "refund_id": "r"}, {"total": 30, "refund_id": "s"}], 60, 40),
        # Shipping and tax that the refund tells are of no goods.
        ([{"total": 30, "shipping": 5, "tax": 5}], 30, 80),
        ([{"total": 5, "shipping": 5}], 5, 100),
        ([{"total": 110}], 110, 0),
        ([{"total": 120}], 120, 0),
        ([{"total": 500}], 120, 0),
        ([{"total": 60}, {}], 120, 0),
        # Products: at their own price, or at the order's.
        ([{"products": [{"product_id": "p-1", "price": 40, "quantity": 1}]}], 40, 60),
        ([{"products": [{"product_id": "p-1", "quantity": 2}]}], 90, 10),
        ([{"products": [{"product_id": "p-1", "quantity": -1}]}], 45, 55),
        ([{"products": [{"sku": "s-9"}], "tax": 2}], 12, 90),
        ([{"products": [{"sku": "never bought"}]}], 0, 100),
        ([{"products": []}], 120, 0),
        # A total with products: of goods is what the products come to, and no more than the total.
        ([{"total": 50, "products": [{"product_id": "p-1"}]}], 50, 55),
        ([{"total": 7, "products": [{"product_id": "p-1"}]}], 7, 93),
        ([{"total": 50, "products": [{"product_id": "p-1"}, {"sku": "?"}]}], 50, 50),
        # Given back whole, though the products leave something over.
        ([{"total": 120, "products": [{"sku": "s-9"}]}], 120, 0),
    ],
)
def test_refunds(refunds: list[dict[str, Any]], refunded: float, net: float) -> None:
    told = [message(REFUNDED, at, **refund) for at, refund in enumerate(refunds, 1)]
    found = properties(message(PLACED, **ORDER), *told)
    assert (found["refunded"], found["net"], found["gross"]) == (refunded, net, 120)


def test_a_refund_names_its_variant() -> None:
    lines = [
        {"sku": "tee", "variant": "S", "price": 10},
        {"sku": "tee", "variant": "L", "price": 14},
    ]
    placed = message(PLACED, products=lines)
    for variant, net in (("S", 14), ("L", 10)):
        refund = message(REFUNDED, 1, products=[{"sku": "tee", "variant": variant}])
        assert properties(placed, refund)["net"] == net


def test_a_cancelled_order_is_none_whatever_comes_after() -> None:
    cancelled = order(message(PLACED, **ORDER), message(CANCELLED, 5), message(UPDATED, 9, total=1))
    assert cancelled.cancelled_at == NOON + 5
    assert not cancelled.counts
    assert event(cancelled) is None


def test_an_update_may_tell_of_the_cancellation() -> None:
    told = OrderMessage(
        "shop", "o-1", Kind.UPDATED, NOON + 9, "m", "shopify", cancelled_at=NOON + 3
    )
    found = order(message(PLACED, **ORDER), told)
    assert (found.cancelled_at, event(found)) == (NOON + 3, None)


@pytest.mark.parametrize("early", [REFUNDED, CANCELLED])
def test_what_comes_before_its_order_waits_for_it(early: str) -> None:
    first = message(early, -5, **({"total": 30} if early == REFUNDED else {}))
    waiting = order(first)
    assert (waiting.pending, waiting.placed_at, waiting.customer_id) == (
        Pending.NO_ORDER, None, "c-1",
    )  # fmt: skip
    assert event(waiting) is None
    come = order(first, message(PLACED, **ORDER))
    assert come.pending is None
    if early == REFUNDED:
        assert properties(first, message(PLACED, **ORDER))["net"] == 70
    else:
        assert event(come) is None


def test_an_order_told_four_ways_counts_once() -> None:
    """A row of an import, a shop's webhooks when it is made and when it is paid, and a browser."""
    row = OrderMessage(
        "shop", "1001", Kind.PLACED, NOON + DAY, "row-7", "import",
        customer_id="c-1", placed_at=NOON, total=Decimal("120.50"), currency="USD",
    )  # fmt: skip
    made = OrderMessage(
        "shop", "1001", Kind.PLACED, NOON + 2, "w-1", "shopify",
        customer_id="c-1", placed_at=NOON, total=Decimal("120.50"), tax=Decimal("20.50"),
        more={"financial_status": "pending"},
    )  # fmt: skip
    paid = OrderMessage(
        "shop", "1001", Kind.UPDATED, NOON + 60, "w-2", "shopify",
        customer_id="c-1", placed_at=NOON, total=Decimal("120.50"),
        more={"financial_status": "paid"},
    )  # fmt: skip
    seen = Event(
        PLACED, NOON + 3, {"order_id": 1001, "total": 120.5, "products": [SHOES]}, "b", "web"
    )
    browser = order_message(seen, "shop", "anon-1")
    assert isinstance(browser, OrderMessage)
    ways = [row, made, paid, browser]
    assert {each.key for each in ways} == {("shop", "1001")}
    whole = order(*ways)
    for _ in range(20):
        random.shuffle(ways)
        assert order(*ways, *ways) == whole
    told = event(whole)
    assert told is not None
    assert told.at == NOON
    assert (told.properties["net"], told.properties["gross"]) == (100, 120.5)
    assert told.properties["financial_status"] == "paid"
    assert [each["category"] for each in told.properties["products"]] == ["shoes"]
    assert whole.customer_id == "c-1"


def test_the_later_message_wins_fact_by_fact() -> None:
    early = message("z:" + PLACED, total=100, coupon="A", products=[SHOES])
    late = message("a:" + UPDATED, 5, total=90)
    for ways in ((early, late), (late, early)):
        found = properties(*ways)
        assert (found["total"], found["coupon"], len(found["products"])) == (90, "A", 1)
    # At the same instant the greater message id decides.
    tied = message("b:" + UPDATED, 5, total=80)
    assert properties(early, tied, late)["total"] == properties(late, tied, early)["total"] == 80


def test_when_an_order_was_placed() -> None:
    assert order(message(PLACED, 7), message(PLACED, 3), message(UPDATED, 1)).placed_at == NOON + 3
    assert order(message(UPDATED, 7), message(UPDATED, 5)).placed_at == NOON + 5
    assert order(message(REFUNDED, 1), message(PLACED, 7)).placed_at == NOON + 7


def test_whose_an_order_is() -> None:
    refund = Event(REFUNDED, NOON + 9, {"order_id": "o-1"}, "r", "desk")
    by_desk = order_message(refund, "shop", "helper")
    by_nobody = order_message(refund, "shop")
    assert isinstance(by_desk, OrderMessage)
    assert isinstance(by_nobody, OrderMessage)
    assert order(by_desk, message(PLACED)).customer_id == "c-1"
    assert order(by_nobody, message(PLACED)).customer_id == "c-1"
    assert order(by_desk).customer_id == "helper"
    assert order(by_nobody).customer_id is None


def test_amounts_are_converted_at_the_day_of_the_order() -> None:
    found = properties(
        message(PLACED, currency="EUR", total="120.50", revenue=100, products=[SOCKS]),
        message(REFUNDED, 40 * DAY, total="10"),
    )
    assert found["currency"] == "EUR"
    assert found["gross"] == found["total"] == 130.7666
    assert (found["revenue"], found["net"], found["refunded"]) == (108.52, 97.668, 10.852)
    # 5.5 x 1.0852 = 5.9686
    assert found["products"] == [{**SOCKS, "quantity": 1, "price": 5.9686, "net": 5.9686}]


def test_halves_go_to_the_even_digit_and_only_at_the_end() -> None:
    rates = Rates("USD", UTC, {"EUR": [(date(2026, 11, 20), Decimal("0.00005"))]})
    for total, gross in ((1, 0), (3, 0.0002), (5, 0.0002), (7, 0.0004)):
        assert (
            properties(message(PLACED, currency="EUR", total=total), rates=rates)["gross"] == gross
        )
    # 33.333 x 3 is rounded once, not three times.
    line = {"price": "11.111", "quantity": 3}
    found = properties(message(PLACED, currency="EUR", products=[line]))
    assert found["net"] == float(round(Decimal("33.333") * Decimal("1.0852"), 4))
    # What is not converted is not rounded.
    assert properties(message(PLACED, total="0.123456789"))["net"] == 0.123456789


def test_a_refund_in_another_currency() -> None:
    refund = message(REFUNDED, 1, total=1000, currency="JPY")
    found = properties(message(PLACED, total=100), refund)
    assert (found["refunded"], found["net"]) == (6.4123, 93.5877)


def test_each_amount_is_in_the_currency_of_its_message() -> None:
    """A shop tells of an order in its own currency, the browser in the customer's."""
    shop = message(PLACED, total=110, revenue=100, currency="USD")
    browser = message(UPDATED, 1, total=100, products=[SOCKS], currency="EUR")
    found = properties(shop, browser)
    assert (found["currency"], found["gross"], found["net"]) == ("EUR", 108.52, 100)
    assert found["products"][0]["price"] == 5.9686
    # What names no currency is in the order's.
    assert properties(shop, browser, message(UPDATED, 2, total=50))["gross"] == 54.26
    assert currencies(folded([shop, browser]), "CZK", UTC) == {
        ("EUR", date(2026, 11, 20)), ("USD", date(2026, 11, 20)),
    }  # fmt: skip


def test_an_order_without_a_rate_waits_for_one() -> None:
    told = message(PLACED, currency="CZK", total=2500)
    waiting = order(told)
    assert (waiting.pending, waiting.lacks, waiting.net) == (Pending.NO_RATE, "CZK", None)
    assert event(waiting) is None
    assert waiting.placed_at == NOON
    rates = Rates("USD", UTC, {"CZK": [(date(2026, 11, 20), Decimal("0.0433"))]})
    assert properties(told, rates=rates)["net"] == 108.25


def test_which_rates_settling_asks_for() -> None:
    facts = Facts()
    assert currencies(facts, "USD", UTC) == set()
    for each in (
        message(PLACED, currency="EUR", total=5),
        message(REFUNDED, DAY, currency="JPY", total=1),
    ):
        facts = fold(facts, each)
    day = date(2026, 11, 20)
    assert currencies(facts, "USD", UTC) == {("EUR", day), ("JPY", day)}
    assert currencies(facts, "EUR", UTC) == {("JPY", day)}


def test_kept_rates_bring_the_same_order() -> None:
    facts = facts_of(message(PLACED, currency="EUR", total="120.50", products=[SOCKS]))
    first = settle("shop", "o-1", facts, RATES)
    assert first.rates == {"EUR": Decimal("1.0852")}
    assert settle("shop", "o-1", facts, KeptRates("USD", first.rates)) == first
    assert settle("shop", "o-1", facts, KeptRates("USD", {})).pending is Pending.NO_RATE


def test_kept_rates_know_the_base_currency() -> None:
    messages = [message(PLACED, total=100), message(REFUNDED, 1, total=1000, currency="JPY")]
    first = order(*messages)
    facts = folded(messages)
    assert settle("shop", "o-1", facts, KeptRates("USD", first.rates)) == first


def test_no_digit_is_lost_on_the_way() -> None:
    line = {"price": "123456789012345.123456789012345", "quantity": "1.000000000000001"}
    found = order(message(PLACED, products=[line]))
    assert found.net == Decimal("123456789012345.246913578024690123456789012345")


@pytest.mark.parametrize(
    ("price", "quantity", "net"),
    [
        ("1.10", "0.25", 0.275),
        ("0.1", "3", 0.3),
        ("2.50", "2", 5),
        (1.1, 0, 0),
        ("123456789012345.123456789012345", "1.000000000000001", 123456789012345.2469),
    ],
)
def test_a_line_tells_what_it_comes_to(price: Any, quantity: Any, net: float) -> None:
    [line] = properties(message(PLACED, products=[{"price": price, "quantity": quantity}]))[
        "products"
    ]
    assert line["net"] == net
    # As JSON: 5 and not 5.0.
    assert type(line["net"]) is type(net)


def test_what_an_order_says_of_itself_nobody_else_can() -> None:
    told = {"net": 1, "gross": 2, "refunded": 3, "products": [{"net": 4, "price": 5}]}
    found = properties(message(PLACED, **told))
    assert (found["net"], found["gross"], found["refunded"]) == (5, 5, 0)
    assert found["products"] == [{"price": 5, "quantity": 1, "net": 5}]
