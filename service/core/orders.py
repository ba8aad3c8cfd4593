"""Orders: entities that several messages tell of, each counted once.

`settle` reads from the facts that messages told what an order comes to, by these formulas, every
part of them in the base currency:

    gross = total, else revenue + shipping + tax
    net   = revenue, else total - shipping - tax (not below 0)
            - refunds, as far as they are of goods (not below 0)
    revenue, where neither it nor total is told = the sum of price x quantity, if every product has
            its price, - discount (not below 0)

Shipping, tax and discount are 0 where nobody told them; net and gross are unknown where nothing
tells them. A refund tells its total, its products or neither:

    total     given back is the total; of goods is total - shipping - tax of the refund, but not
              more than its products come to, if they are told with their prices
    products  given back and of goods is the sum of their price x quantity; a price that the refund
              does not tell is the order's
    neither   all of the order

No more is given back than gross, and when all of it is, net is 0. Decimals are exact; where
something was converted, amounts are rounded to four decimals at the very end. An order is converted
at the rate of the day on which it was placed, its refunds too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, tzinfo
from decimal import Decimal, localcontext
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Any, Final, NamedTuple

from service.core.events import Event
from service.core.instants import local_day
from service.core.money import EXACT, REMEMBERED, number_of, rounded
from service.core.order_facts import Facts, fold
from service.core.order_messages import AMOUNTS, OrderMessage
from service.core.rates import Pricing
from service.core.timelines import number

COMPLETED: Final = "Order Completed"
# The source of orders' own events.
SOURCE: Final = "orders"

_NOTHING = Decimal(0)


class Pending(StrEnum):
    """Why an order doesn't count yet."""

    NO_ORDER = "no_order"  # only refunds or a cancellation were told of
    NO_RATE = "no_rate"  # a currency had no rate on the order's day


