import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models import household_tiers
from service.core.derived.ready_made import READY_MADE
from service.core.instants import from_datetime
from service.demo.campaigns import campaign_events
from service.demo.given import given_traits
from service.demo.households import Households
from service.demo.journey import Journey
from service.demo.setup import FEATURES, SAMPLE, declarations
from service.demo.tables import WEEK, Tables, last_basket_at, shift
from service.demo.traits import GIVEN, derived_traits
from tests.demo import oracle
from tests.demo.oracle import NOW


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


def test_what_is_counted_adds_up_to_the_known_answers(traits: dict[str, dict[str, Any]]) -> None:
    known = list(traits.values())
    orders = sum(t["orders"] for t in known)
    revenue = sum(cents(t["revenue"]) for t in known)
    assert len(known) == 2_469
    assert sum("age_band" in t for t in known) == 801
    assert (orders, revenue) == (155_848, 459_603_958)
    assert round(revenue / orders / 100, 4) == 29.4905
    assert sum(t["coupons_redeemed"] for t in known) == 2_102
    assert sum(t["campaigns_received"] for t in known) == 3_647 + 2_368 + 574
    assert sum(t["campaigns_redeemed"] for t in known) == 604 + 154 + 34


def test_what_is_told_adds_up_to_the_known_answers(journey: Journey) -> None:
    households = Households(journey)
    known = set()
    names: Counter[str] = Counter()
    revenue = 0
    for household in households:
        assert json.loads(json.dumps(household.traits, allow_nan=False)) == household.traits
        for event in household.events:
            known.add(event.message_id)
            names[event.name] += 1
            if event.name == "Order Completed":
                order = event.properties
                total = cents(float(order["revenue"]))
                revenue += total
                # In hundredths of a cent: to the last one what was paid.
                assert 100 * total == sum(
                    round(10_000 * float(line["price"])) * int(line.get("quantity", 1))
                    for line in order["products"]
                )
                unknown = sum("department" not in line for line in order["products"])
                spent = sum(order["departments"].values())
                assert unknown or cents(round(spent, 2)) == total
    assert len(households) == len(households.customer_ids) == 2_469
    assert (households.orders, households.weeks) == (155_848, 463)
    assert revenue == 459_603_958
    assert names["Order Completed"] == 155_848
    assert names["Campaign Received"] == 3_647 + 2_368 + 574
    assert names["Coupon Redeemed"] == 2_102
    assert len(known) == names.total()


def test_told_again_it_is_the_same(journey: Journey) -> None:
    once, again = (next(iter(Households(journey))) for _ in range(2))
    assert once == again


def test_consents_follow_the_rule(journey: Journey) -> None:
    events = campaign_events(journey)
    surveyed = set(journey.tables.demographics["household_id"])
    for number, happened in events.items():
        names = Counter(event.name for event in happened)
        told = {
            (event.properties["channel"], event.properties["status"]): event.at
            for event in happened
            if event.name == "Consent Changed"
        }
        campaigns = [event.at for event in happened if event.name == "Campaign Received"]
        assert (("email", "subscribed") in told) == bool(campaigns)
        assert not campaigns or told["email", "subscribed"] < min(campaigns)
        assert (("post", "subscribed") in told) == (number in surveyed)
        unmoved = len(campaigns) >= 3 and not names["Coupon Redeemed"] and number % 3 == 0
        assert names["Unsubscribed"] == unmoved
        assert all(event.at <= from_datetime(NOW) for event in happened)
    assert sum(any(e.name == "Unsubscribed" for e in happened) for happened in events.values()) > 50


SHAPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: type(v) is str and v != "",
    "number": lambda v: type(v) in (int, float),
    "money": lambda v: type(v) in (int, float) and v >= 0 and round(v, 2) == v,
    "instant": lambda v: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", v) is not None,
}


@pytest.mark.parametrize("trait", GIVEN, ids=lambda trait: trait.name)
def test_a_trait_is_what_its_declaration_says(
    trait: Any, traits: dict[str, dict[str, Any]]
) -> None:
    values = [t[trait.name] for t in traits.values() if trait.name in t]
    assert values
    assert not [v for v in values if not SHAPES[trait.type](v)]
    if trait.name.endswith("_share"):
        assert all(0 <= v <= 1 for v in values)


def test_traits_are_declared_once_and_nameable() -> None:
    given = [trait.name for trait in GIVEN]
    assert len(set(given)) == len(given)
    assert declarations().keys() == {*given, *derived_traits()}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in declarations())
    # What is ready-made is neither told nor defined again, but for what means another thing here.
    assert declarations().keys() & READY_MADE.keys() == {"discount_amount_share"}


def test_no_trait_that_is_told_is_undeclared(journey: Journey) -> None:
    told = {name for known in given_traits(journey) for name in known}
    assert told == {trait.name for trait in GIVEN}


def test_the_model_reads_what_it_is_trained_on() -> None:
    assert {feature.trait for feature in household_tiers.FEATURES} == {*FEATURES}


def test_the_sample_is_who_spent_most_of_those_who_were_asked(
    traits: dict[str, dict[str, Any]],
) -> None:
    surveyed = {who: known for who, known in traits.items() if "age_band" in known}
    assert max(surveyed, key=lambda who: surveyed[who]["revenue"]) == SAMPLE


def test_a_household_without_a_survey_has_no_demographic_trait(
    traits: dict[str, dict[str, Any]], tables: Tables
) -> None:
    surveyed = {f"household-{n}" for n in tables.demographics["household_id"]}
    demographic = {trait.name for trait in GIVEN if trait.dimension == "demographic"}
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


def test_the_moment_changes_dates_and_nothing_else(
    tables: Tables, traits: dict[str, dict[str, Any]]
) -> None:
    journey = Journey.of(tables, NOW + 5 * WEEK)
    derived = oracle.derived(journey)
    for (customer_id, known), told in zip(traits.items(), given_traits(journey), strict=True):
        later = {**told, **derived[customer_id]}
        moved = {name for name in known.keys() | later.keys() if known.get(name) != later.get(name)}
        assert all(name.endswith(("_at", "_on", "_from", "_until")) for name in moved)
