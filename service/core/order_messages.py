"""Messages about orders: what one tracking event, webhook or imported row tells of one order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from service.core.events import Event
from service.core.money import money, told_amount
from service.core.problems import Problem
from service.core.rates import read_currency
from service.core.traits import Uncoercible, describe, is_number

ID_LENGTH = 256  # characters
_ID_END = 10**64  # of ids that are numbers


class Kind(StrEnum):
    """What happened to the order."""

    PLACED = "placed"
    UPDATED = "updated"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


# Events that tell of orders, as the Segment specification names them, and one old name.
KINDS: Final[Mapping[str, Kind]] = {
    "Order Completed": Kind.PLACED,
    "Completed Order": Kind.PLACED,
    "Order Updated": Kind.UPDATED,
    "Order Refunded": Kind.REFUNDED,
    "Order Cancelled": Kind.CANCELLED,
}

# What changes an order that was placed: a page can place one, and must not take back another's.
CHANGES = frozenset(name for name, kind in KINDS.items() if kind is not Kind.PLACED)

AMOUNTS = ("total", "revenue", "shipping", "tax", "discount")
# What the order's own event says of itself: nobody else can.
DERIVED = frozenset({"net", "gross", "refunded"})
_ONE = Decimal(1)
_IDS = frozenset({"product_id", "sku"})
_OF_LINES = frozenset({"price", "quantity", "net"})
_READ = frozenset({"order_id", "refund_id", "currency", "products", *AMOUNTS}) | DERIVED


class Product(NamedTuple):
    """A line of an order, or of a refund. `price`: of one, None: untold; `more`: everything else
    that was told, product_id and sku as texts."""

    price: Decimal | None
    quantity: Decimal
    more: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """What one message tells of one order; None: it doesn't tell.

    `at`: the message's time, which decides between messages that tell different things; instants
    are microseconds since the epoch. Amounts are in `currency`, None: the base currency. Of a
    refund `total`, `shipping`, `tax`, `currency` and `products` are what was given back: all of
    the order where neither `total` nor `products` is told. The same refund told twice counts once
    if both messages name its `refund_id`. `more`: other properties of an order that was placed or
    updated, `coupon` among them.
    """

    store: str
    order_id: str
    kind: Kind
    at: int
    message_id: str
    source: str
    customer_id: str | None = None
    placed_at: int | None = None
    cancelled_at: int | None = None
    refund_id: str | None = None
    total: Decimal | None = None
    revenue: Decimal | None = None
    shipping: Decimal | None = None
    tax: Decimal | None = None
    discount: Decimal | None = None
    currency: str | None = None
    products: tuple[Product, ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(store, order id): which order."""
        return self.store, self.order_id


def order_message(
    event: Event, store: str, customer_id: str | None = None
) -> OrderMessage | list[Problem]:
    """What an event whose name is one of `KINDS` tells of an order, or everything that is wrong
    with it, below `/properties`. `store`: of the event's source; `customer_id`: who did it.

    Amounts and quantities are numbers or their texts; a discount, and what a refund gives back,
    may be told with a minus. An order without `order_id` is known by its message alone.
    """
    kind = KINDS[event.name]
    reader = _Reader(event.properties, refund=kind is Kind.REFUNDED)
    order_id = reader.identifier("order_id")
    refund_id = reader.identifier("refund_id")
    amounts = {name: reader.amount(name) for name in AMOUNTS}
    currency = reader.currency()
    products = reader.products()
    if order_id is None and not reader.problems:
        if kind is not Kind.PLACED:
            detail = "order_id is missing: which order is it?"
            reader.problems.append(Problem("/properties/order_id", "required", detail))
        order_id = f"message:{event.message_id}"
    if reader.problems or order_id is None:
        return reader.problems
    tells_more = kind in (Kind.PLACED, Kind.UPDATED)
    return OrderMessage(
        store=store,
        order_id=order_id,
        kind=kind,
        at=event.at,
        message_id=event.message_id,
        source=event.source,
        customer_id=customer_id,
        refund_id=refund_id,
        total=amounts["total"],
        revenue=amounts["revenue"],
        shipping=amounts["shipping"],
        tax=amounts["tax"],
        discount=amounts["discount"],
        currency=currency,
        products=products,
        more=reader.more() if tells_more else {},
    )


