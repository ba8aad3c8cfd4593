"""Who is reached, in SQL: the same as in the core, whatever traits hold."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.consent import CHANNELS, Status, Suppression, reachable
from service.store.consents import ALL_REACHING, reaching
from tests.running import connected

pytestmark = pytest.mark.anyio

ODD = st.sampled_from([None, True, 1, "subscribed", [], ["email"], {}, {"email": "subscribed"}])
CONSENT = st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(list(Status)) | ODD)
SUPPRESSED = st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from(list(Suppression)))
TRAITS = st.fixed_dictionaries({}, optional={"consent": CONSENT | ODD, "suppressed": SUPPRESSED})


async def test_sql_reaches_whom_the_core_does(database_url: str) -> None:
    told: list[dict[str, Any]] = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(TRAITS)
    def collect(traits: dict[str, Any]) -> None:
        told.append(traits)

    collect()
    columns = ", ".join(f"{reaching(channel)} as {channel}" for channel in CHANNELS)
    query = (
        f"select {columns}, {ALL_REACHING} as all_ "
        "from unnest($1::jsonb[]) with ordinality as t (traits, n) order by n"
    )
    async with connected(database_url) as connection:
        rows = await connection.fetch(query, [json.dumps(traits) for traits in told])
    expected = [reachable(traits) for traits in told]
    assert [{name: bool(row[name]) for name in CHANNELS} for row in rows] == expected
    assert [list(map(bool, row["all_"] or [False] * len(CHANNELS))) for row in rows] == [
        list(each.values()) for each in expected
    ]
    assert any(any(each.values()) for each in expected)
