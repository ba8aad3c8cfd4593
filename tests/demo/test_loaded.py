"""The demo, loaded as `segserve run` loads it, says what was counted independently: an eighth of
its households, with all they did; `make demo-check` loads all of them, which takes minutes.

One test, as everything in it needs the demo once.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.commands.demo import demo_of, load_into
from service.core.catalog import Catalog
from service.core.instants import from_datetime
from service.demo import setup
from service.demo.households import Households
from service.demo.journey import Journey
from service.demo.tables import Tables
from service.demo.traits import GIVEN, derived_traits
from service.flows.demo import Removed
from service.flows.import_storing import ALONE
from service.store.tables import metadata
from tests.demo import oracle
from tests.demo.matching import OF_EVENTS, sizes_of
from tests.demo.oracle import NOW
from tests.postgres import Databases
from tests.running import Clock, connected, quick, serving

SIZES = json.loads((Path(__file__).parent / "sizes.json").read_text(encoding="utf-8"))
COUNTED = SIZES.keys() - OF_EVENTS
CLOCK = Clock(from_datetime(NOW))
CONVERSION = """select c.properties ->> 'type', count(distinct (c.customer_id, campaign)),
    count(distinct (c.customer_id, campaign)) filter (where r.customer_id is not null)
  from events c
  cross join lateral (select c.properties ->> 'campaign_id' as campaign) as of
  left join events r on r.customer_id = c.customer_id and r.name = 'Coupon Redeemed'
    and r.properties ->> 'campaign_id' = campaign
  where c.name = 'Campaign Received' group by 1"""


@dataclass(frozen=True)
class Found:
    """What the service says of the demo, and what is left of it afterwards."""

    refused: Any
    segments: Mapping[str, dict[str, Any]]
    profiles: Mapping[str, Mapping[str, Any]]
    sample: dict[str, Any]
    totals: tuple[Any, ...]
    conversion: Mapping[str, tuple[int, int]]
    reasons: set[str]
    removed: Removed
    left: Mapping[str, int]


WHOLE = os.environ.get("SEGSERVE_DEMO") == "whole"


def _part(tables: Tables) -> Tables:
    """An eighth of the households, the demo's sample among them."""
    of_household = ("transactions", "demographics", "campaigns", "coupon_redemptions")
    frames = {name: getattr(tables, name) for name in of_household}
    chosen = {
        name: frame[frame["household_id"] % 8 == 1].reset_index(drop=True)
        for name, frame in frames.items()
    }
    return replace(tables, **chosen)


async def _load(url: str, models_dir: Path, journey: Journey, names: list[str]) -> Found:
    settings = quick(models_dir=models_dir)
    async with (
        serving(url, CLOCK, models_dir=models_dir) as (client, services),
        connected(url) as outsider,
    ):
        await load_into(services, settings, ALONE, Households(journey))
        demo = demo_of(services)
        refused = services.live.served.catalog.refused
        profiles = await demo.profiles(names)
        listed = (await client.get("/segments?limit=1000&status=active")).json()["items"]
        sample = (await client.get(f"/customers/{setup.SAMPLE}")).json()
        totals = await outsider.fetchrow(
            "select count(*), sum(net), round(sum(net) / count(*), 4) from orders"
        )
        conversion = await outsider.fetch(CONVERSION)
        reasons = await outsider.fetch("select distinct reason ->> 'kind' from transitions")
        removed = await demo.remove()
        tables = [t.name for t in metadata.sorted_tables if "customer_id" in t.c]
        tables += ["segments", "traits", "models", "rank_cuts"]
        left = {name: await outsider.fetchval(f"select count(*) from {name}") for name in tables}
    return Found(
        refused=refused,
        segments={each["key"]: each for each in listed},
        profiles=profiles,
        sample=sample,
        totals=tuple(totals),
        conversion={kind: (redeemed, targeted) for kind, targeted, redeemed in conversion},
        reasons={row[0] for row in reasons},
        removed=removed,
        left=left,
    )


