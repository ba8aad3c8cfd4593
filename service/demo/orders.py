"""The data set's baskets as orders, as the tills of a shop would tell of them.

An order tells its lines, what was paid and saved, and the store with its hour and weekday there. A
till also sums up what was spent in each department, and on products with a *label*: what a product
says about who buys it (`products.py`). No pattern over its texts has to be searched for again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from service.demo import products
from service.demo.household import Event
from service.demo.journey import Flags, Ints, Journey, micros, sums

ORDERED = "Order Completed"
LABELS = {**products.NEEDS, **products.TECHNOLOGY, **products.VALUES}
OWN_BRAND = "own-brand"
_TEXTS = {"category": "product_category", "department": "department", "brand": "brand",
          "type": "product_type"}  # fmt: skip


class Orders:
    """The orders of each household, made when they are asked for: all lines at once would fill a
    gigabyte."""

    def __init__(self, journey: Journey) -> None:
        baskets = journey.baskets
        order = np.argsort(journey.line_basket, kind="stable")
        lines = journey.tables.transactions
        self._products = _products(journey)
        self._row = journey.line_product[order]
        self._product = lines["product_id"].to_numpy()[order]
        self._pieces, self._unit = _priced(lines["quantity"].to_numpy(), journey.line_cents)
        self._pieces, self._unit = self._pieces[order], self._unit[order]
        self._lines = np.searchsorted(journey.line_basket[order], np.arange(len(baskets) + 1))
        self._baskets = np.searchsorted(baskets["household"], np.arange(journey.size + 1))
        local = baskets["local"].dt
        self._columns = [
            micros(baskets["at"]),
            *(
                column.tolist()
                for column in (
                baskets["number"], baskets["store"], local.hour, local.day_of_week + 1,
                baskets["cents"], baskets["discount"], baskets["coupon"],
                )
            ),
        ]  # fmt: skip
        department, names = journey.departments
        self._departments = {
            name: _spent(journey, journey.lines_of(department == place))
            for place, name in enumerate(names)
        }
        labelled = {label: journey.matching(pattern) for label, pattern in LABELS.items()}
        labelled[OWN_BRAND] = np.asarray(journey.tables.products["brand"] == "Private")
        self._labels = {
            label: _spent(journey, journey.lines_of(those)) for label, those in labelled.items()
        }

    def of(self, household: int) -> Iterator[Event]:
        """The orders of a household, by its index."""
        for basket in range(*self._baskets[household : household + 2].tolist()):
            at, number, store, hour, weekday, cents, discount, coupon = (
                column[basket] for column in self._columns
            )
            properties: dict[str, Any] = {
                "order_id": str(number),
                "revenue": _dollars(cents),
                "discount": _dollars(discount),
                "store": f"store-{store}",
                "hour": hour,
                "weekday": weekday,
                "departments": _spent_on(self._departments, basket),
                "products": list(self._of_basket(basket)),
            }
            if coupon:
                properties["coupon_discount"] = coupon / 100
            labels = _spent_on(self._labels, basket)
            if labels:
                properties["labels"] = labels
            yield Event(ORDERED, at, f"basket-{number}", properties)

    def _of_basket(self, basket: int) -> Iterator[dict[str, Any]]:
        lines = slice(*self._lines[basket : basket + 2].tolist())
        columns = (self._row, self._product, self._pieces, self._unit)
        for row, product, pieces, unit in zip(*(c[lines].tolist() for c in columns), strict=True):
            line = {"product_id": str(product), **self._products[row], "price": _price(unit)}
            if pieces != 1:
                line["quantity"] = str(pieces)
            yield line


def _products(journey: Journey) -> list[dict[str, str]]:
    """What is told of each product beside its number; the last: of one that nobody knows."""
    table = journey.tables.products[list(_TEXTS.values())]
    rows = zip(*(table[column].tolist() for column in table), strict=True)
    known = [
        {name: text for name, text in zip(_TEXTS, row, strict=True) if isinstance(text, str)}
        for row in rows
    ]
    return [*known, {}]


def _priced(quantity: Ints, cents: Ints) -> tuple[Ints, Ints]:
    """How many pieces each line has, and what one costs, in hundredths of a cent. What has no such
    price (fuel by the thousandth of a gallon, three for ten dollars) is told as one piece."""
    pieces = np.where(quantity > 0, quantity, 1)
    pieces = np.where((cents * 100) % pieces == 0, pieces, 1)
    return pieces, cents * 100 // pieces


def _spent(journey: Journey, lines: Flags) -> dict[int, int]:
    """By basket with one of the lines, how many cents they cost."""
    baskets, place = np.unique(journey.line_basket[lines], return_inverse=True)
    spent = sums(place, journey.line_cents[lines], len(baskets))
    return dict(zip(baskets.tolist(), spent.tolist(), strict=True))


def _spent_on(groups: Mapping[str, Mapping[int, int]], basket: int) -> dict[str, float]:
    """What a basket had of each group that it had something of, in dollars."""
    return {name: spent[basket] / 100 for name, spent in groups.items() if basket in spent}


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _price(unit: int) -> str:
    """Hundredths of a cent as dollars."""
    return _dollars(unit // 100) if unit % 100 == 0 else f"{unit // 10_000}.{unit % 10_000:04}"
