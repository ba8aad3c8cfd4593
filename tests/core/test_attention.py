"""Warnings about dates that come and sizes that fall."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.core.attention import notices
from service.core.instants import DAY, HOUR, SECOND, UTC, format_instant

NOW = 1_800_000_000 * SECOND  # 2027-01-15T08:00:00Z


def told(definition: dict[str, Any], metrics: Any = None, users: Any = (), now: int = NOW) -> Any:
    found = notices(definition, metrics, now, UTC, lambda: users)
    return [(each.pointer, each.code) for each in found]


@pytest.mark.parametrize(
    ("day", "due"), [("2027-01-14", True), ("2027-01-15", False), ("2027-01-16", False)]
)
def test_a_review_is_due_once_its_day_is_over(day: str, due: bool) -> None:
    assert told({"review_by": day}) == ([("/review_by", "review_due")] if due else [])


def test_days_end_in_the_workspaces_zone() -> None:
    late = NOW + 10 * HOUR  # 18:00 UTC is 07:00 of the 16th in Auckland
    [due] = notices({"review_by": "2027-01-15"}, None, late, ZoneInfo("Pacific/Auckland"))
    assert due.code == "review_due"
    assert told({"review_by": "2027-01-15"}, now=late) == []


@pytest.mark.parametrize(
    ("left", "detail"),
    [
        (15 * DAY, None),
        (14 * DAY, "it expires in 14 days, on 2027-01-29T08:00:00Z"),
        (DAY + HOUR, "it expires in 1 day, on"),
        (HOUR, "it expires in less than a day, on"),
    ],
)
def test_an_expiry_within_two_weeks_is_told(left: int, detail: str | None) -> None:
    found = notices({"expires_at": format_instant(NOW + left)}, None, NOW, UTC)
    assert [each.code for each in found] == ([] if detail is None else ["expires_soon"])
    assert detail is None or found[0].detail.startswith(detail)


def test_an_expired_one_that_others_use_says_who() -> None:
    definition = {"expires_at": format_instant(NOW)}
    [found] = notices(definition, None, NOW, UTC, lambda: ["vip", "families"])
    assert (found.pointer, found.code) == ("/expires_at", "expired")
    assert "because vip, families use it" in found.detail
    [found] = notices(definition, None, NOW, UTC)
    assert "is being archived" in found.detail


@pytest.mark.parametrize(
    ("limits", "size", "share", "expected"),
    [
        ({"min_size": 100}, 99, 0.5, ["/limits/min_size"]),
        ({"min_size": 100}, 100, 0.5, []),
        ({"min_share": 0.01}, 5, 0.009, ["/limits/min_share"]),
        ({"min_share": 0.01}, 5, 0.01, []),
        ({"min_size": 10, "min_share": 0.01}, 5, 0.001, ["/limits/min_size", "/limits/min_share"]),
        ({"max_size": 3}, 5, 0.5, []),
        ({}, 0, 0.0, []),
    ],
)
def test_below_its_limits(limits: Any, size: int, share: float, expected: list[str]) -> None:
    found = told({"limits": limits}, {"size": size, "share": share})
    assert found == [(pointer, "too_small") for pointer in expected]
    assert told({"limits": limits}, None) == []
