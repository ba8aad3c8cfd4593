"""The hot route remembers names, but not without end."""

from typing import Any, cast

from service.api.assign import MEMBERS_REMEMBERED, NAMES_REMEMBERED, AssignRoutes
from service.settings import Settings


def test_the_members_of_maps_are_not_remembered_without_end() -> None:
    routes = AssignRoutes(cast(Any, None), Settings(), lambda route, status, seconds: None)
    for number in range(300):
        routes._look_through({"bought": {f"{number}-{key}": 1 for key in range(1_000)}})
    assert len(routes._inner_names) <= NAMES_REMEMBERED + MEMBERS_REMEMBERED
