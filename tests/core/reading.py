"""Conditions written shortly, and whether a problem points into one."""

from datetime import UTC
from typing import Any

from service.core.parsing import Schema
from tests.core import pools

TYPES = pools.TYPES
SCHEMA = Schema(zone=UTC, types=TYPES)


def group(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)} | more


def points_into(document: Any, pointer: str) -> bool:
    """Whether a pointer below /condition leads to a value, or to a property that is not there."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    assert steps[0] == "condition"
    at = document
    for place, step in enumerate(steps[1:], 2):
        last = place == len(steps)
        if isinstance(at, list):
            if not step.isdigit() or int(step) >= len(at):
                return False
            at = at[int(step)]
        elif isinstance(at, dict):
            if step not in at:
                return last
            at = at[step]
        else:
            return False
    return True
