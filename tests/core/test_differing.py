"""What changed between two conditions, as people would tell it."""

from typing import Any

import pytest

from service.core.differing import changes
from tests.running import group

AGE = {"field": "age", "operator": ">=", "value": 18}
OLDER = {**AGE, "value": 21}
CITY = {"field": "city", "operator": "=", "value": "Brno"}
VIP = {"field": "segment:vip", "operator": "=", "value": True}


def of(*rules: Any, **own: Any) -> Any:
    return {"combinator": "and", "rules": list(rules), **own}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (of(AGE), of(AGE), []),
        (of(AGE), of(OLDER), [("/condition/rules/0", "changed", AGE, OLDER)]),
        (of(AGE), of(AGE, CITY), [("/condition/rules/1", "added", None, CITY)]),
        (of(AGE, CITY), of(CITY), [("/condition/rules/0", "removed", AGE, None)]),
        (
            of(AGE, CITY),
            of(CITY, VIP),
            [
                ("/condition/rules/0", "removed", AGE, None),
                ("/condition/rules/1", "added", None, VIP),
            ],
        ),
        # Of rules side by side each is compared with the one about the same field.
        (
            of(AGE, CITY),
            of({**CITY, "value": "Praha"}, OLDER),
            [
                ("/condition/rules/0", "changed", CITY, {**CITY, "value": "Praha"}),
                ("/condition/rules/1", "changed", AGE, OLDER),
            ],
        ),
        (
            of(AGE),
            of(AGE, combinator="or"),
            [
                (
                    "/condition",
                    "changed",
                    {"combinator": "and", "not": False},
                    {"combinator": "or", "not": False},
                )
            ],
        ),
        # `"not": false` says nothing that leaving it out does not.
        (of(AGE), of(AGE, **{"not": False}), []),
        (
            of(CITY, of(AGE, VIP)),
            of(VIP, CITY, of(OLDER, VIP)),
            [
                ("/condition/rules/0", "added", None, VIP),
                ("/condition/rules/2/rules/0", "changed", AGE, OLDER),
            ],
        ),
        (of(AGE), of(of(AGE)), [
            ("/condition/rules/0", "added", None, of(AGE)),
            ("/condition/rules/0", "removed", AGE, None),
        ]),
        (None, of(AGE), [("/condition", "changed", None, of(AGE))]),
    ],
)  # fmt: skip
def test_changes(before: Any, after: Any, told: list[Any]) -> None:
    found = [(each.pointer, each.kind, each.before, each.after) for each in changes(before, after)]
    assert found == told


def test_what_was_removed_is_found_where_it_stood() -> None:
    before = of(VIP, of(CITY, AGE))
    [gone] = changes(before, of(VIP, of(CITY)))
    assert (gone.pointer, gone.kind) == ("/condition/rules/1/rules/1", "removed")
    # A group before it pushes the rest down; what was removed stays where it was.
    told = changes(before, of(group(("x", "=", 1)), VIP, of(CITY)))
    assert [(each.pointer, each.kind) for each in told] == [
        ("/condition/rules/0", "added"),
        ("/condition/rules/1/rules/1", "removed"),
    ]
