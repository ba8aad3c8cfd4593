"""Ready-made traits: what shops ask of nearly everybody, as definitions like anybody's own.

Money is in the base currency, of orders that count; shares are of 1. Sources: `revenue` and the
others that metrics read as the orders' own properties say; `discount_share` as starter segments
have it (orders with a discount among all orders); `refund_share` is refunds / gross.
"""

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

_ORDER = "Order Completed"
_VIEWS = ["Page Viewed", "Screen Viewed"]
_CITY = {
    "name": ["address.city", "city"],
    "country": ["address.country", "country"],
    "region": ["address.state", "state"],
}


def _orders(function: str, **more: Any) -> Document:
    return {"event": _ORDER, "function": function, **more}


def _only(field: str, operator: str, value: Any = None, **more: Any) -> Document:
    """A condition of one rule."""
    rule = {"field": f"properties.{field}", "operator": operator, "value": value, **more}
    return {"combinator": "and", "rules": [rule]}


def _trait(dimension: str, description: str, **derived: Any) -> Document:
    return {"dimension": dimension, "description": description, **derived}


READY_MADE: Mapping[str, Document] = {
    "orders": _trait(
        "behavioral",
        "How many orders.",
        aggregate=_orders("count"),
    ),
    "revenue": _trait(
        "value",
        "What was kept of all orders: net, after refunds.",
        aggregate=_orders("sum", of="properties.net"),
    ),
    "gross_revenue": _trait(
        "value",
        "What was paid for all orders, with tax and shipping.",
        aggregate=_orders("sum", of="properties.gross"),
    ),
    "average_order_value": _trait(
        "value",
        "Revenue / orders.",
        ratio={"numerator": "revenue", "denominator": "orders"},
    ),
    "first_order_at": _trait(
        "behavioral",
        "When the first order was placed.",
        aggregate=_orders("first"),
    ),
    "last_order_at": _trait(
        "behavioral",
        "When the latest order was placed.",
        aggregate=_orders("last"),
    ),
    "median_gap_days": _trait(
        "behavioral",
        "The median of the days between one order and the next.",
        aggregate=_orders("medianGap"),
    ),
    "favourite_category": _trait(
        "psychographic",
        "The category of most lines of all orders; of several the one bought last.",
        aggregate=_orders("mode", each="properties.products", of="item.category"),
    ),
    "discount_amount": _trait(
        "value",
        "The discounts of all orders.",
        aggregate=_orders("sum", of="properties.discount"),
    ),
    "discount_amount_share": _trait(
        "behavioral",
        "What was saved of the full price: discounts / (revenue + discounts).",
        formula="discount_amount / (revenue + discount_amount)",
    ),
    "discounted_orders": _trait(
        "behavioral",
        "How many orders had a discount.",
        aggregate=_orders("count", where=_only("discount", ">", 0)),
    ),
    "discount_share": _trait(
        "behavioral",
        "The share of orders with a discount.",
        ratio={"numerator": "discounted_orders", "denominator": "orders"},
    ),
    "refunds": _trait(
        "value",
        "What was given back of all orders, with tax and shipping.",
        aggregate=_orders("sum", of="properties.refunded"),
    ),
    "refund_share": _trait(
        "value",
        "Refunds / gross revenue.",
        ratio={"numerator": "refunds", "denominator": "gross_revenue"},
    ),
    "last_visit_at": _trait(
        "behavioral",
        "The latest view of a page or of an app's screen.",
        aggregate={"event": _VIEWS, "function": "last"},
    ),
    "sessions": _trait(
        "behavioral",
        "Visits: views of pages and screens with less than 30 minutes between one and the next.",
        aggregate={"event": _VIEWS, "function": "sessions"},
    ),
    "device_views": _trait(
        "technographic",
        "Views of pages and screens whose kind of device is known.",
        aggregate={
            "event": _VIEWS,
            "function": "count",
            "where": _only("context.device.form", "notNull"),
        },
    ),
    "phone_views": _trait(
        "technographic",
        "Views of pages and screens on a phone.",
        aggregate={
            "event": _VIEWS,
            "function": "count",
            "where": _only("context.device.form", "=", "phone"),
        },
    ),
    "phone_share": _trait(
        "technographic",
        "The share of views on a phone: views on phones / views on known devices.",
        ratio={"numerator": "phone_views", "denominator": "device_views"},
    ),
    "location": _trait(
        "geographic",
        "Where the city of the address is.",
        city={"fact": "location", **_CITY},
    ),
    "city_population": _trait(
        "geographic",
        "How many people live in the city of the address.",
        city={"fact": "population", **_CITY},
    ),
    "email_opens": _trait(
        "behavioral",
        "How often e-mails were opened, but for machines that open all of them.",
        aggregate={
            "event": "Email Opened",
            "function": "count",
            "where": _only("sg_machine_open", "!=", True, missing=True),
        },
    ),
    "email_clicks": _trait(
        "behavioral",
        "How often links in e-mails were clicked.",
        aggregate={"event": "Email Link Clicked", "function": "count"},
    ),
}
