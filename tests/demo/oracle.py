"""What the service is to derive of each household, counted with pandas over whole tables.

A household is an index `0..H-1` in the order of its number, and every trait a column of H values,
missing where absent. Numbers are as they are, not rounded.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from service.demo import products
from service.demo.given import given_traits
from service.demo.journey import Flags, Journey, counts, ratio, smaller

# As of when the known answers are.
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# None of these sells fuel.
DEPARTMENTS = {
    "deli": "DELI", "drugstore": "DRUG GM", "meat": "MEAT", "pastry": "PASTRY",
    "produce": "PRODUCE",
}  # fmt: skip


def derived(journey: Journey) -> dict[str, dict[str, Any]]:
    """By customer, the ready-made and the derived traits, as JSON has them."""
    columns = {
        **_orders(journey),
        **_scores(journey),
        **_campaigns(journey),
        **_product_groups(journey),
    }
    values = {name: _json(column) for name, column in columns.items()}
    return {
        f"household-{number}": {
            name: value for name, value in zip(values, row, strict=True) if value is not None
        }
        for number, row in zip(
            journey.households.tolist(), zip(*values.values(), strict=True), strict=True
        )
    }


def traits(journey: Journey) -> dict[str, dict[str, Any]]:
    """By customer, what is told of them and what the service is to derive."""
    known = derived(journey)
    return {
        who: {**told, **known[who]} for who, told in zip(known, given_traits(journey), strict=True)
    }


def _json(column: Any) -> list[Any]:
    values = pd.Series(column)
    if pd.api.types.is_datetime64_dtype(values):
        values = values.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [None if pd.isna(value) else value for value in values.tolist()]


def _orders(journey: Journey) -> dict[str, Any]:
    baskets = journey.baskets
    every = journey.every_basket
    by_household = baskets.groupby("household")
    gaps = by_household["at"].diff().dt.total_seconds() / 86_400
    orders, revenue = journey.orders(every), journey.total(every)
    lines = counts(journey.line_household, journey.size)
    year = journey.within(365)
    recent, before = journey.total(journey.within(90)), journey.total(journey.within(180, until=90))
    discount = journey.total(every, "discount")
    # The manufacturer refunds a coupon to the shop, so revenue already holds it.
    shelf_price = revenue + discount - journey.total(every, "coupon")
    hour, weekday = baskets["local"].dt.hour.to_numpy(), baskets["local"].dt.day_of_week.to_numpy()
    pairs = pd.DataFrame({"household": journey.line_household})
    pairs["product"] = journey.tables.transactions["product_id"].to_numpy()
    distinct = pairs.drop_duplicates()["household"].to_numpy()
    return {
        "orders": orders,
        "orders_30d": journey.orders(journey.within(30)),
        "orders_90d": journey.orders(journey.within(90)),
        "orders_365d": journey.orders(year),
        "first_order_at": by_household["at"].first(),
        "last_order_at": by_household["at"].last(),
        "median_gap_days": gaps.groupby(baskets["household"]).median(),
        "lines": lines,
        "lines_365d": counts(journey.line_household[year[journey.line_basket]], journey.size),
        "lines_per_order": lines / orders,
        "distinct_products": counts(distinct, journey.size),
        "discount_share": journey.orders(np.asarray(baskets["discount"] > 0)) / orders,
        "discount_amount_share": ratio(discount, shelf_price),
        "discount_amount": discount / 100,
        "coupon_amount": journey.total(every, "coupon") / 100,
        "coupon_order_share": journey.orders(np.asarray(baskets["coupon"] > 0)) / orders,
        "weekend_share": journey.orders(weekday >= 5) / orders,
        "morning_share": journey.orders((hour >= 5) & (hour < 12)) / orders,
        "evening_share": journey.orders((hour >= 18) & (hour < 23)) / orders,
        "revenue": revenue / 100,
        "average_order_value": revenue / orders / 100,
        "largest_order": by_household["cents"].max() / 100,
        "revenue_90d": recent / 100,
        "revenue_previous_90d": before / 100,
        "revenue_growth_90d": ratio(recent, before),
        "revenue_365d": journey.total(year) / 100,
    }


def _scores(journey: Journey) -> dict[str, Any]:
    every = journey.every_basket
    days = journey.last(every).dt.floor("D").to_numpy().astype(np.int64)
    revenue = journey.total(every)
    return {
        "revenue_percentile": smaller(revenue) / journey.size,
        "revenue_365d_percentile": smaller(journey.total(journey.within(365))) / journey.size,
        "recency_percentile": smaller(days) / journey.size,
        "frequency_percentile": smaller(journey.orders(every)) / journey.size,
        "r_score": 1 + 5 * smaller(days) // journey.size,
        "f_score": 1 + 5 * smaller(journey.orders(every)) // journey.size,
        "m_score": 1 + 5 * smaller(revenue) // journey.size,
    }


def _campaigns(journey: Journey) -> dict[str, Any]:
    tables = journey.tables
    household = pd.Index(journey.households)
    received = tables.campaigns.merge(tables.campaign_descriptions, on="campaign_id")
    received["household"] = household.get_indexer(received["household_id"])
    received = received.sort_values(["household", "start_date", "campaign_id"])
    latest = received.groupby("household").last().reindex(journey.index)
    redeemed = tables.coupon_redemptions
    redeemer = pd.Series(household.get_indexer(redeemed["household_id"]), index=redeemed.index)
    by_redeemer = redeemed.groupby(redeemer)

    def day(dates: Any) -> Any:
        return (dates + journey.moved).dt.strftime("%Y-%m-%d")

    return {
        "coupons_redeemed": counts(redeemer.to_numpy(), journey.size),
        "last_redeemed_on": day(by_redeemer["redemption_date"].max().reindex(journey.index)),
        "campaigns_received": counts(received["household"].to_numpy(), journey.size),
        "campaigns_redeemed": by_redeemer["campaign_id"]
        .nunique()
        .reindex(journey.index, fill_value=0),
        "last_campaign_type": latest["campaign_type"],
        "last_campaign_starts_on": day(latest["start_date"]),
        "last_campaign_ends_on": day(latest["end_date"]),
    }


def _product_groups(journey: Journey) -> dict[str, Any]:
    total = journey.spend(journey.every_line)
    year = journey.within(365)

    def lines(pattern: str) -> Flags:
        return journey.lines_of(journey.matching(pattern))

    values = {name: lines(pattern) for name, pattern in products.VALUES.items()}
    needs = {n: journey.baskets_with(lines(p)) for n, p in products.NEEDS.items()}
    technology = {n: journey.baskets_with(lines(p)) for n, p in products.TECHNOLOGY.items()}
    yearly = {**needs, **technology, "organic": journey.baskets_with(values["organic"])}
    own_brand = journey.spend(
        journey.lines_of(np.asarray(journey.tables.products["brand"] == "Private"))
    )
    departments = {
        name: journey.baskets_with(lines(rf"^{department}\|"))
        for name, department in DEPARTMENTS.items()
    }
    return {
        **{f"{name}_orders": journey.orders(of) for name, of in departments.items()},
        **{f"{name}_share": ratio(journey.spend(of), total) for name, of in values.items()},
        **{
            f"{name.replace('-', '_')}_orders_365d": journey.orders(of & year)
            for name, of in yearly.items()
        },
        "private_label_share": ratio(own_brand, total),
        "last_baby_order_at": journey.last(needs["baby"]),
        "last_pet_order_at": journey.last(needs["dog"] | needs["cat"]),
        "stores_visited": journey.baskets.groupby("household")["store"].nunique(),
    }
