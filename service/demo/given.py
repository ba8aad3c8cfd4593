"""What is told of each household as it stands, beside what it did: the survey's answers, and what
the shop's own system works out.

The latter are traits that no derived trait says exactly:

- the department, category and store of *most spend or visits*, each with its share: `mode` counts
  events, and neither weighs them by an amount nor tells how many there were of the most frequent;
- `replenish_*`: the consumable bought on most days, and when it will be used up: the median gap of
  one category, chosen among many, between days of the stores' calendar.
"""

from typing import Any

import numpy as np
import pandas as pd

from service.demo import products
from service.demo.journey import Flags, Ints, Journey, ratio, sums
from service.demo.traits import GIVEN, TraitType


def given_traits(journey: Journey) -> list[dict[str, Any]]:
    """The given traits of each household, by its index.

    Values are JSON: instants as `2026-11-16T04:01:20Z`, money in dollars, shares to four decimals;
    what is absent is left out.
    """
    columns = {
        **_survey(journey),
        **_favourites(journey),
        **_stores(journey),
        **_replenishment(journey),
    }
    values = {trait.name: json_values(columns[trait.name], trait.type) for trait in GIVEN}
    return [
        {name: value for name, value in zip(values, row, strict=True) if value is not None}
        for row in zip(*values.values(), strict=True)
    ]


def _survey(journey: Journey) -> dict[str, Any]:
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


def _favourites(journey: Journey) -> dict[str, Any]:
    codes, names = journey.departments
    department, department_share = _favourite(journey, codes, names, journey.every_line)
    codes, names = pd.factorize(journey.tables.products["product_category"], sort=True)
    food = ~journey.lines_of(journey.matching(products.FUEL))
    category, category_share = _favourite(journey, codes, names, food)
    return {
        "favourite_department": department,
        "favourite_department_share": department_share,
        "top_category": category,
        "top_category_share": category_share,
    }


def _favourite(journey: Journey, codes: Ints, names: Any, lines: Flags) -> tuple[Any, Any]:
    """The name with the highest spend over the lines, and its share of all their spend. `codes`: of
    each product."""
    label = np.append(codes, -1)[journey.line_product]
    labelled = lines & (label >= 0)
    cell = journey.line_household[labelled] * len(names) + label[labelled]
    spend = sums(cell, journey.line_cents[labelled], journey.size * len(names))
    spend = spend.reshape(journey.size, len(names))
    top = spend.argmax(axis=1)
    highest = spend[np.arange(journey.size), top]
    return (
        pd.Series(np.asarray(names)[top]).where(highest > 0),
        ratio(highest, journey.spend(lines)).where(highest > 0),
    )


def _stores(journey: Journey) -> dict[str, Any]:
    visits = journey.baskets.groupby(["household", "store"]).size().reset_index(name="baskets")
    visits["name"] = "store-" + visits["store"].astype(str)
    by_household = visits.groupby("household")
    # Ties go to the store of the lowest number.
    top = visits.loc[by_household["baskets"].idxmax()].set_index("household")
    return {
        "favourite_store": top["name"],
        "favourite_store_share": top["baskets"] / by_household["baskets"].sum(),
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


def json_values(column: Any, type_: TraitType) -> list[Any]:
    """A column of a trait as JSON has it; None: absent."""
    values = pd.Series(column)
    match type_:
        case "instant":
            # Whole seconds, as the data has them.
            values = values.dt.floor("s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        case "money":
            values = values.astype("Float64").round(2)
        case "number" if pd.api.types.is_float_dtype(values.dtype):
            values = values.astype("Float64").round(4)
            if (values.dropna() % 1 == 0).all():
                values = values.astype("Int64")
        case _:
            pass
    return [None if pd.isna(value) else value for value in values.tolist()]
