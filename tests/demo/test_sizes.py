"""The starter segments' sizes on 2026-11-22, counted from the published tables with plain pandas.

`sizes.json` is the known answer that the service is compared with. What follows shares no code
with the demo or the engine: it starts from the raw tables and writes every segment again.
"""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.demo.starter import starter_segments
from service.demo.tables import Tables

SIZES: dict[str, int] = json.loads((Path(__file__).parent / "sizes.json").read_text())
NOW = pd.Timestamp("2026-11-22")
MOVED = pd.Timedelta(days=463 * 7)
# A hash and a trained model decide these, not facts of the tables.
NOT_COUNTED = {"win-back-control", "top-tier-households"}


def weeks(n: int) -> pd.Timedelta:
    return pd.Timedelta(weeks=n)


def share(part: Any, whole: Any) -> Any:
    """To four decimals, as the traits are; 0 for households without the part."""
    return (part.reindex(whole.index, fill_value=0) / whole).round(4)


@pytest.fixture(scope="module")
def lines(tables: Tables) -> Any:
    lines = tables.transactions.merge(tables.products, on="product_id", how="left")
    at = lines["transaction_timestamp"]
    lines["at"] = at + MOVED
    lines["local"] = at.dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.tz_localize(None)
    lines["cents"] = (lines["sales_value"] * 100).round().astype(int)
    lines["fuel"] = lines["product_type"].fillna("").str.startswith("GASOLINE")
    return lines


@pytest.fixture(scope="module")
def baskets(lines: Any) -> Any:
    lines = lines.assign(
        saved=lines["retail_disc"] + lines["coupon_disc"] + lines["coupon_match_disc"],
        shelf=lines["sales_value"] + lines["retail_disc"] + lines["coupon_match_disc"],
    )
    return lines.groupby("basket_id").agg(
        household=("household_id", "first"),
        store=("store_id", "first"),
        at=("at", "first"),
        local=("local", "first"),
        cents=("cents", "sum"),
        saved=("saved", "sum"),
        shelf=("shelf", "sum"),
        lines=("cents", "size"),
    )


@pytest.fixture(scope="module")
def facts(lines: Any, baskets: Any, tables: Tables) -> Any:
    """One row a household."""
    by = baskets.groupby("household")
    year = baskets[baskets["at"] > NOW - pd.Timedelta(days=365)]
    f = pd.DataFrame({"orders": by.size(), "cents": by["cents"].sum(), "last": by["at"].max()})
    f = f.join(tables.demographics.set_index("household_id"))
    f["year_orders"] = year.groupby("household").size().reindex(f.index, fill_value=0)
    f["lines"] = by["lines"].sum()

    days = (NOW.normalize() - f["last"].dt.normalize()).dt.days
    for name, better in (("r", -days), ("f", f["orders"]), ("m", f["cents"])):
        # rank(method="min") - 1 counts the strictly smaller ones.
        f[name] = 1 + np.floor(5 * (better.rank(method="min") - 1) / len(f))

    in_90 = baskets[baskets["at"] > NOW - pd.Timedelta(days=90)].groupby("household")
    before = baskets[
        (baskets["at"] > NOW - pd.Timedelta(days=180))
        & (baskets["at"] <= NOW - pd.Timedelta(days=90))
    ].groupby("household")
    f["orders_90"] = in_90.size().reindex(f.index, fill_value=0)
    f["cents_90"] = in_90["cents"].sum().reindex(f.index, fill_value=0)
    f["cents_before"] = before["cents"].sum().reindex(f.index, fill_value=0)

    visits = baskets.groupby(["household", "store"]).size()
    f["top_store"] = share(visits.groupby("household").max(), f["orders"])
    f["stores"] = visits.groupby("household").size()

    for name, texts in {
        "baby": ["DIAPERS & DISPOSABLES", "INFANT FORMULA", "BABY FOODS", "BABY HBC"],
        "dog": ["DOG FOODS"],
        "cat": ["CAT FOOD", "CAT LITTER"],
        "quick": ["FRZN MEAT/MEAT DINNERS", "FROZEN PIZZA", "HEAT/SERVE", "PREPARED FOOD"],
    }.items():
        bought = lines[lines["product_category"].isin(texts)].drop_duplicates("basket_id")
        recent = bought[bought["basket_id"].isin(year.index)]
        f[name] = recent.groupby("household_id").size().reindex(f.index, fill_value=0)
        f[f"last_{name}"] = bought.groupby("household_id")["at"].max()
    recent = lines[lines["basket_id"].isin(year.index)]
    f["drives"] = (
        recent[recent["fuel"]].groupby("household_id")["basket_id"].nunique().reindex(f.index) >= 2
    )
    return f


