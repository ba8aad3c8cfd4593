"""Campaigns that households received, coupons that they redeemed, and their consents, as events.

The data set has days only, and no consents at all. Made up are therefore

- the hour: campaigns arrive at 9:00 UTC of their first day, those of one day a minute apart by
  their numbers; coupons are redeemed at 12:00 UTC;
- consents, by a rule: who ever received a campaign had subscribed to e-mail the day before the
  first; of those who received three or more and redeemed none, every third (by the household's
  number) unsubscribed the day after the latest. Who answered the survey allowed post, at the first
  order.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from service.demo.household import Event
from service.demo.journey import Journey, micros

RECEIVED = "Campaign Received"
REDEEMED = "Coupon Redeemed"
CONSENTED = "Consent Changed"
UNSUBSCRIBED = "Unsubscribed"

_HOUR = 3_600_000_000  # microseconds
_MINUTE = _HOUR // 60
_DAY = 24 * _HOUR
UNMOVED = 3
EVERY = 3


def campaign_events(journey: Journey) -> dict[int, list[Event]]:
    """What each household, by its number, received, redeemed and allowed."""
    received, redeemed = _received(journey), _redeemed(journey)
    surveyed = set(journey.tables.demographics["household_id"].tolist())
    events: dict[int, list[Event]] = {}
    came = micros(journey.baskets.groupby("household")["at"].first())
    for number, first in zip(journey.households.tolist(), came, strict=True):
        campaigns, coupons = received.get(number, []), redeemed.get(number, [])
        consents = _of_email(number, campaigns, coupons)
        if number in surveyed:
            consents.append(_consent(number, "post", first, "survey"))
        events[number] = [*consents, *campaigns, *coupons]
    return events


def _received(journey: Journey) -> dict[int, list[Event]]:
    tables = journey.tables
    rows = tables.campaigns.merge(tables.campaign_descriptions, on="campaign_id")
    rows = rows.sort_values(["household_id", "start_date", "campaign_id"])
    starts, ends = rows["start_date"] + journey.moved, rows["end_date"] + journey.moved
    events: dict[int, list[Event]] = defaultdict(list)
    for number, campaign, kind, start, at, end in zip(
        rows["household_id"].tolist(),
        rows["campaign_id"].tolist(),
        rows["campaign_type"].tolist(),
        _days(starts),
        micros(starts),
        _days(ends),
        strict=True,
    ):
        properties = {
            "campaign_id": str(campaign), "type": kind, "starts_on": start, "ends_on": end,
        }  # fmt: skip
        message_id = f"campaign-{campaign}-{number}"
        event = Event(RECEIVED, at + 9 * _HOUR + campaign * _MINUTE, message_id, properties)
        events[number].append(event)
    return events


def _redeemed(journey: Journey) -> dict[int, list[Event]]:
    rows = journey.tables.coupon_redemptions.sort_values(
        ["household_id", "redemption_date", "campaign_id", "coupon_upc"]
    )
    dates = rows["redemption_date"] + journey.moved
    events: dict[int, list[Event]] = defaultdict(list)
    for number, coupon, campaign, day, at in zip(
        rows["household_id"].tolist(),
        rows["coupon_upc"].tolist(),
        rows["campaign_id"].tolist(),
        _days(dates),
        micros(dates),
        strict=True,
    ):
        properties = {"coupon_id": str(coupon), "campaign_id": str(campaign), "redeemed_on": day}
        # One household may redeem the same coupon twice on one day.
        message_id = f"coupon-{number}-{len(events[number])}"
        events[number].append(Event(REDEEMED, at + 12 * _HOUR, message_id, properties))
    return events


def _of_email(number: int, campaigns: Sequence[Event], coupons: Sequence[Event]) -> list[Event]:
    """What a household said of e-mail, by the rule above."""
    if not campaigns:
        return []
    consents = [_consent(number, "email", campaigns[0].at - _DAY, "loyalty card")]
    if len(campaigns) >= UNMOVED and not coupons and number % EVERY == 0:
        at = campaigns[-1].at + _DAY
        consents.append(Event(UNSUBSCRIBED, at, f"unsubscribed-{number}", {"channel": "email"}))
    return consents


def _consent(number: int, channel: str, at: int, source: str) -> Event:
    properties = {"channel": channel, "status": "subscribed", "source": source}
    return Event(CONSENTED, at, f"consent-{channel}-{number}", properties)


def _days(dates: Any) -> list[str]:
    days: list[str] = dates.dt.strftime("%Y-%m-%d").tolist()
    return days