def test_the_demo(
    databases: Databases,
    tmp_path: Path,
    tables: Tables,
    catalog: Catalog,
    subtests: pytest.Subtests,
) -> None:
    tables = tables if WHOLE else _part(tables)
    journey = Journey.of(tables, NOW)
    expected = oracle.derived(journey)
    names = sorted({name for traits in expected.values() for name in traits})
    assert not {*names} & {trait.name for trait in GIVEN}
    with databases.database() as url:
        found = asyncio.run(_load(url, tmp_path, journey, [*names, "age_band"]))

    with subtests.test("every definition is served"):
        assert found.refused == ()
    with subtests.test("sizes"):
        sizes = {key: each["metrics"]["size"] for key, each in found.segments.items()}
        wanted = sizes_of(catalog, oracle.traits(journey))
        assert {key: sizes[key] for key in COUNTED} == {key: wanted[key] for key in COUNTED}
        if WHOLE:
            assert {key: sizes[key] for key in SIZES} == SIZES
    with subtests.test("totals"):
        orders, revenue, average = found.totals
        cents = int(journey.line_cents.sum())
        assert (orders, int(revenue * 100)) == (len(journey.baskets), cents)
        assert sum(traits["orders"] for traits in found.profiles.values()) == orders
        assert len(found.profiles) == journey.size
        surveyed = sum("age_band" in traits for traits in found.profiles.values())
        assert surveyed == len(tables.demographics)
        if WHOLE:
            assert (orders, float(revenue), float(average)) == (155_848, 4_596_039.58, 29.4905)
            assert (journey.size, surveyed) == (2_469, 801)
    with subtests.test("conversion of campaigns"):
        assert found.conversion == _conversion(tables)
        if WHOLE:
            assert found.conversion == {
                "Type A": (604, 3_647),
                "Type B": (154, 2_368),
                "Type C": (34, 574),
            }
    for name in names:
        with subtests.test(trait=name):
            assert _differing(name, expected, found.profiles) == {}
    with subtests.test("one household by the API"):
        told = found.sample["traits"]
        assert (told["orders"], told["campaigns_redeemed"]) == (245, 1)
        assert told["r_score"] == expected[setup.SAMPLE]["r_score"]
    with subtests.test("some can be reached"):
        champions = found.segments["champions"]["metrics"]
        assert 0 < champions["reachable"]["email"] < champions["size"]
        assert 0 < champions["reachable"]["post"] < champions["size"]
        assert champions["reachable"]["sms"] == 0
    with subtests.test("nothing of it was a reason to mail anybody"):
        assert found.reasons <= {"import", "rank", "model", "definition"}
    with subtests.test("nothing is left of it"):
        assert found.removed == Removed(journey.size)
        assert Counter(found.left) == Counter(dict.fromkeys(found.left, 0))


def _conversion(tables: Tables) -> dict[str, tuple[int, int]]:
    """By type of campaign, how many households redeemed a coupon of one, and how many got it."""
    pair = ["campaign_id", "household_id"]
    targeted = tables.campaigns[pair].drop_duplicates()
    targeted = targeted.merge(tables.campaign_descriptions, on="campaign_id")
    redeemed = tables.coupon_redemptions[pair].drop_duplicates()
    both = targeted.merge(redeemed, on=pair)
    return {
        kind: (int((both["campaign_type"] == kind).sum()), int(count))
        for kind, count in targeted["campaign_type"].value_counts().items()
    }


def _differing(
    name: str, expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[Any, Any]]:
    """By customer, what was expected and what was found, where these differ."""
    pairs = {who: (traits.get(name), found[who].get(name)) for who, traits in expected.items()}
    return {who: pair for who, pair in pairs.items() if not _same(*pair)}


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, int | float):
        return bool(found == pytest.approx(expected, rel=1e-12))
    if isinstance(expected, str) and expected.endswith("Z") and isinstance(found, str):
        return datetime.fromisoformat(expected) == datetime.fromisoformat(found)
    return bool(expected == found)


def test_every_derived_trait_has_an_answer_to_compare_with(tables: Tables) -> None:
    counted = oracle.derived(Journey.of(tables, NOW))
    names = {name for traits in counted.values() for name in traits}
    # Parts of shares, which are compared.
    parts = {name for name in derived_traits() if name.endswith(("_spend", "_orders"))}
    assert derived_traits().keys() - parts <= names
