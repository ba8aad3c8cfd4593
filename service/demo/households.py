"""One customer for each household of the demo's data set, with the traits of `traits.py`.

The work is done on baskets and product lines as arrays; a household is an index `0..H-1` in the
order of its number, and every trait a pandas column of H values, missing where absent.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from service.demo import products
from service.demo.journey import Flags, Ints, Journey, counts, ratio, smaller, sums
from service.demo.tables import Tables
from service.demo.traits import TRAITS, TraitType

Progress = Callable[[int, int, str], None]


class Customer(TypedDict):
    customer_id: str
    traits: dict[str, Any]


def customers(tables: Tables, now: datetime, progress: Progress | None = None) -> list[Customer]:
    """Every household that has a basket, ready for `POST /assign`; about two seconds.

    `now` (aware) ends the windows and places the data in time (see `tables.shift`). Values are
    JSON's: instants as `2026-11-16T04:01:20Z`, dates as `2026-11-16`, money in dollars to the
    cent, shares to four decimals; an absent trait is left out. `progress` hears (steps done,
    steps in all, the step begun).
    """
    steps: tuple[tuple[str, Callable[[Journey], dict[str, Any]]], ...] = (
        ("Demographics", _demographics),
        ("Orders", _orders),
        ("Scores", _scores),
        ("Stores", _stores),
        ("Campaigns", _campaigns),
        ("Departments and categories", _favourites),
        ("Values, needs, technology", _product_groups),
        ("Replenishment", _replenishment),
    )
    report = progress or (lambda done, total, label: None)
    total = len(steps) + 2
    report(0, total, "Baskets")
    journey = Journey.of(tables, now)
    columns: dict[str, Any] = {}
    for done, (label, step) in enumerate(steps, start=1):
        report(done, total, label)
        columns |= step(journey)
    report(total - 1, total, "Customers")
    answer = _as_customers(journey.households, columns)
    report(total, total, "Done")
    return answer


def _demographics(journey: Journey) -> dict[str, Any]:
    known = journey.tables.demographics.set_index("household_id").reindex(journey.households)
    known = known.reset_index(drop=True)

    def leading_number(column: str) -> Any:
        return known[column].str.extract(r"^(\d+)", expand=False).astype("Float64")

    income = leading_number("income").mask(known["income"].str.startswith("Under"), 0)
    return {
        "age_band": known["age"],
        "age_min": leading_number("age"),
        "income_band": known["income"],
        "income_min": income * 1000,
        "home_ownership": known["home_ownership"],
        "marital_status": known["marital_status"],
        "household_size": leading_number("household_size"),
        "household_type": known["household_comp"],
        "kids": leading_number("kids_count"),
    }


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
        "r_score": 1 + 5 * smaller(days) // journey.size,
        "f_score": 1 + 5 * smaller(journey.orders(every)) // journey.size,
        "m_score": 1 + 5 * smaller(revenue) // journey.size,
    }


def _stores(journey: Journey) -> dict[str, Any]:
    visits = journey.baskets.groupby(["household", "store"]).size().reset_index(name="baskets")
    visits["name"] = "store-" + visits["store"].astype(str)
    by_household = visits.groupby("household")
    # Ties go to the store of the lowest number.
    top = visits.loc[by_household["baskets"].idxmax()].set_index("household")
    return {
        "favourite_store": top["name"],
        "favourite_store_share": top["baskets"] / by_household["baskets"].sum(),
        "stores": by_household["name"].agg(list),
        "stores_visited": by_household.size(),
    }


def _campaigns(journey: Journey) -> dict[str, Any]:
    tables = journey.tables
    household = pd.Index(journey.households)
    received = tables.campaigns.merge(tables.campaign_descriptions, on="campaign_id")
    received["household"] = household.get_indexer(received["household_id"])
    received = received.sort_values(["household", "start_date", "campaign_id"])
    latest = received.groupby("household").last().reindex(journey.index)
    types = received.drop_duplicates(["household", "campaign_type"]).sort_values("campaign_type")
    redeemed = tables.coupon_redemptions
    redeemer = pd.Series(household.get_indexer(redeemed["household_id"]), index=redeemed.index)
    by_redeemer = redeemed.groupby(redeemer)
    return {
        "coupons_redeemed": counts(redeemer.to_numpy(), journey.size),
        "last_redeemed_on": by_redeemer["redemption_date"].max().reindex(journey.index)
        + journey.moved,
        "campaigns": _lists(types["campaign_type"], types["household"], journey.size),
        "campaigns_received": counts(received["household"].to_numpy(), journey.size),
        "campaigns_redeemed": by_redeemer["campaign_id"]
        .nunique()
        .reindex(journey.index, fill_value=0),
        "last_campaign_type": latest["campaign_type"],
        "last_campaign_starts_on": latest["start_date"] + journey.moved,
        "last_campaign_ends_on": latest["end_date"] + journey.moved,
    }


def _favourites(journey: Journey) -> dict[str, Any]:
    every = journey.every_line
    fuel = journey.matching(products.FUEL)
    # Fuel is sold under three departments and two categories; it is one.
    departments = journey.tables.products["department"].mask(fuel, "FUEL")
    department, department_share = _favourite(journey, departments, every)
    category, category_share = _favourite(
        journey, journey.tables.products["product_category"], ~journey.lines_of(fuel)
    )
    codes, names = pd.factorize(departments, sort=True)
    bought = pd.DataFrame(
        {"household": journey.line_household, "code": np.append(codes, -1)[journey.line_product]}
    )
    bought = bought[bought["code"] >= 0].drop_duplicates().sort_values(["household", "code"])
    own_brand = np.asarray(journey.tables.products["brand"] == "Private")
    return {
        "departments": _lists(names[bought["code"]], bought["household"], journey.size),
        "favourite_department": department,
        "favourite_department_share": department_share,
        "favourite_category": category,
        "favourite_category_share": category_share,
        "private_label_share": ratio(
            journey.spend(journey.lines_of(own_brand)), journey.spend(every)
        ),
    }


def _favourite(journey: Journey, labels: Any, lines: Flags) -> tuple[Any, Any]:
    """The label with the highest spend over the lines, and its share of all their spend."""
    codes, names = pd.factorize(labels, sort=True)
    label = np.append(codes, -1)[journey.line_product]
    labelled = lines & (label >= 0)
    cell = journey.line_household[labelled] * len(names) + label[labelled]
    spend = sums(cell, journey.line_cents[labelled], journey.size * len(names))
    spend = spend.reshape(journey.size, len(names))
    top = spend.argmax(axis=1)
    highest = spend[np.arange(journey.size), top]
    return (
        pd.Series(names[top]).where(highest > 0),
        ratio(highest, journey.spend(lines)).where(highest > 0),
    )


def _product_groups(journey: Journey) -> dict[str, Any]:
    every = journey.every_line
    total = journey.spend(every)
    year = journey.within(365)

    def lines(pattern: str) -> Flags:
        return journey.lines_of(journey.matching(pattern))

    values = {name: lines(pattern) for name, pattern in products.VALUES.items()}
    needs = {n: journey.baskets_with(lines(p)) for n, p in products.NEEDS.items()}
    technology = {n: journey.baskets_with(lines(p)) for n, p in products.TECHNOLOGY.items()}
    organic = journey.baskets_with(values["organic"])
    return {
        **{f"{name}_share": ratio(journey.spend(of), total) for name, of in values.items()},
        "organic_orders_365d": journey.orders(organic & year),
        "baby_orders_365d": journey.orders(needs["baby"] & year),
        "last_baby_order_at": journey.last(needs["baby"]),
        "last_pet_order_at": journey.last(needs["dog"] | needs["cat"]),
        "needs": _names_where({n: journey.orders(of & year) >= 2 for n, of in needs.items()}),
        "technology": _names_where(
            {n: journey.orders(of & year) >= 1 for n, of in technology.items()}
        ),
    }


def _replenishment(journey: Journey) -> dict[str, Any]:
    categories = journey.tables.products["product_category"]
    lines = journey.lines_of(np.asarray(categories.isin(products.CONSUMABLES)))
    basket = journey.line_basket[lines]
    bought = pd.DataFrame(
        {
            "household": journey.line_household[lines],
            "category": categories.to_numpy()[journey.line_product[lines]],
            "at": journey.baskets["at"].to_numpy()[basket],
            "day": journey.baskets["local"].dt.tz_localize(None).dt.floor("D").to_numpy()[basket],
        }
    )
    pair = ["household", "category"]
    bought = bought.sort_values([*pair, "at"]).drop_duplicates([*pair, "day"], keep="last")
    bought["gap"] = bought.groupby(pair)["day"].diff().dt.total_seconds() / 86_400
    habits = bought.groupby(pair).agg(days=("day", "size"), gap=("gap", "median"), at=("at", "max"))
    habits = habits[habits["days"] >= 3].reset_index()
    # Ties go to the consumable bought last, then to the first name.
    habits = habits.sort_values(["days", "at", "category"], ascending=[False, False, True])
    staple = habits.drop_duplicates("household").set_index("household").reindex(journey.index)
    gap = pd.to_timedelta(staple["gap"], unit="D")
    return {
        "replenish_category": staple["category"],
        "replenish_gap_days": staple["gap"],
        "replenish_from": staple["at"] + 0.9 * gap,
        "replenish_until": staple["at"] + 2 * gap,
    }


def _as_customers(households: Ints, columns: dict[str, Any]) -> list[Customer]:
    values = {t.name: _json_values(columns[t.name], t.type) for t in TRAITS}
    rows: Iterator[tuple[Any, ...]] = zip(*values.values(), strict=True)
    return [
        Customer(
            customer_id=f"household-{number}",
            traits={n: v for n, v in zip(values, row, strict=True) if v is not None},
        )
        for number, row in zip(households.tolist(), rows, strict=True)
    ]


def _json_values(column: Any, type_: TraitType) -> list[Any]:
    values = pd.Series(column)
    match type_:
        case "instant":
            # Whole seconds, as the data has them.
            values = values.dt.floor("s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        case "date":
            values = values.dt.strftime("%Y-%m-%d")
        case "money":
            values = values.astype("Float64").round(2)
        case "number" if pd.api.types.is_float_dtype(values.dtype):
            values = values.astype("Float64").round(4)
            if (values.dropna() % 1 == 0).all():
                values = values.astype("Int64")
        case _:
            pass
    return [v if isinstance(v, list) or not pd.isna(v) else None for v in values.tolist()]


def _lists(names: Any, household: Any, size: int) -> list[list[str]]:
    lists: list[list[str]] = [[] for _ in range(size)]
    for row, name in zip(household.tolist(), list(names), strict=True):
        lists[row].append(name)
    return lists


def _names_where(flags: dict[str, Flags]) -> list[list[str]]:
    names = sorted(flags)
    table = np.column_stack([flags[name] for name in names])
    return [[n for n, holds in zip(names, row, strict=True) if holds] for row in table.tolist()]
