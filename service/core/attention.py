"""What of a stored segment its owner should look at: dates that come, sizes that fall."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, tzinfo
from typing import Any

from service.core.instants import DAY, format_instant, local_day, parse_day, parse_instant
from service.core.parsing import Problem

EXPIRES_SOON = 14  # days


def notices(
    definition: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    now: int,
    zone: tzinfo,
    users: Callable[[], Sequence[str]] = lambda: (),
) -> list[Problem]:
    """Warnings about a segment that is not archived, at `now` (microseconds since the epoch).

    `metrics`: its latest snapshot, None for one that is not measured or not active; `users`: asked
    for the segments that keep an expired one from being archived.
    """
    found = [
        _review(definition.get("review_by"), local_day(now, zone)),
        _expiry(definition.get("expires_at"), now, users),
        *_size(definition.get("limits"), metrics),
    ]
    return [each for each in found if each is not None]


def _review(review_by: Any, today: date) -> Problem | None:
    day = parse_day(review_by) if isinstance(review_by, str) else None
    if day is None or day >= today:
        return None
    detail = (
        f"its review was due on {day}; see whether it still says what you mean, and set the next "
        "date"
    )
    return Problem("/review_by", "review_due", detail)


def _expiry(expires_at: Any, now: int, users: Callable[[], Sequence[str]]) -> Problem | None:
    instant = parse_instant(expires_at, UTC) if isinstance(expires_at, str) else None
    if instant is None or instant > now + EXPIRES_SOON * DAY:
        return None
    when = format_instant(instant)
    if instant > now:
        days = (instant - now) // DAY
        left = "in less than a day" if not days else f"in {days} day{'' if days == 1 else 's'}"
        detail = f"it expires {left}, on {when}: it is archived then and its members leave"
        return Problem("/expires_at", "expires_soon", detail)
    keeping = users()
    if not keeping:
        return Problem("/expires_at", "expired", f"it expired on {when} and is being archived")
    detail = (
        f"it expired on {when} and is not archived, because {', '.join(keeping)} "
        f"{'uses' if len(keeping) == 1 else 'use'} it; change that first"
    )
    return Problem("/expires_at", "expired", detail)


def _size(limits: Any, metrics: Mapping[str, Any] | None) -> list[Problem]:
    if not isinstance(limits, dict) or metrics is None:
        return []
    found = []
    least, size = limits.get("min_size"), metrics["size"]
    if least is not None and size < least:
        detail = f"it has {size:,} members, and should have {least:,.0f} at least"
        found.append(Problem("/limits/min_size", "too_small", detail))
    least, share = limits.get("min_share"), metrics["share"]
    if least is not None and share < least:
        detail = f"{_percent(share)} of all customers are in it, and {_percent(least)} should be"
        found.append(Problem("/limits/min_share", "too_small", detail))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
