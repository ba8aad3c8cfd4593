"""The order o-1 of a shop: messages that tell of it, and what they come to."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from service.core.events import Event
from service.core.instants import from_datetime
from service.core.order_facts import Facts, fold
from service.core.order_messages import OrderMessage, order_message
from service.core.orders import Order, event, settled
from service.core.rates import Rates

PLACED = "Order Completed"
UPDATED = "Order Updated"
REFUNDED = "Order Refunded"
CANCELLED = "Order Cancelled"

NOON = from_datetime(datetime(2026, 11, 20, 12, tzinfo=UTC))
RATES = Rates(
    "USD",
    UTC,
    {
        "EUR": [(date(2026, 11, 20), Decimal("1.0852"))],
        "JPY": [(date(2026, 11, 19), Decimal("0.0064123"))],
    },
)
SHOES = {"product_id": "p-1", "category": "shoes", "price": "60", "quantity": 2}
SOCKS = {"sku": "s-9", "category": "socks", "price": 5.5}


def message(name: str, at: int = 0, source: str = "web", **properties: Any) -> OrderMessage:
    """A message about the order o-1 of the shop; a name in front of `:` is its message id."""
    message_id, _, name = name.rpartition(":")
    told = Event(
        name, NOON + at, {"order_id": "o-1", **properties}, message_id or f"m-{at}", source
    )
    read = order_message(told, "shop", "c-1")
    assert isinstance(read, OrderMessage), read
    return read


def order(*messages: OrderMessage, rates: Rates = RATES) -> Order:
    return settled(messages, rates)


def properties(*messages: OrderMessage, rates: Rates = RATES) -> dict[str, Any]:
    told = event(order(*messages, rates=rates))
    assert told is not None
    return dict(told.properties)


def folded(messages: list[OrderMessage]) -> Facts:
    facts = Facts()
    for each in messages:
        facts = fold(facts, each)
    return facts