def rfm(f: Any) -> dict[str, Any]:
    cell = list(zip(f["r"].astype(int), f["f"].astype(int), strict=True))
    grid = {
        "hibernating": {(1, 1), (1, 2), (2, 1), (2, 2)},
        "rfm-at-risk": {(1, 3), (1, 4), (2, 3), (2, 4)},
        "cant-lose-them": {(1, 5), (2, 5)},
        "about-to-sleep": {(3, 1), (3, 2)},
        "need-attention": {(3, 3)},
        "loyal-customers": {(3, 4), (3, 5), (4, 4), (4, 5)},
        "promising": {(4, 1)},
        "new-customers": {(5, 1)},
        "potential-loyalists": {(4, 2), (4, 3), (5, 2), (5, 3)},
        "champions": {(5, 4), (5, 5)},
    }
    return {key: np.array([c in cells for c in cell]) for key, cells in grid.items()}


def lifecycle(f: Any) -> dict[str, Any]:
    away = NOW - f["last"]
    return {
        "prospect": f["orders"] == 0,
        "first-time": (f["orders"] == 1) & (away < weeks(6)),
        "repeat-active": (f["orders"] >= 2) & (away < weeks(3)),
        "at-risk": (f["orders"] >= 2) & (away >= weeks(3)) & (away < weeks(6)),
        "lapsed": (away >= weeks(6)) & (away < weeks(12)),
        "lost": away >= weeks(12),
    }


def value(f: Any, baskets: Any) -> dict[str, Any]:
    year = baskets[baskets["at"] > NOW - pd.Timedelta(days=365)].groupby("household")["cents"].sum()
    rank = (year.reindex(f.index, fill_value=0).rank(method="min") - 1) / len(f)
    growth = (f["cents_90"] / f["cents_before"]).round(4)
    return {
        "vip": (rank.round(4) >= 0.95) & (f["year_orders"] >= 3),
        "rising": (f["cents_before"] > 0) & (growth >= 1.5) & (f["orders_90"] >= 2),
        "slipping": (f["orders_90"] >= 1) & (f["cents_before"] >= 10_000) & (growth <= 0.5),
        "big-baskets": ((f["cents"] / f["orders"]).round() >= 6_000) & (f["orders"] >= 5),
        "valuable-at-risk": (NOW - f["last"] >= weeks(3))
        & (NOW - f["last"] < weeks(12))
        & ((f["orders"] >= 2) | (NOW - f["last"] >= weeks(6)))
        & (f["m"] >= 4),
    }


def demographic(f: Any) -> dict[str, Any]:
    old = f["age"].isin(["45-54", "55-64", "65+"])
    comp = f["household_comp"].fillna("")
    return {
        "young-adults": f["age"] == "19-24",
        "mature": f["age"].isin(["55-64", "65+"]),
        "families": f["kids_count"].isin(["1", "2", "3+"]) | (f["baby"] >= 2),
        "affluent-homeowners": f["home_ownership"].isin(["Homeowner", "Probable Homeowner"])
        & f["income"].isin(["100-124K", "125-149K", "150-174K", "175-199K", "200-249K", "250K+"]),
        "budget-households": f["income"].isin(["Under 15K", "15-24K"]),
        "single-adults": comp.isin(["1 Adult Kids", "1 Adult No Kids"]),
        "empty-nesters": (comp == "2 Adults No Kids") & (f["household_size"] == "2") & old,
        "profile-unknown": f["age"].isna() & (f["m"] >= 4),
    }


def geographic(f: Any, baskets: Any) -> dict[str, Any]:
    busiest = baskets[baskets["store"].isin([381, 367, 343])]["household"].unique()
    return {
        "one-store-loyal": (f["top_store"] >= 0.9) & (f["orders"] >= 10),
        "store-hoppers": (f["top_store"] < 0.5) & (f["stores"] >= 6),
        "busiest-stores": f.index.isin(busiest),
    }


