"""The golden rule: the interpreter, the index and the block form give one answer.

`SEGSERVE_FUZZ_FACTOR=50` compares fifty times as many pairs of a tree and a profile.
"""

import os
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core import strategies
from tests.core.specification import keys_of, members

FACTOR = int(os.environ.get("SEGSERVE_FUZZ_FACTOR", "1"))
PAIRS = 20_000 * FACTOR
PROFILES = 49
EXAMPLES = 70 * FACTOR


def test_the_index_agrees_with_the_interpreter() -> None:
    compared: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        strategies.catalogs(),
        strategies.profiles(PROFILES),
        st.lists(strategies.nows(), min_size=2, max_size=2),
        st.lists(strategies.lists_read(), min_size=3, max_size=3),
    )
    def agree(catalog, customers, nows, lists_read):  # type: ignore[no-untyped-def]
        for refusal in catalog.refused:
            compared[refusal.problems[0].code] += 1
        for number, profile in enumerate(customers):
            now, lists = nows[number % 2], lists_read[number % 3]
            expected = members(catalog, profile, now, lists)
            assert keys_of(catalog, catalog.matcher.match(profile, now, lists)) == expected
            compared["pairs"] += len(catalog.segments)
            compared["members"] += len(expected)

    agree()
    assert compared["pairs"] >= PAIRS
    assert compared["members"] >= PAIRS // 10
