"""The demo's traits: those that are told of a household, and how the others are derived.

What is ready-made (`orders`, `revenue`, `last_order_at` ...) is not among them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

TraitType = Literal["string", "number", "money", "instant"]
Dimension = Literal[
    "demographic", "geographic", "psychographic", "technographic", "behavioral", "needs", "value"
]


class Trait(NamedTuple):
    """A trait that is told."""

    name: str
    type: TraitType
    dimension: Dimension
    description: str


# Shares are of 1.
GIVEN: tuple[Trait, ...] = (
    Trait("age_band", "string", "demographic", "Age of the main shopper, as surveyed: 45-54, 65+."),
    Trait("age_min", "number", "demographic", "Lowest age of the band."),
    Trait("income_band", "string", "demographic", "Household income a year, in thousands: 50-74K."),
    Trait("income_min", "money", "demographic", "Lowest income of the band; Under 15K is 0."),
    Trait(
        "home_ownership",
        "string",
        "demographic",
        "Homeowner, Renter, Probable Homeowner or Probable Renter.",
    ),
    Trait("marital_status", "string", "demographic", "Married or Unmarried."),
    Trait("household_size", "number", "demographic", "People in the household; 5 is five or more."),
    Trait(
        "household_type",
        "string",
        "demographic",
        "1 Adult Kids, 1 Adult No Kids, 2 Adults Kids or 2 Adults No Kids.",
    ),
    Trait("kids", "number", "demographic", "Children in the household; 3 is three or more."),
    Trait("favourite_department", "string", "behavioral", "Department with the highest spend."),
    Trait(
        "favourite_department_share",
        "number",
        "behavioral",
        "The favourite department's share of the spend.",
    ),
    Trait("favourite_store", "string", "geographic", "Store with most baskets: store-367."),
    Trait(
        "favourite_store_share", "number", "geographic", "The favourite store's share of baskets."
    ),
    Trait(
        "top_category",
        "string",
        "psychographic",
        "Product category with the highest spend, fuel aside.",
    ),
    Trait(
        "top_category_share",
        "number",
        "psychographic",
        "The top category's share of the spend, fuel aside.",
    ),
    Trait(
        "replenish_category",
        "string",
        "needs",
        "The household consumable bought on most days (3 or more).",
    ),
    Trait(
        "replenish_gap_days",
        "number",
        "needs",
        "Median days between those purchases' calendar days.",
    ),
    Trait("replenish_from", "instant", "needs", "Latest purchase + 0.9 gaps: soon used up."),
    Trait("replenish_until", "instant", "needs", "Latest purchase + 2 gaps: bought elsewhere."),
)


def derived_traits() -> dict[str, dict[str, Any]]:
    """The definitions of the traits that are derived, by name, as `PUT /traits/{name}` takes them.

    An order is a basket, whatever its total; `revenue` is what the shop received, refunds of
    coupons by their manufacturers included. A line is one product of a basket, whatever its
    quantity. Hours and weekdays (1 is Monday) are those of the stores, not of the workspace.
    """
    return {name: dict(definition) for name, definition in _derived()}


_LINES = "properties.products"
_SHARES = {
    "organic": "organic products",
    "wellness": "natural foods, vitamins and dietary products",
    "gourmet": "fish, specialty cheese, imported and ultra-premium wine",
    "fresh": "produce, meat, fish and the salad bar",
}
_DEPARTMENTS = {
    "deli": "DELI", "drugstore": "DRUG GM", "meat": "MEAT", "pastry": "PASTRY",
    "produce": "PRODUCE",
}  # fmt: skip
_YEARLY: Mapping[str, tuple[Dimension, str]] = {
    "organic": ("psychographic", "an organic product"),
    "prepaid-mobile": ("technographic", "airtime or accessories of a prepaid phone"),
    "film-photo": ("technographic", "film, single-use cameras or developing"),
    "home-video": ("technographic", "videos or DVDs"),
    "baby": ("needs", "baby care"),
    "car": ("needs", "fuel"),
    "cat": ("needs", "something for a cat"),
    "celebration": ("needs", "something for a party"),
    "dog": ("needs", "food for a dog"),
    "quick-meal": ("needs", "a quick meal"),
}
_Derived = tuple[str, dict[str, Any]]


def _derived() -> Iterator[_Derived]:
    yield from _ordering()
    yield from _spending()
    yield from _campaigns()
    yield from _ranks()
    yield from _labels()


def _rule(field: str, operator: str, value: Any = None) -> dict[str, Any]:
    rule = {"field": field, "operator": operator, "value": value}
    return {name: each for name, each in rule.items() if each is not None}


def _where(*rules: dict[str, Any], combinator: str = "and") -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules)}


def _orders(function: str, **more: Any) -> dict[str, Any]:
    return {"aggregate": {"event": "Order Completed", "function": function, **more}}


def _ratio(numerator: str, denominator: str) -> dict[str, Any]:
    return {"ratio": {"numerator": numerator, "denominator": denominator}}


def _trait(
    name: str, dimension: Dimension, description: str, derived: Mapping[str, Any]
) -> _Derived:
    return name, {"dimension": dimension, "description": description, **derived}


def _ordering() -> Iterator[_Derived]:
    """When and where the household buys, and how much at once."""
    for days in (30, 90, 365):
        description = f"Baskets of the last {days} days."
        within = _orders("count", within=f"{days}d")
        yield _trait(f"orders_{days}d", "behavioral", description, within)
    lines = _orders("count", each=_LINES)
    yield _trait("lines", "behavioral", "Product lines of all baskets.", lines)
    lines = _orders("count", each=_LINES, within="365d")
    yield _trait("lines_365d", "behavioral", "Product lines of the last 365 days.", lines)
    description = "Product lines a basket, on average."
    yield _trait("lines_per_order", "behavioral", description, _ratio("lines", "orders"))
    products = _orders("distinct", each=_LINES, of="item.product_id")
    yield _trait("distinct_products", "behavioral", "Different products ever bought.", products)
    stores = _orders("distinct", of="properties.store")
    yield _trait("stores_visited", "geographic", "How many stores were ever visited.", stores)
    times = {
        "weekend": ("on Saturday or Sunday", _rule("properties.weekday", "in", [6, 7])),
        "morning": ("from 5:00 to before 12:00", _rule("properties.hour", "between", [5, 11])),
        "evening": ("from 18:00 to before 23:00", _rule("properties.hour", "between", [18, 22])),
    }
    for time, (when, rule) in times.items():
        count = _orders("count", where=_where(rule))
        yield _trait(f"{time}_orders", "behavioral", f"Baskets {when}.", count)
        share = _ratio(f"{time}_orders", "orders")
        yield _trait(f"{time}_share", "behavioral", f"Share of baskets {when}.", share)


def _spending() -> Iterator[_Derived]:
    """What the household spends and saves."""
    net = "properties.net"
    largest = _orders("max", of=net)
    yield _trait("largest_order", "value", "The highest basket total.", largest)
    for days in (90, 365):
        spend = _orders("sum", of=net, within=f"{days}d")
        yield _trait(f"revenue_{days}d", "value", f"Spend of the last {days} days.", spend)
    before = _orders("sum", of=net, between=["180d", "90d"])
    yield _trait("revenue_previous_90d", "value", "Spend of the 90 days before those.", before)
    description = "revenue_90d / revenue_previous_90d; missing when the latter is 0."
    growth = _ratio("revenue_90d", "revenue_previous_90d")
    yield _trait("revenue_growth_90d", "value", description, growth)
    spend = _orders("sum", of="properties.labels.own-brand")
    yield _trait("private_label_spend", "behavioral", "Spend on the shop's brands.", spend)
    share = _ratio("private_label_spend", "revenue")
    yield _trait("private_label_share", "behavioral", "Its share of the spend.", share)
    coupons = _orders("sum", of="properties.coupon_discount")
    yield _trait("coupon_amount", "value", "What was saved with coupons.", coupons)
    coupons = _orders("count", of="properties.coupon_discount")
    yield _trait("coupon_orders", "behavioral", "Baskets with a coupon.", coupons)
    share = _ratio("coupon_orders", "orders")
    yield _trait("coupon_order_share", "behavioral", "Share of baskets with a coupon.", share)
    # The manufacturer refunds a coupon to the shop, so revenue holds it already.
    saved = {"formula": "discount_amount / (revenue + discount_amount - coupon_amount)"}
    description = "What was saved of the shelf price. Revenue already holds what coupons saved."
    yield _trait("discount_amount_share", "behavioral", description, saved)


def _campaigns() -> Iterator[_Derived]:
    """Campaigns received, and coupons of them redeemed."""

    def told(event: str, function: str, **more: Any) -> dict[str, Any]:
        return {"aggregate": {"event": event, "function": function, **more}}

    received, redeemed = "Campaign Received", "Coupon Redeemed"
    for name, description, derived in (
        ("coupons_redeemed", "Campaign coupons redeemed.", told(redeemed, "count")),
        (
            "last_redeemed_on",
            "Day of the latest campaign coupon.",
            told(redeemed, "last", of="properties.redeemed_on"),
        ),
        ("campaigns_received", "Campaigns received.", told(received, "count")),
        (
            "campaigns_redeemed",
            "Campaigns with a redeemed coupon.",
            told(redeemed, "distinct", of="properties.campaign_id"),
        ),
        (
            "last_campaign_type",
            "Type of the campaign started latest.",
            told(received, "last", of="properties.type"),
        ),
        (
            "last_campaign_starts_on",
            "First day of that campaign.",
            told(received, "last", of="properties.starts_on"),
        ),
        (
            "last_campaign_ends_on",
            "Last day of that campaign.",
            told(received, "last", of="properties.ends_on"),
        ),
    ):
        yield _trait(name, "behavioral", description, derived)


def _ranks() -> Iterator[_Derived]:
    """Where the household stands among all that ever bought."""
    buyers = _where(_rule("orders", ">=", 1))
    ranks = {
        "revenue_percentile": ({"of": "revenue"}, "The share of households that spent less."),
        "revenue_365d_percentile": (
            {"of": "revenue_365d"},
            "The share of households that spent less in the last 365 days.",
        ),
        "recency_percentile": (
            {"of": "last_order_at", "by": "day"},
            "The share of households that came last on an earlier day.",
        ),
        "frequency_percentile": ({"of": "orders"}, "The share of households with fewer orders."),
    }
    for name, (of, description) in ranks.items():
        yield _trait(name, "value", description, {"rank": {**of, "among": buyers}})
    for name, by in (("r", "recency"), ("f", "frequency"), ("m", "revenue")):
        points = [
            {"condition": _where(_rule(f"{by}_percentile", ">=", border)), "points": 1}
            for border in (0, 0.2, 0.4, 0.6, 0.8)
        ]
        description = f"The fifth of households by {by}: 5 is the upper one."
        yield _trait(f"{name}_score", "value", description, {"score": {"points": points}})


def _labels() -> Iterator[_Derived]:
    """What departments, and the labels of products (see `orders.py`), say of who buys there."""
    for name, department in _DEPARTMENTS.items():
        count = _orders("count", of=f"properties.departments.{department}")
        description = f"Baskets with something of the department {department}."
        yield _trait(f"{name}_orders", "behavioral", description, count)
    for label, products in _SHARES.items():
        spend = _orders("sum", of=f"properties.labels.{label}")
        yield _trait(f"{label}_spend", "psychographic", f"Spend on {products}.", spend)
        share = _ratio(f"{label}_spend", "revenue")
        yield _trait(f"{label}_share", "psychographic", f"Share of the spend on {products}.", share)
    for label, (dimension, products) in _YEARLY.items():
        count = _orders("count", of=f"properties.labels.{label}", within="365d")
        description = f"Baskets of the last 365 days with {products}."
        yield _trait(f"{label.replace('-', '_')}_orders_365d", dimension, description, count)
    baby = _orders("last", where=_where(_labelled("baby")))
    yield _trait("last_baby_order_at", "needs", "The latest basket with baby care.", baby)
    pets = _where(_labelled("dog"), _labelled("cat"), combinator="or")
    description = "The latest basket with something for a dog or cat."
    yield _trait("last_pet_order_at", "needs", description, _orders("last", where=pets))


def _labelled(label: str) -> dict[str, Any]:
    return _rule(f"properties.labels.{label}", "notNull")