class _Reader:
    """Reads properties; what is null, or an empty text, is not told."""

    def __init__(self, properties: Mapping[str, Any], *, refund: bool) -> None:
        self._properties = properties
        self._refund = refund
        self.problems: list[Problem] = []

    def identifier(self, name: str) -> str | None:
        """An id as a text: 17 is "17"."""
        return self._identifier(self._told(name), f"/properties/{name}")

    def amount(self, name: str) -> Decimal | None:
        """An amount, which is not below zero."""
        value = self._told(name)
        if value is None:
            return None
        pointer = f"/properties/{name}"
        amount = self._decimal(value, pointer)
        if amount is not None and amount < 0:
            if name == "discount" or self._refund:
                return -amount
            self.problems.append(Problem(pointer, "bad_value", f"{name} can't be below zero"))
        return amount

    def currency(self) -> str | None:
        """The code of the currency."""
        value = self._told("currency")
        if value is None:
            return None
        code = read_currency(value)
        if code is None:
            detail = f"a currency is a code such as EUR, not {describe(value)}"
            self.problems.append(Problem("/properties/currency", "bad_value", detail))
        return code

    def products(self) -> tuple[Product, ...] | None:
        """The lines; an order that tells an empty list has none."""
        lines = self._told("products")
        if lines is None:
            return None
        if not isinstance(lines, list):
            detail = f"products are a list of objects, not {describe(lines)}"
            self.problems.append(Problem("/properties/products", "type", detail))
            return None
        products = []
        for place, line in enumerate(lines):
            if isinstance(line, dict):
                products.append(self._product(line, place))
            else:
                detail = f"a product is an object, not {describe(line)}"
                self.problems.append(Problem(f"/properties/products/{place}", "type", detail))
        return tuple(products)

    def more(self) -> dict[str, Any]:
        """What else was told."""
        return {
            name: value
            for name, value in self._properties.items()
            if value is not None and name not in _READ
        }

    def _told(self, name: str) -> Any:
        return _untold_if_empty(self._properties.get(name))

    def _product(self, line: Mapping[str, Any], place: int) -> Product:
        price = self._number(line, "price", place)
        quantity = self._number(line, "quantity", place)
        if quantity is not None and quantity < 0:
            detail = "a quantity can't be below zero"
            pointer = f"/properties/products/{place}/quantity"
            self.problems.append(Problem(pointer, "bad_value", detail))
        more: dict[str, Any] = {}
        for name, value in line.items():
            if value is None or name in _OF_LINES:
                continue
            if name not in _IDS:
                more[name] = value
                continue
            pointer = f"/properties/products/{place}/{name}"
            identifier = self._identifier(_untold_if_empty(value), pointer)
            if identifier is not None:
                more[name] = identifier
        return Product(price, _ONE if quantity is None else quantity, more)

    def _number(self, line: Mapping[str, Any], name: str, place: int) -> Decimal | None:
        value = line.get(name)
        number = told_amount(value) if type(value) is str else None
        if number is None:
            value = _untold_if_empty(value)
            if value is None:
                return None
            number = self._decimal(value, f"/properties/products/{place}/{name}")
        return abs(number) if number is not None and self._refund else number

    def _decimal(self, value: Any, pointer: str) -> Decimal | None:
        try:
            return money(value)
        except Uncoercible as error:
            self.problems.append(Problem(pointer, "bad_value", str(error)))
            return None

    def _identifier(self, value: Any, pointer: str) -> str | None:
        if value is None:
            return None
        text = ""
        if type(value) is str:
            text = value.strip()
        elif is_number(value) and -_ID_END < value < _ID_END and value == int(value):
            text = str(int(value))
        if not 0 < len(text) <= ID_LENGTH:
            detail = f"an id is a text of 1 to {ID_LENGTH} characters, or a whole number"
            self.problems.append(Problem(pointer, "bad_value", detail))
            return None
        return text


def _untold_if_empty(value: Any) -> Any:
    return None if type(value) is str and not value.strip() else value