@dataclass(frozen=True, slots=True)
class Order:
    """What an order comes to. Amounts are in the base currency, and None while they are unknown;
    `currency` is what the customer paid in.

    `lacks`: the currency without a rate, if it is one; `rates`: those that were used. `refunded`:
    given back, shipping and tax included. `more`: other properties that were told.
    """

    store: str
    order_id: str
    customer_id: str | None
    placed_at: int | None
    cancelled_at: int | None
    currency: str
    gross: Decimal | None = None
    net: Decimal | None = None
    discount: Decimal | None = None
    shipping: Decimal | None = None
    tax: Decimal | None = None
    refunded: Decimal | None = None
    products: tuple[Mapping[str, Any], ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    pending: Pending | None = None
    lacks: str | None = None
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(store, order id)."""
        return self.store, self.order_id

    @property
    def counts(self) -> bool:
        """Whether it is an order to those who count orders."""
        return self.pending is None and self.cancelled_at is None


def currencies(facts: Facts, base: str, zone: tzinfo) -> set[tuple[str, date]]:
    """The currencies, other than the base, whose rates settling asks for, each with its day."""
    placed_at = facts.instant
    if placed_at is None:
        return set()
    day = local_day(placed_at, zone)
    return {(each, day) for each in _currencies(facts, base) if each != base}


def settle(store: str, order_id: str, facts: Facts, pricing: Pricing) -> Order:
    """What an order comes to by all that was told of it."""
    order = Order(
        store=store,
        order_id=order_id,
        customer_id=facts.owner,
        placed_at=facts.instant,
        cancelled_at=facts.cancelled,
        currency=_currency(facts, pricing.base),
    )
    if order.placed_at is None:
        return replace(order, pending=Pending.NO_ORDER)
    rates = {}
    for currency in sorted(_currencies(facts, pricing.base)):
        rate = pricing.at(currency, order.placed_at)
        if rate is None:
            return replace(order, pending=Pending.NO_RATE, lacks=currency)
        rates[currency] = rate
    with localcontext(EXACT):
        return _Sums(facts, order, rates, pricing.base).settled()


def settled(messages: Sequence[OrderMessage], pricing: Pricing) -> Order:
    """The order that messages tell of: one at least, and all of the same order."""
    store, order_id = messages[0].key
    return settle(store, order_id, reduce(fold, messages, Facts()), pricing)


def event(order: Order) -> Event | None:
    """The event by which aggregates read an order; None for one that doesn't count.

    Properties: what was told, with every amount in the base currency, and `order_id`, `currency`
    (what the customer paid in), `net`, `gross`, `discount`, `refunded`, `products` (with a `net` of
    price x quantity each). What is unknown is left out.
    """
    if not order.counts or order.placed_at is None:
        return None
    properties: dict[str, Any] = {
        **order.more,
        "order_id": order.order_id,
        "currency": order.currency,
    }
    for name in ("net", "gross", "discount", "shipping", "tax", "refunded"):
        amount = getattr(order, name)
        if amount is not None:
            properties[name] = number_of(amount)
    if order.products is not None:
        properties["products"] = list(order.products)
    return event_from(order.store, order.order_id, order.placed_at, properties)


def event_from(store: str, order_id: str, placed_at: int, properties: Mapping[str, Any]) -> Event:
    """The event of an order whose properties are known. Its message id follows from store and
    order id."""
    digest = hashlib.sha256(json.dumps([store, order_id]).encode()).hexdigest()
    return Event(COMPLETED, placed_at, properties, f"order-{digest[:32]}", SOURCE)


def _currency(facts: Facts, base: str) -> str:
    told = facts.told.get("currency")
    return base if told is None else str(told.value)


def _currencies(facts: Facts, base: str) -> set[str]:
    """The order's, and those of amounts that were told in others."""
    found = {_currency(facts, base)}
    told = {name: told.value for name, told in facts.told.items()}
    for values in (told, *(refund.value for refund in facts.refunds.values())):
        amounts = [values[name] for name in AMOUNTS if name in values]
        amounts += [line.get("price", "") for line in values.get("products", ())]
        found.update([amount.partition(" ")[2] for amount in amounts if " " in amount])
    return found


class _Amount(NamedTuple):
    """An amount as it was told, and in the forms that lines are computed in: products of integers
    become JSON numbers for a fifth of what products of decimals take."""

    exact: Decimal
    scaled: int
    decimals: int
    number: int | float


# Prices and quantities are the same again and again; what they come to together is not.
@lru_cache(maxsize=REMEMBERED)
def _amount(text: str) -> _Amount:
    exact = Decimal(text)
    decimals = max(-int(exact.as_tuple().exponent), 0)
    return _Amount(exact, int(exact.scaleb(decimals, EXACT)), decimals, number_of(exact))


class _Sums:
    """Adds up an order, in the base currency."""

    def __init__(self, facts: Facts, order: Order, rates: Mapping[str, Decimal], base: str) -> None:
        self._order = order
        self._values = {name: told.value for name, told in facts.told.items()}
        self._refunds = [told.value for told in facts.refunds.values()]
        self._rates = rates
        self._is_base = order.currency == base
        self._used = {code: rate for code, rate in rates.items() if code != base}
        self._lines: Sequence[Mapping[str, Any]] = self._values.get("products", ())

    def settled(self) -> Order:
        told = {name: self._told(name) for name in AMOUNTS}
        discount = told["discount"] or _NOTHING
        shipping, tax = told["shipping"] or _NOTHING, told["tax"] or _NOTHING
        total, revenue = told["total"], told["revenue"]
        if total is None and revenue is None:
            goods = self._goods(self._lines)
            revenue = None if goods is None else max(goods - discount, _NOTHING)
        gross, net = total, revenue
        if gross is None and revenue is not None:
            gross = revenue + shipping + tax
        if net is None and total is not None:
            net = max(total - shipping - tax, _NOTHING)
        refunded = _NOTHING
        if gross is not None and net is not None:
            refunded, net = self._after_refunds(gross, net)
        more = {
            name: value
            for name, value in self._values.items()
            if name not in AMOUNTS and name not in ("currency", "products")
        }
        for name in ("total", "revenue"):
            amount = told[name]
            if amount is not None:
                more[name] = number_of(self._shown(amount))
        return replace(
            self._order,
            gross=None if gross is None else self._shown(gross),
            net=None if net is None else self._shown(net),
            discount=self._shown(discount),
            shipping=self._shown(shipping),
            tax=self._shown(tax),
            refunded=self._shown(refunded),
            products=self._products() if "products" in self._values else None,
            more=more,
            rates=self._used,
        )

    def _told(self, name: str) -> Decimal | None:
        amount = self._values.get(name)
        return None if amount is None else self._worth(amount)

    def _worth(self, amount: str) -> Decimal:
        """An amount in the base currency; one without a currency is in the order's."""
        if self._is_base and " " not in amount:
            return _amount(amount).exact
        text, _, currency = amount.partition(" ")
        rate = self._rates[currency or self._order.currency]
        exact = _amount(text).exact
        return exact if rate == 1 else exact * rate

    def _shown(self, amount: Decimal) -> Decimal:
        """An amount as it is told to others; in the base currency it is what was told."""
        return rounded(amount) if self._used else amount

    def _after_refunds(self, gross: Decimal, net: Decimal) -> tuple[Decimal, Decimal]:
        """How much was given back, and what is left of net."""
        back = goods = _NOTHING
        for refund in self._refunds:
            given, of_goods = self._given_back(refund, gross, net)
            back += given
            goods += of_goods
        if not self._refunds:
            return _NOTHING, net
        if back >= gross:
            return gross, _NOTHING
        return back, max(net - goods, _NOTHING)

    def _given_back(
        self, refund: Mapping[str, Any], gross: Decimal, net: Decimal
    ) -> tuple[Decimal, Decimal]:
        """What a refund gave back: all of it, and the part that is of goods."""
        total, shipping, tax = (
            self._worth(refund[name]) if name in refund else None
            for name in ("total", "shipping", "tax")
        )
        beside = (shipping or _NOTHING) + (tax or _NOTHING)
        lines = refund.get("products")
        if total is not None:
            goods = max(total - beside, _NOTHING)
            of_lines = self._goods(lines) if lines else None
            return total, goods if of_lines is None else min(goods, of_lines)
        if lines:
            goods = sum((self._value(line) or _NOTHING for line in lines), _NOTHING)
            return goods + beside, goods
        return gross, net

    def _goods(self, lines: Sequence[Mapping[str, Any]]) -> Decimal | None:
        """What lines come to; None if one has no price, or there are none."""
        values = [self._value(line) for line in lines]
        known = [value for value in values if value is not None]
        return sum(known, _NOTHING) if known and len(known) == len(values) else None

    def _value(self, line: Mapping[str, Any]) -> Decimal | None:
        """Price x quantity of a line of the order or of a refund."""
        price = line["price"] if "price" in line else self._price_of(line)
        if price is None:
            return None
        if self._is_base and " " not in price:
            return _amount(price).exact * _amount(line["quantity"]).exact
        return self._worth(price) * _amount(line["quantity"]).exact

    def _price_of(self, line: Mapping[str, Any]) -> str | None:
        """The order's price of the product of a refund."""
        for name in ("product_id", "sku"):
            same = [
                each
                for each in self._lines
                if name in line and each.get(name) == line[name] and "price" in each
            ]
            # Of several variants the one that is meant, if it is told.
            same.sort(key=lambda each: each.get("variant") != line.get("variant"))
            if same:
                return str(same[0]["price"])
        return None

    def _products(self) -> tuple[Mapping[str, Any], ...]:
        """The lines with numbers in place of texts, in the base currency."""
        products = []
        as_told = self._is_base and not self._used
        for line in self._lines:
            product = dict(line)
            quantity, scaled, decimals, product["quantity"] = _amount(line["quantity"])
            told = product.get("price")
            if told is not None and as_told and " " not in told:
                _, price_scaled, price_decimals, product["price"] = _amount(told)
                product["net"] = number(price_scaled * scaled, price_decimals + decimals)
            elif told is not None:
                price = self._worth(told)
                product["price"] = number_of(self._shown(price))
                product["net"] = number_of(self._shown(price * quantity))
            products.append(product)
        return tuple(products)
