import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.demo.households import Customer, customers
from service.demo.tables import WEEK, Tables, last_basket_at, shift
from service.demo.traits import TRAITS

NOW = datetime(2026, 11, 22, tzinfo=UTC)
READY_MADE = {
    "orders",
    "revenue",
    "average_order_value",
    "first_order_at",
    "last_order_at",
    "median_gap_days",
    "discount_share",
}


def cents(dollars: float) -> int:
    return int((Decimal(str(dollars)) * 100).to_integral_exact())


def test_the_tables_give_the_known_answers(tables: Tables) -> None:
    lines = tables.transactions
    sales, baskets = round(lines["sales_value"].sum(), 2), lines["basket_id"].nunique()
    assert lines["household_id"].nunique() == 2_469
    assert tables.demographics["household_id"].nunique() == 801
    assert (baskets, sales, round(sales / baskets, 4)) == (155_848, 4_596_039.58, 29.4905)


def test_campaign_conversion_gives_the_known_answers(tables: Tables) -> None:
    types = dict(tables.campaign_descriptions[["campaign_id", "campaign_type"]].to_numpy().tolist())
    targeted = {
        tuple(pair) for pair in tables.campaigns[["campaign_id", "household_id"]].to_numpy()
    }
    redeemed = {
        tuple(pair)
        for pair in tables.coupon_redemptions[["campaign_id", "household_id"]].to_numpy()
    }
    assert Counter(types[campaign] for campaign, _ in targeted) == {
        "Type A": 3_647,
        "Type B": 2_368,
        "Type C": 574,
    }
    assert Counter(types[campaign] for campaign, _ in targeted & redeemed) == {
        "Type A": 604,
        "Type B": 154,
        "Type C": 34,
    }


def test_the_customers_add_up_to_the_known_answers(households: list[Customer]) -> None:
    traits = [customer["traits"] for customer in households]
    orders = sum(t["orders"] for t in traits)
    revenue = sum(cents(t["revenue"]) for t in traits)
    assert len({customer["customer_id"] for customer in households}) == len(households) == 2_469
    assert sum("age_band" in t for t in traits) == 801
    assert (orders, revenue) == (155_848, 459_603_958)
    assert round(revenue / orders / 100, 4) == 29.4905
    assert sum(t["coupons_redeemed"] for t in traits) == 2_102
    assert sum(t["campaigns_received"] for t in traits) == 3_647 + 2_368 + 574
    assert sum(t["campaigns_redeemed"] for t in traits) == 604 + 154 + 34


def test_every_customer_can_be_posted(households: list[Customer]) -> None:
    assert json.loads(json.dumps(households, allow_nan=False)) == households
    # The service's limits on one customer: 500 traits, 64 KB.
    assert max(len(c["traits"]) for c in households) <= 500
    assert max(len(json.dumps(c["traits"])) for c in households) < 65_536


SHAPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: type(v) is str and v != "",
    "number": lambda v: type(v) in (int, float),
    "money": lambda v: type(v) in (int, float) and v >= 0 and round(v, 2) == v,
    "instant": lambda v: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", v) is not None,
    "date": lambda v: date.fromisoformat(v).isoformat() == v,
    "list": lambda v: type(v) is list and all(type(item) is str for item in v) and v == sorted(v),
}


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.name)
def test_a_trait_is_what_its_declaration_says(
    trait: Any, traits: dict[str, dict[str, Any]]
) -> None:
    values = [t[trait.name] for t in traits.values() if trait.name in t]
    if trait.name == "stores":
        values = [sorted(v) for v in values]  # by number, not by text
    assert values
    assert not [v for v in values if not SHAPES[trait.type](v)]
    if trait.name.endswith(("_share", "_percentile")):
        assert all(0 <= v <= 1 for v in values)
    if trait.name.endswith("_score"):
        assert set(values) == {1, 2, 3, 4, 5}


