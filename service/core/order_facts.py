"""What messages told of an order, kept so that any order of arrival and any repetition comes to the
same: `join` is commutative, associative and idempotent, and one more message needs none of those
before it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from service.core.money import text_of
from service.core.order_messages import AMOUNTS, Kind, OrderMessage, Product


class Told(NamedTuple):
    """A value in JSON form, when it was told, by which message, and by whom."""

    value: Any
    at: int
    message_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that messages told of one order; JSON as it stands. Instants are microseconds.

    `told`: properties, `refunds` by refund, each as the latest message told it; amounts are texts,
    with their currency if the message told it: `120.5 EUR`.
    `customer`: whose the order is, and `other`: whose messages that only refund or cancel said it
    is. `placed_at`: as it was told; `placed`, `updated`, `cancelled`: the first message of each.
    """

    told: Mapping[str, Told] = field(default_factory=dict)
    refunds: Mapping[str, Told] = field(default_factory=dict)
    customer: Told | None = None
    other: Told | None = None
    placed_at: Told | None = None
    placed: int | None = None
    updated: int | None = None
    cancelled: int | None = None

    @property
    def owner(self) -> str | None:
        """Whose the order is; None: nobody said so."""
        whose = self.customer or self.other
        return None if whose is None else str(whose.value)

    @property
    def instant(self) -> int | None:
        """When the order was placed: as it was told, else with its first message; None: nothing
        but refunds or a cancellation was told of."""
        first = self.updated if self.placed is None else self.placed
        if first is None or self.placed_at is None:
            return first
        return int(self.placed_at.value)


def fold(facts: Facts, message: OrderMessage) -> Facts:
    """Facts with what one more message tells."""
    return join(facts, facts_of(message))


def join(one: Facts, other: Facts) -> Facts:
    """What both tell. Of two that tell the same fact the later counts: by time, message id and
    source, then by the value, so that there is always one."""
    return Facts(
        _join_each(one.told, other.told),
        _join_each(one.refunds, other.refunds),
        _later(one.customer, other.customer),
        _later(one.other, other.other),
        _later(one.placed_at, other.placed_at),
        _earlier(one.placed, other.placed),
        _earlier(one.updated, other.updated),
        _earlier(one.cancelled, other.cancelled),
    )


def facts_of(message: OrderMessage) -> Facts:
    """What one message tells."""

    def told(value: Any) -> Told | None:
        if value is None:
            return None
        return Told(value, message.at, message.message_id, message.source)

    cancelled = message.cancelled_at
    if cancelled is None and message.kind is Kind.CANCELLED:
        cancelled = message.at
    customer = told(message.customer_id)
    if message.kind in (Kind.PLACED, Kind.UPDATED):
        values = {**message.more, **_values(message)}
        return Facts(
            told={name: Told(value, *_stamp(message)) for name, value in values.items()},
            customer=customer,
            placed_at=told(message.placed_at),
            placed=message.at if message.kind is Kind.PLACED else None,
            updated=message.at if message.kind is Kind.UPDATED else None,
            cancelled=cancelled,
        )
    if message.kind is Kind.REFUNDED:
        refund = Told(_values(message), *_stamp(message))
        return Facts(refunds={_refund(message): refund}, other=customer, cancelled=cancelled)
    return Facts(other=customer, cancelled=cancelled)


def _stamp(message: OrderMessage) -> tuple[int, str, str]:
    return message.at, message.message_id, message.source


def _refund(message: OrderMessage) -> str:
    """What a refund is known by: its id, else its message."""
    if message.refund_id is not None:
        return f"refund:{message.refund_id}"
    return f"message:{message.source}:{message.message_id}"


def _values(message: OrderMessage) -> dict[str, Any]:
    """Amounts, currency and products in JSON form."""
    values: dict[str, Any] = {}
    for name in AMOUNTS:
        amount = getattr(message, name)
        if amount is not None:
            values[name] = _amount(amount, message.currency)
    if message.currency is not None:
        values["currency"] = message.currency
    if message.products is not None:
        values["products"] = [_line(each, message.currency) for each in message.products]
    return values


def _line(product: Product, currency: str | None) -> dict[str, Any]:
    line = {**product.more, "quantity": text_of(product.quantity)}
    if product.price is not None:
        line["price"] = _amount(product.price, currency)
    return line


def _amount(amount: Decimal, currency: str | None) -> str:
    return text_of(amount) if currency is None else f"{text_of(amount)} {currency}"


def _join_each(one: Mapping[str, Told], other: Mapping[str, Told]) -> Mapping[str, Told]:
    joined = dict(one)
    for name, told in other.items():
        before = joined.get(name)
        joined[name] = told if before is None else _latest(before, told)
    return joined


def _latest(one: Told, other: Told) -> Told:
    """The later of two."""
    if one[1:] != other[1:]:
        return one if one[1:] > other[1:] else other
    if type(one.value) is str and one.value == other.value:
        return one
    return max(one, other, key=lambda told: json.dumps(told.value, sort_keys=True))


def _later(one: Told | None, other: Told | None) -> Told | None:
    if one is None or other is None:
        return one or other
    return _latest(one, other)


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
