"""Orders of a file: rows with the same order id are one order, each row a line of it.

A line with a quantity below zero gives its product back: a refund of its order, where the order's
value follows from its lines; where the order tells its own total or revenue, that is what is left
of it already. Lines that only give back name no order that they could be taken off, and are not
imported. An order of which one row can't be read is not imported at all: its value would be wrong.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from service.core.events import Event
from service.core.money import text_of
from service.core.order_messages import ID_LENGTH, order_message
from service.core.rates import read_currency
from service.core.traits import describe
from service.intake.imports.cells import Amounts, Unreadable, amount, text
from service.intake.imports.fields import AMOUNTS, folded
from service.intake.imports.rows import Reading, Refused
from service.intake.imports.told import SOURCE, Bad, Piece, Row, Terms, Told, Who
from service.intake.imports.understanding import Plan

_CANCELLED = frozenset({"cancelled", "canceled", "voided", "void"})
_REFUNDED = frozenset({"refunded", "fullyrefunded", "returned"})
_STEP = Decimal("0.000001")
_TEXTS = ("coupon",)
_IDS = frozenset({"sku", "product_id"})


class Orders:
    """Reads the orders of a file."""

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self._reading = Reading(plan, terms)
        self._plan = plan
        self._stamp = f"{terms.began:015x}"
        self._key = "group" if "group" in plan.fields else "order_id"
        texts = [
            (name, f"item.{name}")
            for name in self._reading.below("item")
            if name not in ("price", "quantity", "total")
        ]
        places = self._reading.places
        self._texts = [(name, places[field]) for name, field in texts if field in places]
        # What is the same for each line makes no line of a row that has none.
        self._same = [(name, plan.constants[field]) for name, field in texts if field not in places]
        self._numbers = [
            (name, self._reading.places.get(name), plan.constants.get(name))
            for name in ("item.quantity", "item.price", "item.total")
        ]
        self._properties = self._reading.below("properties")
        self._amounts = Amounts(plan.decimal)
        self._unplaced = frozenset(plan.unplaced)
        # Objects of JSON are taken as they stand, which may be no order's.
        self.checked = not {"products", "properties"} & {*plan.fields, *plan.constants}

    def read(self, rows: Iterable[Row]) -> Told:
        """What rows tell, among which are all of each order's."""
        told = Told()
        for key, lines in self._grouped(rows, told).items():
            self._order(key, lines, told)
        return told

    def _grouped(self, rows: Iterable[Row], told: Told) -> dict[str, list[Row]]:
        """Rows by the order that they are of."""
        place = self._reading.places[self._key]
        alike: dict[Any, list[Row]] = {}
        for row in rows:
            cell = row.cells[place]
            alike.setdefault(cell if type(cell) in (str, int) else repr(cell), []).append(row)
        orders: dict[str, list[Row]] = {}
        for lines in alike.values():
            try:
                key = self._reading.text(lines[0].cells, self._key)
                if key is None:
                    detail = "which order is it? This is empty"
                    raise self._reading.refused(self._key, "required", detail)
            except Refused as refused:
                told.bad += _kept_out("", lines, lines[0], refused, whole=True)
            else:
                orders.setdefault(key, []).extend(lines)
        return orders

    def _order(self, key: str, lines: list[Row], told: Told) -> None:
        blamed = lines[0]
        try:
            products: list[dict[str, Any]] = []
            returned: list[dict[str, Any]] = []
            for line in lines:
                blamed = line
                product = self._product(line.cells)
                if product is not None:
                    back = product["quantity"][0] == "-"
                    (returned if back else products).append(product)
            blamed = lines[0]
            reader = _Order(self, [line.cells for line in lines])
            who, piece_of = reader.who(), reader.message(key, products, returned)
        except Refused as refused:
            told.bad += _kept_out(key, lines, blamed, refused)
            return
        rows = [line.number for line in lines]
        told.add(who, Piece(rows, **piece_of))
        for event in piece_of["events"]:
            told.count(_COUNTED[event.name])
        told.count("lines", len(products))

    def _product(self, cells: Sequence[Any]) -> dict[str, Any] | None:
        """A line's product; None where the row has none. Raises Refused."""
        product: dict[str, Any] = {}
        for name, place in self._texts:
            cell = cells[place]
            if type(cell) is str and name not in _IDS:
                cell = cell.strip()
                if cell:
                    product[name] = cell
            elif cell is not None and (found := self._text(name, cell)) is not None:
                product[name] = found
        quantity, price, total = [
            self.amount(name, constant if place is None else cells[place])
            for name, place, constant in self._numbers
        ]
        if quantity is None:
            if not product and price is None and total is None:
                return None
            quantity = "1"
        if price is None and total is not None:
            price = _each(total, quantity)
        if price is not None:
            if price[0] == "-":
                detail = "a price can't be below zero: the quantity says what is given back"
                raise self._reading.refused("item.price", "bad_value", detail)
            product["price"] = price
        for name, cell in self._same:
            if (found := self._text(name, cell)) is not None:
                product[name] = found
        product["quantity"] = quantity
        return product

    def _text(self, name: str, cell: Any) -> str | None:
        try:
            found = text(cell)
        except Unreadable as error:
            raise self._reading.refused(f"item.{name}", "bad_value", str(error)) from error
        if found is not None and name in _IDS and len(found) > ID_LENGTH:
            detail = f"an id has {ID_LENGTH} characters at most"
            raise self._reading.refused(f"item.{name}", "too_long", detail)
        return found

    def amount(self, name: str, cell: Any) -> str | None:
        """A cell as an amount. Raises Refused."""
        try:
            if type(cell) is str:
                return self._amounts[cell]
            return None if cell is None else amount(cell, self._plan.decimal)
        except Unreadable as error:
            raise self._reading.refused(name, "bad_value", str(error)) from error