def habits(f: Any, lines: Any, baskets: Any) -> dict[str, Any]:
    by = baskets.groupby("household")
    hour, weekday = baskets["local"].dt.hour, baskets["local"].dt.day_of_week
    weekend = share((weekday >= 5).groupby(baskets["household"]).sum(), f["orders"])
    evening = share(hour.between(18, 22).groupby(baskets["household"]).sum(), f["orders"])
    discounted = share((baskets["saved"] > 0).groupby(baskets["household"]).sum(), f["orders"])
    saved = share(by["saved"].sum(), by["shelf"].sum())
    spend = lines.groupby("household_id")["cents"].sum()
    own = share(lines[lines["brand"] == "Private"].groupby("household_id")["cents"].sum(), spend)
    department = lines["department"].mask(lines["fuel"], "FUEL")
    tried = pd.crosstab(lines["household_id"], department) > 0
    by_department = lines["cents"].groupby([lines["household_id"], department]).sum().unstack()
    core = tried[["PRODUCE", "MEAT", "DELI", "PASTRY", "DRUG GM"]].all(axis=1)
    regular = f["year_orders"] >= 5
    return {
        "discount-driven": (f["year_orders"] >= 3) & (discounted >= 0.6) & (saved >= 0.2),
        "weekend-shoppers": regular & (weekend >= 0.6),
        "evening-shoppers": regular & (evening >= 0.6),
        "private-label-fans": regular & (own >= 0.45),
        "one-stop-shoppers": core & ((f["lines"] / f["orders"]).round(4) >= 12),
        "fresh-untried": (f["orders_90"] >= 3) & ~tried[["PRODUCE", "MEAT"]].any(axis=1),
        "forecourt-customers": by_department.idxmax(axis=1) == "FUEL",
        "time-savers": (f["quick"] >= 2) & f["drives"] & (weekend < 0.5),
    }


def campaigns(f: Any, tables: Tables) -> dict[str, Any]:
    received = tables.campaigns.merge(tables.campaign_descriptions, on="campaign_id")
    by = received.sort_values(["start_date", "campaign_id"]).groupby("household_id")
    ends = by["end_date"].last().reindex(f.index) + MOVED
    redeemed = tables.coupon_redemptions.groupby("household_id")["redemption_date"].max()
    types = by["campaign_type"].agg(set).reindex(f.index)
    return {
        "coupon-redeemers": redeemed.reindex(f.index) + MOVED > NOW - pd.DateOffset(months=3),
        "campaign-unmoved": (by.size().reindex(f.index) >= 5) & ~f.index.isin(redeemed.index),
        "campaign-running": (ends > NOW) & (ends <= NOW + pd.Timedelta(days=30)),
        "mass-mailed-only": types.map(lambda t: t == {"Type A"}),
    }


def tastes_and_needs(f: Any, lines: Any, baskets: Any) -> dict[str, Any]:
    year = baskets[baskets["at"] > NOW - pd.Timedelta(days=365)].index
    recent = lines[lines["basket_id"].isin(year)]
    category, kind = lines["product_category"].fillna(""), lines["product_type"].fillna("")
    spend = lines.groupby("household_id")["cents"].sum()

    def spent_on(chosen: Any) -> Any:
        return share(lines[chosen].groupby("household_id")["cents"].sum(), spend)

    def in_year(chosen: Any) -> Any:
        found = recent[chosen.loc[recent.index]]
        return found.groupby("household_id")["basket_id"].nunique().reindex(f.index, fill_value=0)

    organic = category.str.contains("ORGANIC") | kind.str.contains("ORGANIC")
    wellness = (
        (lines["department"] == "NUTRITION")
        | (category == "DIETARY AID PRODUCTS")
        | category.str.contains("VITAMIN")
        | kind.str.contains("VITAMIN")
    )
    gourmet = (
        lines["department"].isin(["CHEF SHOPPE", "SEAFOOD"])
        | (category == "IMPORTED WINE")
        | kind.str.contains("ULTRA PREMIUM|CHEESE:SPECIALTY")
    )
    film = category.str.contains("PHOTOFINISHING") | kind.isin(
        ["SINGLE USE CAMERAS", "PRINT FILM", "APS"]
    )
    video = (category == "AUDIO/VIDEO PRODUCTS") & kind.str.contains("DVD|VHS|VIDEO|KIDS/FAMILY")
    food = lines[~lines["fuel"]]
    by_category = food.groupby(["household_id", "product_category"])["cents"].sum().unstack()
    top = share(by_category.max(axis=1), food.groupby("household_id")["cents"].sum())
    lines_in_year = recent.groupby("household_id").size().reindex(f.index, fill_value=0)
    favourite = (
        by_category[by_category.max(axis=1) > 0].idxmax(axis=1).reindex(f.index, fill_value="")
    )
    regular = f["year_orders"] >= 5
    return {
        "prepaid-mobile": in_year(category.str.startswith("PREPAID WIRELESS")) >= 1,
        "film-photographers": (in_year(film) >= 1) & (in_year(video) == 0),
        "eco-minded": in_year(organic) >= 2,
        "category-fan": (lines_in_year >= 5) & (top.reindex(f.index) >= 0.3),
        "wellness-seekers": regular & (spent_on(wellness) >= 0.05),
        "gourmets": regular & (spent_on(gourmet) >= 0.04),
        "freezer-fillers": favourite.str.contains(r"\b(?:FRZN|FROZEN|ICE CREAM)\b"),
        "baby-households": (f["baby"] >= 2) & (NOW - f["last_baby"] < weeks(8)),
        "pet-owners": ((f["dog"] >= 2) | (f["cat"] >= 2))
        & (NOW - f[["last_dog", "last_cat"]].max(axis=1) < weeks(12)),
        "replenish-due": f.index.isin(replenish_due(lines)),
    }


