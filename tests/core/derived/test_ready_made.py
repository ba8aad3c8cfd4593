"""Ready-made traits are what a plain look at orders and visits says, and are derived where they are
read only."""

from collections import Counter
from datetime import UTC
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.derived.compiling import compile_derived
from service.core.derived.definitions import kinds_in
from service.core.derived.gazetteer import City, Gazetteer, Row
from service.core.derived.ready_made import READY_MADE
from service.core.deriving import Derivations
from service.core.events import Event
from service.core.instants import DAY, MINUTE, format_instant, parse_instant
from service.core.parsing import Schema
from service.core.traits import TraitType, freeze

NOW = parse_instant("2026-11-20T12:00:00Z", UTC) or 0
SCHEMA = Schema(UTC)
TABLE = Gazetteer([Row("CZ", "", ["Brno"], City(49.2, 16.6, 380_000))], {"CZ": "CZ"}, {})
PAGE = Path(__file__).parents[3] / "docs" / "derived-traits.md"


def catalog(
    *fields: str,
    schema: Schema = SCHEMA,
    derived: dict[str, Any] | None = None,
    also_read: tuple[str, ...] = (),
) -> Catalog:
    rules = [{"field": field, "operator": "notNull"} for field in fields]
    condition = {"combinator": "and", "rules": rules}
    definitions = [Definition("k", 1, "", condition)] if fields else []
    return compile_catalog(
        definitions,
        schema,
        derived=derived,
        ready_made=READY_MADE,
        also_read=also_read,
        cities=lambda: TABLE,
    )


ALL = catalog(*READY_MADE)

AMOUNTS = st.sampled_from([0, 0.1, 0.2, 5, 19.99, 100])
PRODUCTS = st.lists(
    st.fixed_dictionaries({}, optional={"category": st.sampled_from(["shoes", "Shoes", "hats"])}),
    max_size=3,
)
ORDER = st.fixed_dictionaries(
    {},
    optional={
        "net": AMOUNTS,
        "gross": AMOUNTS,
        "discount": AMOUNTS,
        "refunded": AMOUNTS,
        "products": PRODUCTS,
    },
)
VIEW = st.sampled_from([{}, *({"context": {"device": {"form": f}}} for f in ("phone", "tablet"))])
MAIL = st.sampled_from([{}, {"sg_machine_open": True}, {"sg_machine_open": False}])
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from([0, 1, 29, 30, 31]),
        st.one_of(
            st.tuples(st.just("Order Completed"), ORDER),
            st.tuples(st.sampled_from(["Page Viewed", "Screen Viewed", "Page Left"]), VIEW),
            st.tuples(st.sampled_from(["Email Opened", "Email Link Clicked"]), MAIL),
        ),
    ),
    max_size=12,
)


def plainly(events: list[Event]) -> dict[str, Any]:
    """What the page says of each, over events in the order of time and of what they hold."""
    orders = [each for each in events if each.name == "Order Completed"]
    views = [each for each in events if each.name in ("Page Viewed", "Screen Viewed")]
    forms = [each.properties["context"]["device"]["form"] for each in views if each.properties]
    gaps = [after.at - before.at for before, after in pairwise(orders)]

    def total(name: str) -> Decimal:
        return sum((Decimal(repr(o.properties.get(name, 0))) for o in orders), Decimal(0))

    discounted = sum(each.properties.get("discount", 0) > 0 for each in orders)
    found = {
        "orders": len(orders),
        "revenue": total("net"),
        "gross_revenue": total("gross"),
        "average_order_value": (total("net"), len(orders)),
        "first_order_at": format_instant(orders[0].at) if orders else None,
        "last_order_at": format_instant(orders[-1].at) if orders else None,
        "median_gap_days": median(gaps) / DAY if gaps else None,
        "discount_amount": total("discount"),
        "discount_amount_share": (total("discount"), total("net") + total("discount")),
        "discounted_orders": discounted,
        "discount_share": (discounted, len(orders)),
        "refunds": total("refunded"),
        "refund_share": (total("refunded"), total("gross")),
        "last_visit_at": format_instant(views[-1].at) if views else None,
        "sessions": bool(views)
        + sum(after.at - before.at >= 30 * MINUTE for before, after in pairwise(views)),
        "device_views": len(forms),
        "phone_views": forms.count("phone"),
        "phone_share": (forms.count("phone"), len(forms)),
        "email_opens": sum(
            each.name == "Email Opened" and each.properties.get("sg_machine_open") is not True
            for each in events
        ),
        "email_clicks": sum(each.name == "Email Link Clicked" for each in events),
    }
    return {name: _value(value) for name, value in found.items() if _value(value) is not None}


def _value(plain: Any) -> Any:
    if isinstance(plain, tuple):
        above, below = map(Fraction, plain)
        return float(above / below) if below else None
    return float(plain) if isinstance(plain, Decimal) else plain