def test_traits_are_declared_once_and_nameable() -> None:
    names = [trait.name for trait in TRAITS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert set(names) >= READY_MADE


def test_no_trait_is_undeclared(traits: dict[str, dict[str, Any]]) -> None:
    assert {name for t in traits.values() for name in t} == {trait.name for trait in TRAITS}


def test_a_household_without_a_survey_has_no_demographic_trait(
    traits: dict[str, dict[str, Any]], tables: Tables
) -> None:
    surveyed = {f"household-{n}" for n in tables.demographics["household_id"]}
    demographic = {trait.name for trait in TRAITS if trait.dimension == "demographic"}
    for customer_id, known in traits.items():
        assert bool(demographic & known.keys()) == (customer_id in surveyed)


@pytest.mark.parametrize(
    "since_last",
    [timedelta(0), timedelta(days=6, hours=23), WEEK, timedelta(days=3245.5), timedelta(-1)],
)
def test_dates_move_by_whole_weeks_to_the_current_week(
    tables: Tables, since_last: timedelta
) -> None:
    last = last_basket_at(tables)
    now = last + since_last
    moved = shift(tables, now)
    assert moved % WEEK == timedelta(0)
    assert now - WEEK < last + moved <= now


def test_the_latest_basket_lies_in_the_current_week(traits: dict[str, dict[str, Any]]) -> None:
    latest = max(datetime.fromisoformat(t["last_order_at"]) for t in traits.values())
    assert latest == datetime(2026, 11, 16, 4, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize("household", [1, 13, 900, 2500])
def test_one_household_by_hand(
    household: int, tables: Tables, traits: dict[str, dict[str, Any]]
) -> None:
    known = traits[f"household-{household}"]
    lines = tables.transactions[tables.transactions["household_id"] == household]
    brand = dict(tables.products[["product_id", "brand"]].to_numpy().tolist())
    moved = shift(tables, NOW)
    paid: dict[int, datetime] = {}
    total: Counter[int] = Counter()
    saved: Counter[int] = Counter()
    own_brand = 0
    for line in lines.to_dict("records"):
        basket = line["basket_id"]
        paid[basket] = line["transaction_timestamp"].to_pydatetime().replace(tzinfo=UTC)
        total[basket] += round(100 * line["sales_value"])
        saved[basket] += round(
            100 * (line["retail_disc"] + line["coupon_disc"] + line["coupon_match_disc"])
        )
        own_brand += round(100 * line["sales_value"]) * (brand.get(line["product_id"]) == "Private")
    at = sorted(instant + moved for instant in paid.values())
    gaps = [(b - a) / timedelta(days=1) for a, b in pairwise(at)]
    local = [instant.astimezone(ZoneInfo("America/New_York")) for instant in paid.values()]
    recent = [b for b in paid if NOW - timedelta(days=90) < paid[b] + moved]
    before = [b for b in paid if 90 <= (NOW - paid[b] - moved) / timedelta(days=1) < 180]
    assert known["orders"] == len(paid)
    assert cents(known["revenue"]) == total.total()
    assert known["average_order_value"] == pytest.approx(total.total() / len(paid) / 100, abs=0.005)
    assert known["first_order_at"] == at[0].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert known["last_order_at"] == at[-1].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert known["median_gap_days"] == pytest.approx(median(gaps), abs=1e-4)
    assert known["orders_90d"] == len(recent)
    assert cents(known["revenue_90d"]) == sum(total[b] for b in recent)
    assert cents(known["revenue_previous_90d"]) == sum(total[b] for b in before)
    assert known["discount_share"] == pytest.approx(
        sum(saved[b] > 0 for b in paid) / len(paid), abs=1e-4
    )
    assert cents(known["discount_amount"]) == saved.total()
    assert known["private_label_share"] == pytest.approx(own_brand / total.total(), abs=1e-4)
    assert known["weekend_share"] == pytest.approx(
        sum(instant.isoweekday() >= 6 for instant in local) / len(local), abs=1e-4
    )
    assert known["evening_share"] == pytest.approx(
        sum(18 <= instant.hour < 23 for instant in local) / len(local), abs=1e-4
    )


def test_progress_is_told_from_nothing_to_everything(tables: Tables) -> None:
    told: list[tuple[int, int, str]] = []
    customers(tables, NOW, lambda done, total, label: told.append((done, total, label)))
    total = told[0][1]
    assert [done for done, _, _ in told] == list(range(total + 1))
    assert all(t == total and label for _, t, label in told)


def test_the_moment_changes_dates_and_nothing_else(
    tables: Tables, traits: dict[str, dict[str, Any]]
) -> None:
    later = {c["customer_id"]: c["traits"] for c in customers(tables, NOW + 5 * WEEK)}
    for customer_id, known in traits.items():
        moved = {
            name
            for name in known.keys() | later[customer_id].keys()
            if known.get(name) != later[customer_id].get(name)
        }
        assert all(name.endswith(("_at", "_on", "_from", "_until")) for name in moved)
