"""`zen-engine` (Rust): all conditions as one compiled expression that answers a list of truths."""

from collections.abc import Callable
from itertools import compress, count
from typing import Any

import zen

from benchmarks.peers.expressions import Dialect, source
from benchmarks.peers.positive import positive

DIALECT = Dialect(" and ", " or ", "{name} not in {values}")


def prepare(conditions: list[dict[str, Any]], now_us: int) -> Callable[[dict[str, Any]], list[int]]:
    # One expression converts a profile once: measured 20 times as fast as one for each condition.
    texts = ",".join(source(positive(each), DIALECT) for each in conditions)
    expression = zen.compile_expression(f"[{texts}]")

    def match(profile: dict[str, Any]) -> list[int]:
        return list(compress(count(), expression.evaluate(profile)))

    return match