_COUNTED = {
    "Order Completed": "orders",
    "Order Refunded": "refunds",
    "Order Cancelled": "cancellations",
}


class _Order:
    """The rows of one order, of which the first that tells something says what it is."""

    def __init__(self, orders: Orders, lines: Sequence[Sequence[Any]]) -> None:
        self._orders = orders
        self._reading = orders._reading
        self._lines = lines

    def who(self) -> Who:
        """Whose the order is. Raises Refused."""
        found: Who | None = None
        for cells in self._differing():
            each = self._reading.who(cells)
            if each is None or each == found:
                continue
            found = each if found is None else _joined(found, each)
            if found is None:
                detail = "the rows of this order name several customers"
                raise self._reading.refused("customer_id", "conflict", detail)
        if found is None:
            raise Refused(None, "no_customer", "this names no customer")
        return found

    def _differing(self) -> Sequence[Sequence[Any]]:
        """Rows that name a customer otherwise than the one before."""
        places = self._reading.named_by
        if len(places) > 1:
            return self._lines
        place, lines = places[0], self._lines
        return [lines[0], *(each for each in lines[1:] if each[place] != lines[0][place])]

    def first(self, name: str) -> Any:
        """The first cell of a field that tells something."""
        place = self._reading.places.get(name)
        if place is None:
            return self._reading.plan.constants.get(name)
        for cells in self._lines:
            cell = cells[place]
            if cell is not None and cell != "":
                return cell
        return None

    def text(self, name: str) -> str | None:
        """The first text that a field tells. Raises Refused."""
        try:
            return text(self.first(name))
        except Unreadable as error:
            raise self._reading.refused(name, "bad_value", str(error)) from error

    def cells(self, name: str) -> Sequence[Any]:
        """The first row in which a field tells something."""
        place = self._reading.places.get(name, 0)
        return next((each for each in self._lines if each[place] not in (None, "")), self._lines[0])

    def message(
        self, key: str, products: list[dict[str, Any]], returned: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """What a piece holds beside its rows. Raises Refused."""
        reading, plan = self._reading, self._reading.plan
        order_id = reading.text(self.cells("order_id"), "order_id") or key
        if len(order_id) > ID_LENGTH:
            detail = f"an id has {ID_LENGTH} characters at most"
            raise reading.refused("order_id", "too_long", detail)
        placed_at = reading.instant(self.cells("placed_at"), "placed_at")
        if placed_at is None:
            raise reading.refused("placed_at", "required", "when was it placed? This is empty")
        written = self.text("status") or ""
        status = folded(written).removeprefix("wc")
        if status in self._orders._unplaced:
            detail = f'an order at "{written}" was never placed'
            raise reading.refused("status", "not_placed", detail)
        properties = self._properties(order_id)
        told_value = "total" in properties or "revenue" in properties
        if returned and not products and not told_value:
            detail = "this gives something back, and names no order that had it"
            raise reading.refused("item.quantity", "no_order", detail)
        if products:
            properties["products"] = products
        refunded = properties.pop("refunded", None)
        digest = hashlib.sha256(json.dumps([plan.store, order_id]).encode()).digest()
        message_id = f"{self._orders._stamp}-{base64.b32encode(digest)[:26].decode().lower()}"

        def event(name: str, at: int, end: str, about: dict[str, Any]) -> Event:
            return Event(name, at, about, message_id + end, SOURCE, plan.store)

        events = [event("Order Completed", placed_at, "", properties)]
        about = {"order_id": order_id}
        if returned and not told_value:
            back = [{**each, "quantity": each["quantity"][1:]} for each in returned]
            given = {**about, "refund_id": "import-lines", "products": back}
            events.append(event("Order Refunded", placed_at, "-lines", given))
        if refunded is not None and refunded != "0":
            given = {**about, "refund_id": "import", "total": refunded}
            if "currency" in properties:
                given["currency"] = properties["currency"]
            events.append(event("Order Refunded", placed_at, "-refund", given))
        elif status in _REFUNDED:
            given = {**about, "refund_id": "import"}
            events.append(event("Order Refunded", placed_at, "-refund", given))
        cancelled_at = reading.instant(self.cells("cancelled_at"), "cancelled_at")
        if cancelled_at is not None or status in _CANCELLED:
            at = placed_at if cancelled_at is None else cancelled_at
            events.append(event("Order Cancelled", at, "-cancel", dict(about)))
        if not self._orders.checked:
            told = order_message(events[0], plan.store)
            if isinstance(told, list):
                problem = told[0]
                raise Refused(None, problem.code, f"{problem.pointer}: {problem.detail}")
        traits = reading.traits(self._lines[0])
        return {"at": placed_at, "message_id": message_id, "traits": traits, "events": events}

    def _properties(self, order_id: str) -> dict[str, Any]:
        reading = self._reading
        properties: dict[str, Any] = dict(reading.object(self.cells("properties"), "properties"))
        for path in self._orders._properties:
            reading.put_values(properties, self.cells(f"properties.{path}"), "properties", [path])
        properties["order_id"] = order_id
        whole = self.first("products")
        if whole is not None:
            properties["products"] = whole
        for name in AMOUNTS:
            found = self._orders.amount(name, self.first(name))
            if found is None:
                continue
            if found[0] == "-":
                if name not in ("discount", "refunded"):
                    raise reading.refused(name, "bad_value", f"{name} can't be below zero")
                found = found[1:]
            properties[name] = found
        for name in _TEXTS:
            found_text = self.text(name)
            if found_text is not None:
                properties[name] = found_text
        currency = self.text("currency")
        if currency is not None:
            code = read_currency(currency)
            if code is None:
                detail = f"a currency is a code such as EUR, not {describe(currency)}"
                raise reading.refused("currency", "bad_value", detail)
            properties["currency"] = code
        return properties


def _joined(one: Who, other: Who) -> Who | None:
    """Whom two rows name, which may tell different things of them; None: two customers."""
    ids = {each for each in (one.customer_id, other.customer_id) if each is not None}
    named = {each.kind: each for each in other.identities} | {
        each.kind: each for each in one.identities
    }
    if len(ids) > 1 or not set(other.identities) <= set(named.values()):
        return None
    return Who(next(iter(ids), None), tuple(named.values()))


def _each(total: str, quantity: str) -> str | None:
    """The price of one, of a line that tells its total."""
    count = Decimal(quantity)
    if not count:
        return None
    price = Decimal(total) / count
    return text_of(price if price == price.quantize(_STEP) else price.quantize(_STEP))


def _kept_out(
    key: str, lines: list[Row], blamed: Row, refused: Refused, *, whole: bool = False
) -> list[Bad]:
    """All rows of an order of which one can't be taken; `whole`: each for the same reason."""
    whole = whole or refused.code in ("no_customer", "no_order", "not_placed")
    because = f"row {blamed.number} of its order {key} is faulty"
    return [
        Bad(line.number, refused.column, refused.code, refused.detail)
        if whole or line is blamed
        else Bad(line.number, None, "order_refused", because)
        for line in lines
    ]