def favourites(events: list[Event]) -> set[Any]:
    """The categories of most lines."""
    orders = [each for each in events if each.name == "Order Completed"]
    lines = [line for each in orders for line in each.properties.get("products", ())]
    counts = Counter(freeze(line["category"]) for line in lines if "category" in line)
    return {each for each, count in counts.items() if count == max(counts.values())}


@given(EVENTS, st.randoms())
def test_they_are_what_the_page_says(told: Any, random: Any) -> None:
    events = [
        Event(name, NOW - days * DAY + minutes * MINUTE, properties, str(number), "test")
        for number, (days, minutes, (name, properties)) in enumerate(told)
        if days or not minutes
    ]
    shuffled = list(events)
    random.shuffle(shuffled)
    derivations = ALL.derivations
    values = derivations.values({}, derivations.histories(shuffled), NOW)
    favourite = values.pop("favourite_category", None)
    expected = favourites(events)
    assert favourite is None if not expected else freeze(favourite) in expected
    assert values == plainly(sorted(events, key=lambda event: event.at))


@given(st.lists(st.sampled_from(sorted(READY_MADE)), max_size=3), EVENTS)
def test_what_is_read_is_derived_and_what_it_reads(names: list[str], told: Any) -> None:
    some = catalog(*names)
    documents = compile_derived({}, SCHEMA, READY_MADE, cities=True).traits
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in documents and name not in needed:
            needed.add(name)
            waiting += documents[name].reads
    assert some.derivations.fields == needed
    assert some.told.fields == set(READY_MADE)
    # And it comes to the same, whatever else is derived beside it.
    events = [
        Event(name, NOW - days * DAY, properties, str(number), "test")
        for number, (days, _, (name, properties)) in enumerate(told)
    ]

    def values(derivations: Derivations) -> dict[str, Any]:
        return derivations.values({}, derivations.histories(events), NOW)

    whole = values(some.told)
    assert values(some.derivations) == {n: whole[n] for n in needed if n in whole}


def test_every_one_stands_and_is_on_the_page() -> None:
    assert not ALL.refused_traits
    assert ALL.derivations.fields == READY_MADE.keys()
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("## Ready-made") : page.index("What you give yourself wins")]
    told = {name for line in table.splitlines() if line.startswith("| `") for name in _names(line)}
    assert told == READY_MADE.keys()
    for document in READY_MADE.values():
        assert len(kinds_in(document)) == 1
        assert document["description"].endswith(".")
        assert document["dimension"]


def _names(line: str) -> list[str]:
    return [part.strip(" `") for part in line.split("|")[1].split(",")]


def test_nothing_asks_for_nothing() -> None:
    none = catalog("age", "address.city")
    assert not none.derivations.any
    assert none.told.fields == READY_MADE.keys()


def test_other_traits_and_models_ask_too() -> None:
    assert catalog(also_read=("phone_share",)).derivations.fields == {
        "phone_share", "phone_views", "device_views",
    }  # fmt: skip
    double = {"double": {"formula": "revenue * 2"}}
    assert catalog(derived=double).derivations.fields == {"double", "revenue"}
    among = {"combinator": "and", "rules": [{"field": "orders", "operator": ">", "value": 1}]}
    ranked = {"rank": {"rank": {"of": "last_order_at", "by": "day", "among": among}}}
    assert catalog(derived=ranked).derivations.fields == {"rank", "last_order_at", "orders"}


def test_what_somebody_defined_or_declared_stands() -> None:
    own = {"orders": {"aggregate": {"event": "Visit", "function": "count"}}}
    derivations = catalog("average_order_value", derived=own).derivations
    visit = Event("Visit", NOW, {}, "m", "test")
    bought = Event("Order Completed", NOW, {"net": 10}, "n", "test")
    histories = derivations.histories([visit, visit, bought])
    assert derivations.values({}, histories, NOW)["average_order_value"] == 5
    assert derivations.names >= {"orders"}
    declared = catalog("average_order_value", schema=Schema(UTC, {"orders": TraitType.NUMBER}))
    assert "orders" not in declared.derivations.fields
    values = declared.derivations.values({"orders": 4}, histories, NOW)
    assert values["average_order_value"] == 2.5
    assert "average_order_value" not in declared.derivations.values({}, histories, NOW)


def test_what_is_given_stands_in() -> None:
    derivations = catalog("average_order_value", "city_population").derivations
    assert not derivations.names & READY_MADE.keys()
    home = {"address": {"city": "brno", "country": "cz"}}
    assert derivations.values(home, {}, NOW)["city_population"] == 380_000
    given = derivations.values({**home, "city_population": 7, "revenue": 30, "orders": 4}, {}, NOW)
    assert given == {
        "city_population": 7, "revenue": 30, "orders": 4, "average_order_value": 7.5,
    }  # fmt: skip
    # What was imagined for a call stands before it.
    asked = derivations.values({"orders": 4, "revenue": 8}, {}, NOW, {"orders": 2})
    assert asked["average_order_value"] == 4
