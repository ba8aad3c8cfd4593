"""The golden rule: the interpreter, the index and the block form give one answer.

`SEGSERVE_FUZZ_FACTOR=50` compares fifty times as many pairs of a tree and a profile.
"""

import os
from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.blocks import BlockPlan, match_block
from service.core.columns import Block
from tests.core import strategies
from tests.core.specification import keys_of, members

FACTOR = int(os.environ.get("SEGSERVE_FUZZ_FACTOR", "1"))
PAIRS = 20_000 * FACTOR
PROFILES = 49
EXAMPLES = 50 * FACTOR


def test_interpreter_index_and_block_agree() -> None:
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
        plan = BlockPlan(catalog)
        for now, lists in zip(nows, (lists_read, None), strict=True):
            some = customers[:9] if lists is None else customers
            block = Block.from_profiles(some, plan.fields)
            on_lists = lists and {
                key: np.array([key in lists[row % 3] for row in range(block.size)])
                for key in strategies.LIST_KEYS
            }
            result = match_block(plan, block, now, on_lists)
            for row, profile in enumerate(some):
                own = None if lists is None else lists[row % 3]
                expected = members(catalog, profile, now, own)
                found = catalog.matcher.match(profile, now, own)
                assert keys_of(catalog, found) == expected, "index"
                assert keys_of(catalog, result.row(row)) == expected, "block"
                compared["pairs"] += len(catalog.segments)
                compared["members"] += len(expected)

    agree()
    assert compared["pairs"] >= PAIRS
    assert compared["members"] >= PAIRS // 10