def replenish_due(lines: Any) -> list[int]:
    """Household by household, consumable by consumable, as a person would."""
    consumables = (
        "BATH TISSUES|CAT FOOD|CAT LITTER|COFFEE|DEODORANTS|DIAPERS & DISPOSABLES|"
        "DISHWASH DETERGENTS|DOG FOODS|FACIAL TISS/DNR NAPKIN|FD WRAPS/BAGS/TRSH BG|"
        "FEMININE HYGIENE|HAIR CARE PRODUCTS|INFANT FORMULA|LAUNDRY DETERGENTS|"
        "ORAL HYGIENE PRODUCTS|PAPER TOWELS|SHAVING CARE PRODUCTS|SOAP - LIQUID & BAR|VITAMINS"
    )
    bought = lines[lines["product_category"].str.fullmatch(consumables, na=False)]
    visits: dict[tuple[int, str], list[datetime]] = {}
    latest: dict[tuple[int, str], datetime] = {}
    for household, category, at, local in zip(
        bought["household_id"].tolist(),
        bought["product_category"].tolist(),
        bought["at"].dt.to_pydatetime(),
        bought["local"].dt.to_pydatetime(),
        strict=True,
    ):
        visits.setdefault((household, category), []).append(local)
        latest[household, category] = max(at, latest.get((household, category), at))
    best: dict[int, tuple[int, datetime, float]] = {}
    for (household, category), instants in sorted(visits.items()):  # ties go to the first name
        days = sorted({instant.toordinal() for instant in instants})
        if len(days) < 3:
            continue
        gap = median(b - a for a, b in pairwise(days))
        habit = (len(days), latest[household, category], gap)
        if household not in best or habit[:2] > best[household][:2]:
            best[household] = habit
    return [
        household
        for household, (_, last, gap) in best.items()
        if 0.9 * gap <= (NOW - last) / pd.Timedelta(days=1) < 2 * gap
    ]


@pytest.fixture(scope="module")
def counted(facts: Any, lines: Any, baskets: Any, tables: Tables) -> dict[str, int]:
    members = {
        **lifecycle(facts),
        **rfm(facts),
        **value(facts, baskets),
        **demographic(facts),
        **geographic(facts, baskets),
        **habits(facts, lines, baskets),
        **campaigns(facts, tables),
        **tastes_and_needs(facts, lines, baskets),
    }
    return {key: int(np.asarray(chosen).sum()) for key, chosen in members.items()}


def test_every_active_segment_has_a_known_size() -> None:
    active = {s["key"] for s in starter_segments() if s["status"] == "active"}
    assert SIZES.keys() == active - NOT_COUNTED


def test_the_known_sizes_are_what_the_tables_hold(counted: dict[str, int]) -> None:
    assert counted == SIZES


def test_no_active_segment_is_empty() -> None:
    # Every household of the data has a basket; prospects come with the first caller.
    assert [key for key, size in SIZES.items() if size == 0] == ["prospect"]


def test_schemes_place_everybody_once() -> None:
    segments = starter_segments()
    for scheme in ("lifecycle", "rfm"):
        sizes = [SIZES[s["key"]] for s in segments if s.get("scheme") == scheme]
        assert sum(sizes) == 2_469
